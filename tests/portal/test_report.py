"""A citizen reports a recipient to the authority: one page has what is needed, and the record that it was done."""

from typing import Any

import pytest

from authz_server.audit.models import AuditEntry
from authz_server.consent.models import Consent
from authz_server.core import clock
from tests.support.platform import CitizenBrowser, Platform, hidden_fields
from tests.support.protocol import new_citizen, opened, rows

WHO = "Preparatory Office of the Personal Data Protection Commission"


class Asked:
    """A request of the bank that a citizen decided."""

    def __init__(self, platform: Platform, decision: str = "approve") -> None:
        self.platform = platform
        self.citizen: CitizenBrowser = platform.citizen(new_citizen(platform))
        request_uri = platform.bank.push(platform.detail("ris.personal"))
        with clock.frozen(clock.now()):
            self.citizen.decide(opened(self.citizen, platform.bank, request_uri), decision)
        page = self.citizen.client.get("/record").text
        self.reference = page.partition("/consents/")[2][:15].partition('"')[0]
        self.path = f"/consent/{self.reference}/report"

    def page(self) -> str:
        return self.citizen.client.get(f"{self.path}?lang=en").text

    def reported(self) -> list[Any]:
        return rows(self.platform, AuditEntry, event="consent.reported", transaction_id=self.reference)


@pytest.mark.parametrize("decision", ["approve", "deny"])
def test_it_says_whom_and_what_to_tell(platform: Platform, decision: str) -> None:
    asked = Asked(platform, decision)
    assert asked.path in asked.citizen.client.get(f"/consents/{asked.reference}").text
    page = asked.page()
    for fact in (WHO, "https://www.pdpc.gov.tw", asked.reference, "First Sample Bank", "00000000", "02-0000-0000"):
        assert fact in page
    assert ("receipt.pdf" in page) == (decision == "approve")


def test_what_was_reported_is_on_the_record_once_without_a_word_of_it(platform: Platform) -> None:
    asked = Asked(platform)
    form = hidden_fields(asked.page())
    for _ in range(2):
        answer = asked.citizen.client.post(asked.path, data=form | {"text": "they telephoned me"})
        assert (answer.status_code, answer.location) == (303, asked.path)
    (entry,) = asked.reported()
    (consent,) = rows(platform, Consent, transaction_id=asked.reference)
    assert (entry.actor, entry.client_id, entry.citizen_id) == ("citizen", consent.client_id, consent.citizen_id)
    assert (entry.reason, entry.dataset_id) == (None, None)
    assert "Your record says that you reported it" in asked.page()
    assert "You reported First Sample Bank to the authority" in asked.citizen.client.get("/record?lang=en").text


def test_a_form_that_is_not_the_sessions_records_nothing(platform: Platform) -> None:
    asked = Asked(platform)
    for form, status in (({}, 403), ({"csrf": "x"}, 403), ({"csrf": ["x", "x"]}, 400)):
        assert asked.citizen.client.post(asked.path, data=form).status_code == status
    assert asked.reported() == []


def test_there_is_no_page_of_what_is_not_theirs(platform: Platform) -> None:
    asked, other = Asked(platform), Asked(platform)
    assert other.citizen.client.get(asked.path).status_code == 404
    assert other.citizen.client.post(asked.path, data={"csrf": "x"}).status_code == 404
