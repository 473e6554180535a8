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
