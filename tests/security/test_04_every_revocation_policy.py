"""Class 4: one of several revocation policies is forgotten on one path (Keycloak CVE-2026-8922).

Class 24: what was switched off in the middle of a flow still works (authentik CVE-2025-64521).

Who or what ends x where it must show: an ended thing is dead at every step that is still to come.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from authz_server.audit.models import AuditEntry
from authz_server.clients import service as clients
from authz_server.consent.models import Consent
from authz_server.core import clock
from authz_server.core.secrets import digest
from authz_server.identity import service as identity
from authz_server.identity.models import Citizen
from authz_server.tokens.models import DatasetToken
from authz_server.tokens.withdrawal import freeze
from tests.support.platform import PURPOSE, Bank, CitizenBrowser, Platform, answer_of, hidden_fields
from tests.support.protocol import (
    dataset_token,
    error_page,
    new_bank,
    new_citizen,
    opened,
    refused,
    rows,
    userinfo,
    writing,
)

DATASET = "ris.personal"


@dataclass
class Journey:
    """One client and one citizen of a test's own, and how far they have come."""

    platform: Platform
    bank: Bank
    username: str
    browser: CitizenBrowser
    request_uri: str = ""
    page: TestResponse | None = None
    code: str = ""
    access_token: str = ""
    dataset_token: str = ""
    lease: str = ""

    def push(self) -> TestResponse:
        detail = self.platform.detail(DATASET) | {"purpose": PURPOSE}
        answer = self.bank.post("/par", self.bank.parameters(detail))
        self.request_uri = (answer.get_json() or {}).get("request_uri", "")
        return answer

    def read(self) -> TestResponse:
        self.page = opened(self.browser, self.bank, self.request_uri)
        return self.page

    def decide(self) -> TestResponse:
        assert self.page is not None
        answer = self.browser.decide(self.page)
        self.code = (
            answer_of(answer).get("code", "") if answer.status_code == 303 and "code=" in answer.location else ""
        )
        return answer

    def redeem(self) -> TestResponse:
        answer = self.bank.redeem(self.code)
        if answer.status_code == 200:
            self.access_token = answer.get_json()["access_token"]
            self.dataset_token = answer.get_json()["authorization_details"][0]["access_token"]
        return answer

    def ask_who(self) -> TestResponse:
        return userinfo(self.bank, self.access_token)

    def introspect(self) -> TestResponse:
        return self.platform.proxy.post("/introspect", {"token": self.dataset_token})

    def exchange(self) -> TestResponse:
        jkt = self.bank.dpop_key.thumbprint
        answer = self.platform.proxy.exchange(self.dataset_token, DATASET, jkt=jkt)
        self.lease = (answer.get_json() or {}).get("lease", "")
        return answer

    def deliver(self) -> TestResponse:
        return self.platform.proxy.report(self.lease, "delivering")


Switch = Callable[[Session, Platform], None]
STEPS: tuple[Callable[[Journey], TestResponse], ...] = (
    Journey.push,
    Journey.read,
    Journey.decide,
    Journey.redeem,
    Journey.ask_who,
    Journey.introspect,
    Journey.exchange,
    Journey.deliver,
)


def suspend_client(journey: Journey) -> None:
    with writing(journey.platform) as session:
        clients.suspend(session, journey.bank.client_id, now=clock.now())


def suspend_citizen(journey: Journey) -> None:
    with writing(journey.platform) as session:
        identity.suspend(session, journey.username, now=clock.now())


def freeze_citizen(journey: Journey) -> None:
    (citizen,) = rows(journey.platform, Citizen, username=journey.username)
    cookie = journey.browser.client.get_cookie("__Host-mydata")
    assert cookie is not None
    kept = digest(cookie.value)
    with writing(journey.platform) as session:
        freeze(session, citizen.id, actor="citizen", reason="by_button", keep_session=kept, now=clock.now())


def replay_the_code(journey: Journey) -> None:
    refused(journey.bank.redeem(journey.code), 400, "invalid_grant")


def revoke_both_tokens(journey: Journey) -> None:
    for token in (journey.access_token, journey.dataset_token):
        assert journey.bank.post("/revoke", {"token": token}).status_code == 200


def begin(platform: Platform) -> Journey:
    bank, username = new_bank(platform), new_citizen(platform)
    return Journey(platform, bank, username, platform.citizen(username))


