"""An office with two counters, whoever works at them, and a citizen who goes there, as outsiders see the server."""

import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from html import unescape
from typing import Any

import zxingcpp
from PIL import Image
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from authz_server.clients.policy import PRE_AUTHORIZED_CODE
from authz_server.core import clock, secrets
from authz_server.counter import clerks
from authz_server.counter.appointments import CLERK, appoint
from authz_server.counter.models import Appointment, DeskSession
from authz_server.identity.models import Citizen
from tests.support.platform import ACCESS_TOKEN, Bank, CitizenBrowser, Platform, hidden_fields
from tests.support.protocol import new_bank, new_citizen, rows, writing

COUNTERS = {
    f"desk-{number}": {
        "name": {"zh": f"{number} 號櫃檯", "en": f"Counter {number}"},
        "address": {"zh": "桃園市桃園區縣府路 7 號", "en": "7 Xianfu Rd., Taoyuan"},
    }
    for number in (1, 2)
}
NATIONAL_IDS = {"citizen1": "A123456789", "citizen2": "B123456780"}
NAME = {"zh": "樣本區公所", "en": "Sample District Office"}


NEEDED = ("ris.personal", "fia.property")


def purposes(platform: Platform, *needed: str) -> dict[str, Any]:
    """One service, which needs these datasets; two unless they are named."""
    datasets = {
        name: {"fields_required": [field.id for field in platform.catalogue.dataset(name).fields if field.required]}
        for name in needed or NEEDED
    }
    text = {"zh": "申請托育補助", "en": "To apply for a childcare grant"}
    return {"childcare": {"text": text, "use_until_days": 30, "erase_by_days": 90, "datasets": datasets}}


@dataclass
class Office(Bank):
    """An office. `clerk`: the user name of whoever is at its counters, signed in anew whenever they do something."""

    clerk: str = ""
    actor: Callable[[], dict[str, str]] = dict


def new_office(platform: Platform, *needed: str, **changes: Any) -> Office:
    """An office of the test's own, with a clerk."""
    registered = {"name": NAME, "counters": COUNTERS, "purposes": purposes(platform, *needed)} | changes
    office = Office(**vars(new_bank(platform, **registered)))
    office.clerk = new_citizen(platform)
    with writing(platform) as session:
        appoint(session, office=office.client_id, username=office.clerk, role=CLERK, now=clock.now())
    office.actor = lambda: {"actor_token": signed_in_clerk(platform, office), "actor_token_type": ACCESS_TOKEN}
    return office


def signed_in_clerk(platform: Platform, office: Office, *, jkt: str | None = None) -> str:
    """The token of the clerk, who has just signed in. Straight into the table; the whole way: test_clerks.py."""
    token = secrets.new_secret(clerks.PREFIX)
    now, hour = clock.now(), timedelta(hours=1)
    (clerk,) = rows(platform, Citizen, username=office.clerk)
    (appointed,) = rows(platform, Appointment, citizen_id=clerk.id, client_id=office.client_id, role=CLERK)
    with Session(platform.engine) as session, session.begin():
        session.add(
            DeskSession(
                code_digest=secrets.digest(f"code of {token}"), appointment_id=appointed.id, citizen_id=clerk.id,
                client_id=office.client_id, redirect_uri="", code_challenge="", dpop_jkt=None, nonce=None, acr="",
                amr=[], auth_time=now, code_expires_at=now, expires_at=now + hour, token_digest=secrets.digest(token),
                jkt=jkt or office.dpop_key.thumbprint, idle_until=now + hour,
            )
        )  # fmt: skip
    return token


@dataclass
class Visit:
    """A citizen's page of a visit."""

    citizen: CitizenBrowser
    path: str

    @property
    def reference(self) -> str:
        return self.path.rpartition("/")[2]

    def page(self) -> TestResponse:
        return self.citizen.client.get(self.path)

    def show(self) -> str:
        """Press the button; the barcode's form for typing."""
        answer = self.citizen.client.post(self.path, data=hidden_fields(self.page().text))
        assert answer.status_code == 303, answer.text
        return self.typed()

    def typed(self) -> str:
        found = re.search(r'id="typed">([^<]+)<', self.page().text)
        assert found is not None, self.page().text
        return found[1]

    def state(self) -> str:
        """What the page's script asks for, to open it anew when it changes."""
        return str(self.citizen.client.get(f"{self.path}/state?unattended").get_json()["state"])

    def code(self) -> str | None:
        """The one-time code, if the page shows one."""
        found = re.search(r'id="code">([0-9]{6})<', self.page().text)
        return found[1] if found else None


