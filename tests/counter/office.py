"""An office with two counters, and a citizen who goes there, as outsiders see the server."""

import io
import re
from dataclasses import dataclass
from html import unescape
from typing import Any

import zxingcpp
from PIL import Image
from werkzeug.test import TestResponse

from authz_server.clients.policy import PRE_AUTHORIZED_CODE
from tests.support.platform import Bank, CitizenBrowser, Platform, hidden_fields
from tests.support.protocol import new_bank

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


def new_office(platform: Platform, *needed: str) -> Bank:
    """An office of the test's own."""
    return new_bank(platform, name=NAME, counters=COUNTERS, purposes=purposes(platform, *needed))


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
    return office.post("/announce", {"pre-authorized_code": barcode, "counter": counter} | changes)


def redeem(office: Bank, barcode: str, code: str | None, **changes: Any) -> TestResponse:
    form = {"grant_type": PRE_AUTHORIZED_CODE, "pre-authorized_code": barcode, "tx_code": code} | changes
    return office.post("/token", form, {"DPoP": office.proof("POST", f"{office.issuer}/token")})


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