def went_well(answer: TestResponse) -> bool:
    """Whether a step got what it wanted."""
    if answer.status_code == 303:
        return "code=" in answer.location
    if answer.is_json and "active" in answer.get_json():
        return bool(answer.get_json()["active"])
    return answer.status_code in {200, 201, 204}


def run(journey: Journey, steps: tuple[Callable[[Journey], TestResponse], ...]) -> None:
    for step in steps:
        answer = step(journey)
        assert went_well(answer), (step.__name__, answer.status, answer.text[:300])


def test_undisturbed_every_step_goes_well(platform: Platform) -> None:
    run(begin(platform), STEPS)


@pytest.mark.parametrize("done", range(len(STEPS)))
@pytest.mark.parametrize("end", [suspend_client, suspend_citizen, freeze_citizen])
def test_who_is_suspended_or_frozen_gets_no_further_wherever_they_are(
    platform: Platform, end: Callable[[Journey], None], done: int
) -> None:
    journey = begin(platform)
    run(journey, STEPS[:done])
    end(journey)
    step = STEPS[done]
    if end is not suspend_client and step is Journey.push:
        return  # nobody knows yet whom a request will be for
    answer = step(journey)
    assert not went_well(answer), (step.__name__, answer.status)
    assert answer.status_code < 500


@pytest.mark.parametrize("done", range(1, len(STEPS)))  # a pushed request alone opens nothing
def test_a_client_is_suspended_at_once_also_on_hosts_whose_registry_does_not_know_it_yet(
    platform: Platform, done: int
) -> None:
    journey = begin(platform)
    with clock.frozen(clock.now()):
        run(journey, STEPS[:done])
        with Session(platform.engine) as session, session.begin():
            clients.suspend(session, journey.bank.client_id, now=clock.now())
        answer = STEPS[done](journey)
    assert not went_well(answer), answer.status
    assert answer.status_code < 500


@pytest.mark.parametrize("end", [replay_the_code, revoke_both_tokens])
@pytest.mark.parametrize("step", [Journey.ask_who, Journey.introspect, Journey.exchange])
def test_what_is_revoked_opens_nothing(
    platform: Platform, end: Callable[[Journey], None], step: Callable[[Journey], TestResponse]
) -> None:
    journey = begin(platform)
    run(journey, STEPS[:4])
    end(journey)
    assert not went_well(step(journey))


@pytest.mark.parametrize("end", [replay_the_code, revoke_both_tokens, suspend_client, suspend_citizen, freeze_citizen])
@pytest.mark.parametrize("outcome", ["delivering", "continuing", "delivered"])
def test_what_ends_while_it_is_fetched_is_not_delivered(
    platform: Platform, end: Callable[[Journey], None], outcome: str
) -> None:
    journey = begin(platform)
    run(journey, (*STEPS[:4], Journey.exchange))
    end(journey)
    refused(platform.proxy.report(journey.lease, outcome), 409, "lease_not_usable")


def suspend_agency(session: Session, _: Platform) -> None:
    clients.suspend_agency(session, "ris", now=clock.now())


def resume_agency(session: Session, _: Platform) -> None:
    clients.resume_agency(session, "ris")


def suspend_dataset(session: Session, platform: Platform) -> None:
    clients.suspend_dataset(session, DATASET, catalogue=platform.catalogue, now=clock.now())


def resume_dataset(session: Session, platform: Platform) -> None:
    clients.resume_dataset(session, DATASET, catalogue=platform.catalogue)


@pytest.mark.parametrize(
    ("suspend", "resume"),
    [(suspend_agency, resume_agency), (suspend_dataset, resume_dataset)],
    ids=["agency", "dataset"],
)
@pytest.mark.parametrize("done", [2, 5, 6, 7])
def test_what_is_suspended_is_asked_for_no_more(
    own_platform: Platform, suspend: Switch, resume: Switch, done: int
) -> None:
    journey = begin(own_platform)
    run(journey, STEPS[:done])
    with writing(own_platform) as session:
        suspend(session, own_platform)
    answer = STEPS[done](journey)
    assert not went_well(answer)
    assert answer.status_code < 500
    if done == 6:
        with writing(own_platform) as session:
            resume(session, own_platform)
        assert went_well(journey.exchange()), "the token was not used up by being refused"