def agree(
    platform: Platform, office: Bank, citizen: CitizenBrowser | None = None, dataset: str = "fia.property"
) -> Visit:
    """Choose the service, agree. Args: dataset: the one that wants to know for which year."""
    citizen = citizen or platform.citizen()
    path = f"/counter/offices/{office.client_id}/childcare"
    page = citizen.client.get(path)
    form = hidden_fields(page.text) | {f"{dataset}/tax_year": "113"}
    answer = citizen.client.post(path, data=form)
    assert answer.status_code == 303, unescape(answer.text)
    decided = citizen.decide(citizen.client.get(answer.location))
    assert decided.status_code == 303, decided.text
    prefix = f"{platform.settings.issuer}/counter/"
    assert decided.location.startswith(prefix), decided.location
    return Visit(citizen, decided.location.removeprefix(platform.settings.issuer))


def announce(office: Bank, barcode: str, counter: str = "desk-1", **changes: Any) -> TestResponse:
    return _present(office, "/announce", {"pre-authorized_code": barcode, "counter": counter} | changes)


def redeem(office: Bank, barcode: str, code: str | None, **changes: Any) -> TestResponse:
    form = {"grant_type": PRE_AUTHORIZED_CODE, "pre-authorized_code": barcode, "tx_code": code} | changes
    return _present(office, "/token", form)


def _present(office: Bank, path: str, form: dict[str, Any]) -> TestResponse:
    actor = office.actor() if isinstance(office, Office) and "actor_token" not in form else {}
    return office.post(path, actor | form, {"DPoP": office.proof("POST", f"{office.issuer}{path}")})


def scan(picture: bytes) -> str:
    """What all barcodes of a picture say, by a decoder that is not ours."""
    (said,) = {found.text for found in zxingcpp.read_barcodes(Image.open(io.BytesIO(picture)).convert("L"))}
    return str(said)


def press(browser: CitizenBrowser, path: str, step: str, **fields: str) -> TestResponse:
    """Press a button of a page, with its own token."""
    form = hidden_fields(browser.client.get(path).text) | fields | {"step": step}
    return browser.client.post(path, data=form)


@dataclass
class Errand:
    """A visit, the citizen's page of whom they send, and the agent's pages."""

    visit: Visit
    agent: CitizenBrowser

    @property
    def citizen(self) -> CitizenBrowser:
        return self.visit.citizen

    @property
    def naming(self) -> str:
        return f"{self.visit.path}/agent"

    @property
    def own(self) -> str:
        return f"/agent/{self.visit.reference}"

    def invite(self, national_id: str = NATIONAL_IDS["citizen2"]) -> str:
        answer = press(self.citizen, self.naming, "invite", national_id=national_id)
        assert answer.status_code == 303, answer.text
        found = re.search(r'id="invitation">([^<]+)<', self.citizen.client.get(self.naming).text)
        assert found is not None
        return found[1]

    def open(self, invitation: str, agent: CitizenBrowser | None = None) -> TestResponse:
        browser = (agent or self.agent).client
        return browser.post("/agent", data=hidden_fields(browser.get("/agent").text) | {"invitation": invitation})

    def accept(self, national_id: str = NATIONAL_IDS["citizen2"]) -> None:
        opened = self.open(self.invite(national_id))
        assert (opened.status_code, opened.location) == (303, self.own), opened.text
        assert press(self.agent, self.own, "accept").status_code == 303

    def confirm(self, national_id: str = NATIONAL_IDS["citizen2"]) -> None:
        """All the way until the agent has the barcode."""
        self.accept(national_id)
        assert press(self.citizen, self.naming, "confirm").status_code == 303

    def show(self) -> str:
        """The agent's barcode, as it is typed."""
        assert press(self.agent, self.own, "show").status_code == 303
        return Visit(self.agent, self.own).typed()

    def code(self) -> str | None:
        return Visit(self.agent, self.own).code()
