"""After the last byte is out: the citizen asks the recipient to erase, it answers, and both are on the record."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from werkzeug.test import TestResponse

from authz_server import worker
from authz_server.audit.models import AuditEntry
from authz_server.consent import erasure
from authz_server.consent.models import Consent
from authz_server.core import clock
from authz_server.tokens import withdrawal
from tests.oauth.test_grant_management import access
from tests.support.platform import Bank, CitizenBrowser, Platform, hidden_fields
from tests.support.protocol import Fetch, new_bank, new_citizen, refused, rows, shut_out_once_seen, writing

SCOPES = "grant_management_query grant_erasure"
ENDPOINT = "https://bank.example/events"


class Scene:
    """A citizen's consent, of which one dataset was delivered, to a client that registered an endpoint for events."""

    def __init__(self, platform: Platform, *, delivered: bool = True, endpoint: str | None = ENDPOINT) -> None:
        self.platform, self.bank = platform, new_bank(platform, security_event_endpoint=endpoint)
        self.citizen: CitizenBrowser = platform.citizen(new_citizen(platform))
        code = platform.code(platform.detail("ris.personal"), citizen=self.citizen, bank=self.bank)
        body = self.bank.redeem(code).get_json()
        self.grant_id, self.granted = body["grant_id"], body["authorization_details"]
        if delivered:
            self.deliver()

    def deliver(self) -> None:
        fetch, jkt = Fetch(self.platform, self.granted[0]["access_token"]), self.bank.dpop_key.thumbprint
        fetch.deliver(dpop_jkt=jkt)

    @property
    def consent(self) -> Any:
        return rows(self.platform, Consent, id=self.grant_id)[0]

    @property
    def path(self) -> str:
        return f"/consent/{self.consent.transaction_id}/erase"

    def ask(self) -> TestResponse:
        page = self.citizen.client.get(self.path)
        return self.citizen.client.post(self.path, data=hidden_fields(page.text))

    def page(self) -> str:
        return self.citizen.client.get(f"/consents/{self.consent.transaction_id}?lang=en").text

    def answer(self, bank: Bank | None = None, **form: str) -> TestResponse:
        return self._call("POST", bank or self.bank, data=form)

    def asked(self, bank: Bank | None = None) -> TestResponse:
        return self._call("GET", bank or self.bank)

    def _call(self, method: str, bank: Bank, **more: Any) -> TestResponse:
        token = access(bank, SCOPES).get_json()["access_token"]
        path = f"/grants/{self.grant_id}/erasure"
        proof = bank.proof(method, bank.issuer + path, token=token)
        return bank.browser.open(path, method=method, headers={"Authorization": f"DPoP {token}", "DPoP": proof}, **more)

    def entries(self, event: str) -> list[Any]:
        return rows(self.platform, AuditEntry, event=f"consent.erasure_{event}", consent_id=self.grant_id)

    def messages(self) -> str:
        worker.tick(self.platform.engine, now=clock.now())
        return self.citizen.client.get("/messages?lang=en").text


@pytest.fixture
def scene(platform: Platform) -> Iterator[Scene]:
    with clock.frozen(clock.now()):
        yield Scene(platform)


def test_it_is_offered_once_something_was_delivered_and_asked_once(scene: Scene) -> None:
    assert "Ask them to erase your data" in scene.page()
    form = hidden_fields(scene.citizen.client.get(scene.path).text)
    for _ in range(2):
        answer = scene.citizen.client.post(scene.path, data=form)
        assert (answer.status_code, answer.location) == (303, f"/consents/{scene.consent.transaction_id}#erasure")
    (entry,) = scene.entries("requested")
    assert (entry.actor, entry.client_id, entry.at) == ("citizen", scene.bank.client_id, clock.now())
    page = scene.page()
    assert "Ask them to erase your data" not in page
    assert '<h2 class="section" id="erasure">Your request to erase' in page, "where it leads to"
    assert "has not answered yet" in page
    assert "You asked First Sample Bank to erase your data" in page
    assert "You asked First Sample Bank to erase your data" in scene.messages()
    assert "Your request to erase" in scene.citizen.client.get(f"{scene.path}?lang=en").text


@pytest.mark.parametrize("said", [{"status": "erased"}, {"status": "refused", "reason": "contract"}])
def test_of_two_consents_to_one_client_one_is_asked_about_and_answered(scene: Scene, said: dict[str, Any]) -> None:
    code = scene.platform.code(scene.platform.detail("ris.personal"), citizen=scene.citizen, bank=scene.bank)
    beside = scene.bank.redeem(code).get_json()["grant_id"]
    (other,) = rows(scene.platform, Consent, id=beside)
    scene.ask()
    assert rows(scene.platform, Consent, id=beside) == [other]
    with writing(scene.platform) as session:
        known: Any = {"citizen_id": other.citizen_id, "by_mail": False, "now": clock.now()}
        assert erasure.ask(session, other.transaction_id, **known)
    asked = rows(scene.platform, Consent, id=beside)
    assert scene.answer(**said).status_code == 204
    assert scene.consent.erasure_answered_at is not None
    assert rows(scene.platform, Consent, id=beside) == asked


