"""A citizen of a test's own with something of every kind that has an address, and the addresses that there are."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from flask import Flask
from sqlalchemy import select
from sqlalchemy.orm import Session
from werkzeug.routing import Rule

from authz_server import worker
from authz_server.consent.models import Consent
from authz_server.core import clock
from authz_server.counter.appointments import ADMINISTRATOR, appoint
from authz_server.identity import credentials
from authz_server.identity.models import Citizen
from authz_server.notices.models import Notice
from tests.counter.office import Errand, agree, new_office
from tests.support.platform import Bank, CitizenBrowser, Platform, answer_of, hidden_fields
from tests.support.protocol import new_citizen, opened, rows, writing

# The parts of addresses that name something of one citizen's, and those that name nothing of anybody's.
OF_SOMEBODY = frozenset(
    {"request_id", "transaction_id", "message_id", "credential_id", "reference", "download_id", "errand"}
)
OF_NOBODY = frozenset({"kind", "filename", "provider_id", "client_id", "purpose_id", "picture"})
# Those that name something of one client's: tests/oauth/test_grant_management.py.
OF_CLIENTS = frozenset({"grant_id"})
# And of one agency's: tests/portal/test_correction.py.
OF_AGENCIES = frozenset({"correction_id", "preparation_id", "agency_id"})


@dataclass(frozen=True)
class Belongings:
    """Who it is, their browser, and the id of what they have, by the name that it has in addresses."""

    username: str
    citizen_id: int
    browser: CitizenBrowser
    ids: dict[str, Any]
    service: dict[str, str]  # of an office, where they want to go

    def path(self, rule: Rule) -> str:
        """The address of what is theirs."""
        values = {"kind": "email", "provider_id": "bank", "picture": "qr.svg", **self.service, **self.ids}
        return re.sub(r"<(?:[^:<>]+(?:\([^()]*\))?:)?(\w+)>", lambda found: str(values[found[1]]), rule.rule)


def belongings(platform: Platform) -> Belongings:
    """A new citizen who has agreed to one request, reads another, has messages and a passkey, carries a barcode, and
    another one for somebody else, and administers the office."""
    username = new_citizen(platform)
    browser = platform.citizen(username)
    citizen_id = rows(platform, Citizen, username=username)[0].id
    code = answer_of(
        browser.decide(opened(browser, platform.bank, platform.bank.push(platform.detail("ris.personal"))))
    )
    assert platform.bank.redeem(code["code"]).status_code == 200
    with writing(platform) as session:
        values: Any = {"external_id": f"key of {username}", "label": "測試金鑰", "data": {}}
        credential_id = credentials.add(session, citizen_id, method="certificate", now=clock.now(), **values)
    worker.tick(platform.engine, now=clock.now())
    page = opened(browser, platform.bank, platform.bank.push(platform.detail("fia.property", tax_year="113")))
    with Session(platform.engine) as session:
        own = (Notice.citizen_id == citizen_id, Notice.channel == "web")
        message_id = session.scalars(select(Notice.audit_entry_id).where(*own).limit(1)).one()
    (agreed,) = rows(platform, Consent, citizen_id=citizen_id)
    office = new_office(platform)
    with writing(platform) as session:
        appoint(session, office=office.client_id, username=username, role=ADMINISTRATOR, now=clock.now())
    visit = agree(platform, office, browser)
    visit.show()
    download_id = downloading(browser)
    request = re.search(r'action="/consent/([^"/]+)"', page.text)
    assert request is not None
    ids = {
        "request_id": request[1],
        "transaction_id": agreed.transaction_id,
        "message_id": message_id,
        "credential_id": credential_id,
        "reference": visit.reference,
        "errand": going(platform, office, username, browser),
        "download_id": download_id,
    }
    return Belongings(username, citizen_id, browser, ids, {"client_id": office.client_id, "purpose_id": "childcare"})


def going(platform: Platform, office: Bank, username: str, browser: CitizenBrowser) -> str:
    """The reference number of somebody else's visit, whose barcode they have."""
    sent = Errand(agree(platform, office, platform.citizen(new_citizen(platform))), browser)
    sent.confirm(rows(platform, Citizen, username=username)[0].national_id)
    sent.show()
    return sent.visit.reference


def downloading(citizen: CitizenBrowser) -> str:
    """The reference number of a download that they have agreed to and not fetched."""
    basket = citizen.client.get("/download/basket?dataset=ris.personal")
    asked = citizen.client.post("/download/basket?dataset=ris.personal", data=hidden_fields(basket.text))
    return citizen.decide(citizen.client.get(asked.location)).location.rsplit("/", 1)[-1]


def addresses(app: Flask) -> Iterator[tuple[Rule, str]]:
    """Every address of the server, with each method that changes or shows something."""
    for rule in app.url_map.iter_rules():
        for method in sorted((rule.methods or set()) & {"GET", "POST", "PUT", "DELETE", "PATCH"}):
            yield rule, method
