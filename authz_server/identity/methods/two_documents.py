"""What stands on two documents, the national ID card and the health-insurance card, asked of a registry.

Others may have seen both, so this is the lowest level, and guesses are fewest here.
"""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import date

from flask import Blueprint
from werkzeug.wrappers import Response

from authz_server.catalogue import counties
from authz_server.catalogue.model import Text
from authz_server.catalogue.parameters import ROC_OFFSET
from authz_server.core import clock
from authz_server.identity import entry
from authz_server.identity.methods import asked
from authz_server.identity.methods.asked import CARD_NUMBER, NATIONAL_ID
from authz_server.identity.methods.base import Field, Form, Option
from authz_server.identity.visits import Visit

KINDS = (
    Option(value="initial", label=Text(zh="初發", en="First issue")),
    Option(value="replacement", label=Text(zh="補發", en="Reissue after a loss")),
    Option(value="renewal", label=Text(zh="換發", en="Exchange")),
)
PLACES = tuple(Option(value=zh, label=Text(zh=zh, en=f"{en} ({zh})")) for zh, en in counties.ENGLISH.items())
_WRITTEN = Text(
    zh="照證件上的寫法，例如民國 69 年 2 月 29 日，或 1980-02-29",
    en="As on the document, such as 69-2-29 in the ROC calendar, or as 1980-02-29",
)

use = Blueprint("two_documents", __name__)


class TwoDocuments(asked.AskingMethod):
    """Knowledge alone."""

    id = "two_documents"
    name = Text(zh="國民身分證與健保卡資料核對", en="Details of your national ID card and health insurance card")
    amr = ("kba",)
    action = "/sign-in/two-documents"
    blueprint = use
    most_failures = 3
    fields = (
        NATIONAL_ID,
        Field(
            name="birthdate",
            label=Text(zh="出生年月日", en="Date of birth"),
            hint=_WRITTEN,
            autocomplete="bday",
            max_length=20,
            repeated=True,
        ),
        Field(
            name="issued_on",
            label=Text(zh="身分證發證日期", en="National ID card: date of issue"),
            hint=_WRITTEN,
            autocomplete="off",
            max_length=20,
            repeated=True,
        ),
        Field(
            name="issued_at",
            label=Text(zh="身分證發證地點", en="National ID card: place of issue"),
            autocomplete="off",
            max_length=20,
            repeated=True,
            options=PLACES,
        ),
        Field(
            name="issue_kind",
            label=Text(zh="身分證領補換類別", en="National ID card: kind of issue"),
            autocomplete="off",
            max_length=20,
            repeated=True,
            options=KINDS,
        ),
        CARD_NUMBER,
    )

    def evidence(self, form: Form) -> Mapping[str, str]:
        """As of `AskingMethod`."""
        return {
            "national_id": asked.plain(form.get("national_id", "")),
            "birthdate": _iso(form.get("birthdate", "")),
            "id_card_issued_on": _iso(form.get("issued_on", "")),
            "id_card_issued_at": form.get("issued_at", ""),
            "id_card_issue_kind": form.get("issue_kind", ""),
            "card_number": asked.plain(form.get("card_number", "")),
        }

    def problems(self, form: Form) -> Sequence[tuple[str, Text]]:
        """As of `AskingMethod`."""
        found = asked.number_problems(form)
        if not _iso(form.get("birthdate", "")):
            found.append(("birthdate", Text(zh="請輸入出生年月日", en="Enter the date of birth")))
        if not _iso(form.get("issued_on", "")):
            found.append(("issued_on", Text(zh="請輸入身分證發證日期", en="Enter the ID card's date of issue")))
        if form.get("issued_at") not in counties.ENGLISH:
            found.append(("issued_at", Text(zh="請選擇身分證發證地點", en="Choose the ID card's place of issue")))
        if form.get("issue_kind") not in {kind.value for kind in KINDS}:
            found.append(("issue_kind", Text(zh="請選擇領補換類別", en="Choose the ID card's kind of issue")))
        order = [field.name for field in self.fields]
        return sorted(found, key=lambda problem: order.index(problem[0]))


TWO_DOCUMENTS = TwoDocuments()


@use.post("/sign-in/two-documents")
@entry.received(TWO_DOCUMENTS)
def submit(visit: Visit, form: Form) -> Response:
    """Try to sign in."""
    return asked.answer(TWO_DOCUMENTS, visit, form)


def read_date(text: str) -> date | None:
    """A date as people copy it from a document, in either calendar; None if it is none.

    Three numbers with anything between, or 6 to 8 digits in one: 69-2-29, 民國069年02月29日, 0690229, 1980-02-29.
    """
    numbers = re.findall(r"[0-9]+", unicodedata.normalize("NFKC", text))
    if len(numbers) == 1 and 6 <= len(numbers[0]) <= 8:
        numbers = [numbers[0][:-4], numbers[0][-4:-2], numbers[0][-2:]]
    if len(numbers) != 3 or any(len(number) > 4 for number in numbers):
        return None
    year, month, day = map(int, numbers)
    try:
        return date(year if year > 1000 else year + ROC_OFFSET, month, day)
    except ValueError:
        return None


def _iso(text: str) -> str:
    """The date, "" if it is none or lies ahead."""
    found = read_date(text)
    return found.isoformat() if found and found <= clock.day_of(clock.now()) else ""