def test_where_nothing_was_delivered_there_is_nothing_to_ask(platform: Platform) -> None:
    scene = Scene(platform, delivered=False)
    assert "There is nothing to erase" in scene.citizen.client.get(f"{scene.path}?lang=en").text
    scene.ask()
    assert scene.entries("requested") == []


def test_a_form_that_is_not_the_sessions_asks_nothing(scene: Scene) -> None:
    for form in ({}, {"csrf": "x"}):
        assert scene.citizen.client.post(scene.path, data=form).status_code == 403
    assert scene.citizen.client.post(scene.path, data={"csrf": ["x", "x"]}).status_code == 400
    assert scene.consent.erasure_requested_at is None


@pytest.mark.parametrize("shut", ["suspended", "signed out"])
def test_who_is_shut_out_while_the_request_is_under_way_asks_nothing(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, shut: str
) -> None:
    form = hidden_fields(scene.citizen.client.get(scene.path).text)
    shut_out_once_seen(monkeypatch, scene.platform, scene.citizen.username, shut)
    answer = scene.citizen.client.post(scene.path, data=form)
    assert (answer.status_code, answer.location) == (303, scene.path)
    assert (scene.consent.erasure_requested_at, scene.entries("requested")) == (None, [])


def test_the_recipient_says_that_it_has_erased_it_also_when_the_consent_has_ended(scene: Scene) -> None:
    scene.ask()
    with writing(scene.platform) as session:
        reference, citizen_id = scene.consent.transaction_id, scene.consent.citizen_id
        withdrawal.withdraw(session, reference, citizen_id=citizen_id, now=clock.now())
    assert scene.asked().get_json() == {
        "status": "requested",
        "erase_by": scene.consent.erase_by.isoformat(),
        "requested_at": int(clock.now().timestamp()),
    }
    for _ in range(2):
        assert scene.answer(status="erased").status_code == 204, "the same again is fine"
    assert scene.asked().get_json()["status"] == "erased"
    (entry,) = scene.entries("acknowledged")
    assert (entry.actor, entry.reason, entry.success) == (f"client:{scene.bank.client_id}", "erased", True)
    page = scene.page()
    assert "says that it has erased your data:" in page
    assert "It says that it has erased your data." in page
    assert "answered your request to erase your data" in scene.messages()
    refused(scene.answer(status="refused", reason="contract"), 409, "erasure_settled")


def test_what_is_erased_is_in_use_no_more_and_what_is_refused_is(scene: Scene) -> None:
    def listed(state: str) -> bool:
        return scene.consent.transaction_id in scene.citizen.client.get(f"/consents?lang=en&state={state}").text

    scene.ask()
    scene.answer(status="refused", reason="contract")
    assert "In use" in scene.page()
    assert (listed("active"), listed("history")) == (True, False)
    scene.answer(status="erased")
    assert "Erased, as they say" in scene.page()
    assert (listed("active"), listed("history")) == (False, True)


def test_until_when_it_may_be_used_is_told_as_long_as_there_is_something_to_use(scene: Scene) -> None:
    reference = scene.consent.transaction_id
    pages = {
        f"/consents/{reference}": "Bank may use it until",
        f"/consent/{reference}/outcome": "Bank may use it until",
        "/consents": "<dt>May be used until</dt>",
    }

    def told(state: str = "active") -> list[bool]:
        query = {"lang": "en", "state": state}
        return [says in scene.citizen.client.get(page, query_string=query).text for page, says in pages.items()]

    assert told() == [True, True, True]
    scene.answer(status="erased")
    assert told("history") == [False, False, False]


def test_what_was_stopped_before_it_was_delivered_may_not_be_used_until_a_day(platform: Platform) -> None:
    scene = Scene(platform, delivered=False)
    assert "Bank may use it until" in scene.page()
    with writing(platform) as session:
        reference, citizen_id = scene.consent.transaction_id, scene.consent.citizen_id
        withdrawal.withdraw(session, reference, citizen_id=citizen_id, now=clock.now())
    assert "Bank may use it until" not in scene.page()


def test_the_recipient_refuses_with_a_reason_and_may_erase_it_after_all(scene: Scene) -> None:
    scene.ask()
    assert scene.answer(status="refused", reason="legal_obligation").status_code == 204
    refused(scene.answer(status="refused", reason="contract"), 409, "erasure_settled")
    assert scene.asked().get_json()["reason"] == "legal_obligation"
    assert "It says that a law makes it keep the data." in scene.page()
    assert scene.answer(status="erased").status_code == 204
    assert [entry.reason for entry in scene.entries("acknowledged")] == ["legal_obligation", "erased"]
    assert "says that it has erased your data:" in scene.page()


