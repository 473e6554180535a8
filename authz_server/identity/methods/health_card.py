"""Number of the health-insurance card and the password that was registered for it, asked of the card's registry."""

from collections.abc import Mapping, Sequence

from flask import Blueprint
from werkzeug.wrappers import Response

from authz_server.catalogue.model import Text
from authz_server.identity import entry, passwords
from authz_server.identity.methods import asked
from authz_server.identity.methods.asked import CARD_NUMBER, NATIONAL_ID
from authz_server.identity.methods.base import Field, Form
from authz_server.identity.visits import Visit

use = Blueprint("health_card", __name__)


class HealthCard(asked.AskingMethod):
    """Something printed on a card, and something known."""

    id = "health_card"
    name = Text(zh="健保卡卡號與註冊密碼", en="Health insurance card number and registered password")
    amr = ("kba", "pwd")
    action = "/sign-in/health-card"
    blueprint = use
    fields = (
        NATIONAL_ID,
        CARD_NUMBER,
        Field(
            name="password",
            label=Text(zh="健保卡網路服務註冊密碼", en="Password registered for the card's online services"),
            input_type="password",
            autocomplete="current-password",
            max_length=passwords.MAX_LENGTH,
        ),
    )

    def evidence(self, form: Form) -> Mapping[str, str]:
        """As of `AskingMethod`."""
        return {
            "national_id": asked.plain(form.get("national_id", "")),
            "card_number": asked.plain(form.get("card_number", "")),
            "password": form.get("password", "")[: passwords.MAX_LENGTH + 1],
        }

    def problems(self, form: Form) -> Sequence[tuple[str, Text]]:
        """As of `AskingMethod`."""
        found = asked.number_problems(form)
        if not form.get("password"):
            found.append(("password", Text(zh="請輸入密碼", en="Enter the password")))
        return found


HEALTH_CARD = HealthCard()


@use.post("/sign-in/health-card")
@entry.received(HEALTH_CARD)
def submit(visit: Visit, form: Form) -> Response:
    """Try to sign in."""
    return asked.answer(HEALTH_CARD, visit, form)