@pytest.mark.parametrize("outcome", ["delivering", "continuing", "delivered"])
def test_a_dataset_that_is_suspended_while_it_is_fetched_is_not_delivered(own_platform: Platform, outcome: str) -> None:
    journey = begin(own_platform)
    run(journey, (*STEPS[:4], Journey.exchange))
    with writing(own_platform) as session:
        suspend_dataset(session, own_platform)
    refused(own_platform.proxy.report(journey.lease, outcome), 409, "lease_not_usable")


def test_asking_whether_a_delivery_may_go_on_changes_nothing(platform: Platform) -> None:
    journey = begin(platform)
    run(journey, (*STEPS[:4], Journey.exchange))
    before = rows(platform, AuditEntry), rows(platform, DatasetToken)
    for _ in range(2):
        assert platform.proxy.report(journey.lease, "continuing").status_code == 204
    assert (rows(platform, AuditEntry), rows(platform, DatasetToken)) == before
    assert platform.proxy.report(journey.lease, "delivered").status_code == 204
    refused(platform.proxy.report(journey.lease, "continuing"), 409, "lease_not_usable")


def test_other_datasets_of_the_agency_go_on(own_platform: Platform) -> None:
    journey = begin(own_platform)
    with writing(own_platform) as session:
        clients.suspend_dataset(session, "ris.household", catalogue=own_platform.catalogue, now=clock.now())
    run(journey, STEPS)


def test_other_agencies_go_on(own_platform: Platform) -> None:
    journey = begin(own_platform)
    with writing(own_platform) as session:
        clients.suspend_agency(session, "bli", now=clock.now())
    run(journey, STEPS)


def take_the_redirect_uri(registration: dict[str, Any]) -> None:
    registration["redirect_uris"] = ["https://elsewhere.example/callback"]


def take_the_purpose(registration: dict[str, Any]) -> None:
    registration["purposes"]["another"] = registration["purposes"].pop(PURPOSE)


def take_the_dataset(registration: dict[str, Any]) -> None:
    del registration["purposes"][PURPOSE]["datasets"][DATASET]


def take_a_demand(registration: dict[str, Any]) -> None:
    ceiling = registration["purposes"][PURPOSE]["datasets"][DATASET]
    ceiling["fields_optional"], ceiling["fields_required"] = ceiling["fields_required"], []


@pytest.mark.parametrize("take", [take_the_redirect_uri, take_the_purpose, take_the_dataset, take_a_demand])
@pytest.mark.parametrize("decision", ["approve", "deny", "unread", "cancelled"])
def test_a_request_that_its_client_could_not_push_any_more_is_not_answered(
    own_platform: Platform, take: Callable[[dict[str, Any]], None], decision: str
) -> None:
    """A redirect URI that was taken away may be somebody else's by now, so not even a refusal goes there."""
    journey = begin(own_platform)
    run(journey, (Journey.push,))
    stranger = own_platform.citizen(journey.username, signed_in=False)
    if decision == "cancelled":
        journey.page = stranger.client.get(opened(stranger, journey.bank, journey.request_uri).location)
    elif decision != "unread":
        journey.read()
    registration = own_platform.registration(journey.bank)
    take(registration)
    with writing(own_platform) as session:
        context = clients.Context(own_platform.catalogue, sandbox=True)
        clients.register(session, registration, context=context, now=clock.now(), replace=True)
    if decision == "unread":
        answer = journey.read()
    elif decision == "cancelled":
        assert journey.page is not None
        form = hidden_fields(journey.page.text) | {"action": "cancel"}
        answer = stranger.client.post("/sign-in", data=form)
    else:
        assert journey.page is not None
        answer = journey.browser.decide(journey.page, decision)
    error_page(answer)
    assert not rows(own_platform, Consent, client_id=journey.bank.client_id)


def test_a_resource_server_that_is_suspended_uses_up_no_more_tokens(own_platform: Platform) -> None:
    """Its assertion may still be taken for a second: the registry is looked at no more often."""
    fetch = dataset_token(own_platform)
    proxy = own_platform.proxy.client_id
    with clock.frozen(clock.now()):
        refused(fetch.exchange(subject_token="mdt_"), 400)  # what is known of the proxy is of this moment
        with Session(own_platform.engine) as session, session.begin():
            clients.suspend(session, proxy, now=clock.now())
        refused(fetch.exchange(), 400, "invalid_request")
        with writing(own_platform) as session:
            clients.resume(session, proxy)
        assert fetch.exchange().status_code == 200