def test_who_was_not_asked_may_say_that_it_has_erased_it_but_not_refuse(scene: Scene) -> None:
    refused(scene.answer(status="refused", reason="not_held"), 409, "erasure_settled")
    assert scene.asked().get_json()["status"] == "none"
    assert scene.answer(status="erased").status_code == 204
    assert "Ask them to erase your data" not in scene.page()
    scene.ask()
    assert scene.entries("requested") == []


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"status": "x"},
        {"status": "refused"},
        {"status": "refused", "reason": "x"},
        {"status": "erased", "reason": "contract"},
    ],
    ids=str,
)
def test_an_answer_that_is_none_changes_nothing(scene: Scene, form: dict[str, Any]) -> None:
    scene.ask()
    refused(scene.answer(**form), 400, "invalid_request")
    assert scene.consent.erasure_answered_at is None


def test_another_client_neither_sees_nor_answers_it(scene: Scene) -> None:
    scene.ask()
    other = scene.platform.other_bank
    refused(scene.asked(other), 404, "not_found")
    refused(scene.answer(other, status="erased"), 404, "not_found")
    assert scene.consent.erasure_answered_at is None


def test_another_scope_does_not_do(scene: Scene) -> None:
    token = access(scene.bank, "grant_management_query grant_management_revoke").get_json()["access_token"]
    path = f"/grants/{scene.grant_id}/erasure"
    headers = {
        "Authorization": f"DPoP {token}",
        "DPoP": scene.bank.proof("POST", scene.bank.issuer + path, token=token),
    }
    refused(scene.bank.browser.post(path, data={"status": "erased"}, headers=headers), 403, "insufficient_scope")


def test_on_the_day_the_recipient_is_reminded_once(scene: Scene) -> None:
    scene.ask()
    to_wait = scene.consent.erase_by - clock.day_of(clock.now())
    clock.advance(to_wait - timedelta(days=1))
    worker.tick(scene.platform.engine, now=clock.now())
    assert scene.entries("reminded") == []
    clock.advance(timedelta(days=1))
    for _ in range(2):
        worker.tick(scene.platform.engine, now=clock.now())
    (entry,) = scene.entries("reminded")
    assert (entry.actor, entry.client_id) == ("worker", scene.bank.client_id)
    scene.citizen = scene.platform.citizen(scene.citizen.username)
    assert "Overdue" not in scene.page()
    clock.advance(timedelta(days=1))
    scene.citizen = scene.platform.citizen(scene.citizen.username)
    assert "Overdue" in scene.page()
    assert scene.answer(status="erased").status_code == 204
    assert "Overdue" not in scene.page()


def test_who_can_t_be_told_is_not_said_to_be_and_the_page_says_whom_to_call(platform: Platform) -> None:
    with clock.frozen(clock.now()):
        scene = Scene(platform, endpoint=None)
        number = '<span class="unbroken">02-0000-0000</span>'
        call = f"Call First Sample Bank on {number} and quote the reference number {scene.consent.transaction_id}."
        question = scene.citizen.client.get(f"{scene.path}?lang=en").text
        assert call in question
        for claim in ("tells First Sample Bank at once", "it is reminded"):
            assert claim not in question
        scene.ask()
        assert (len(scene.entries("untold")), scene.entries("requested")) == (1, [])
        page = scene.page()
        assert call in page
        assert "this platform reminds it" not in page
        assert "Call First Sample Bank to have your data erased" in scene.messages()
        clock.advance(scene.consent.erase_by - clock.day_of(clock.now()))
        for _ in range(2):
            worker.tick(platform.engine, now=clock.now())
        assert (len(scene.entries("due")), scene.entries("reminded")) == (1, [])
        scene.citizen = platform.citizen(scene.citizen.username)
        record = scene.citizen.client.get("/record?lang=en").text
        said = "The day by which First Sample Bank must erase your data has come, but it could not be reminded"
        assert said in record
        assert scene.asked().get_json()["status"] == "requested", "who asks by itself sees it"
        assert scene.answer(status="erased").status_code == 204
        assert call not in scene.page()


def test_who_has_answered_is_not_reminded(scene: Scene) -> None:
    scene.ask()
    scene.answer(status="refused", reason="legal_claims")
    clock.advance(timedelta(days=400))
    worker.tick(scene.platform.engine, now=clock.now())
    assert scene.entries("reminded") == []


def test_who_says_erased_before_the_data_came_is_asked_all_the_same(platform: Platform) -> None:
    with clock.frozen(clock.now()):
        scene = Scene(platform, delivered=False)
        assert scene.answer(status="erased").status_code == 204
        clock.advance(timedelta(seconds=1))
        scene.deliver()
        assert "Ask them to erase your data" in scene.page()
        assert "In use" in scene.page()
        assert scene.ask().status_code == 303
        assert (scene.consent.erasure_requested_at, scene.consent.erasure_answered_at) == (clock.now(), None)
        assert scene.asked().get_json()["status"] == "requested"


def test_what_came_after_the_answer_does_not_count_as_erased_when_it_is_over(platform: Platform) -> None:
    with clock.frozen(clock.now()):
        scene = Scene(platform, delivered=False)
        assert scene.answer(status="erased").status_code == 204
        clock.advance(timedelta(seconds=1))
        scene.deliver()
        clock.advance(timedelta(days=91))
        scene.citizen = platform.citizen(scene.citizen.username)
        assert "Over" in scene.page()
        assert "Erased, as they say" not in scene.page()
