"""A citizen asks an agency to correct a field: only the agency learns what to, and what it answers is on the record."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from authz_server import server
from authz_server.audit.models import AuditEntry
from authz_server.clients.models import Agency
from authz_server.consent import correction
from authz_server.consent.errors import NeverSent
from authz_server.consent.models import Consent, Correction
from authz_server.core import clock, jose
from authz_server.core.identifiers import AgencyId
from authz_server.core.jose import Key
from authz_server.notices.channels.base import Errand, Undeliverable
from authz_server.notices.outbox import LEASE, claim, figures
from tests.notices.support import Hands
from tests.support.platform import CitizenBrowser, Platform, hidden_fields, new_key
from tests.support.protocol import (
    WAYS_TO_SHUT_OUT,
    Fetch,
    everything,
    new_citizen,
    refused,
    rows,
    services_of,
    shut_out_once_seen,
    writing,
)
from tests.support.receiver import Receiver, receiving

AGENCY, DATASET, FIELD = AgencyId("ris"), "ris.personal", "ris.personal/national_id"
VALUE = "看錯一個字母了"


class Scene:
    """A citizen whose register entry was delivered, and the desk of the agency that keeps it."""

    def __init__(self, platform: Platform, receiver: Receiver) -> None:
        self.platform, self.receiver = platform, receiver
        self.keys: tuple[Key, Key] = platform.agency_keys[AGENCY]
        with writing(platform) as session:
            session.execute(update(Agency).where(Agency.id == AGENCY).values(correction_endpoint=receiver.url))
        self.hands = Hands(platform, allowed_outbound_hosts=(receiver.address,))
        self.citizen: CitizenBrowser = platform.citizen(new_citizen(platform))
        body = platform.bank.redeem(platform.code(platform.detail(DATASET), citizen=self.citizen)).get_json()
        Fetch(platform, body["authorization_details"][0]["access_token"]).deliver()
        (self.consent,) = rows(platform, Consent, id=body["grant_id"])
        self.path = f"/consent/{self.consent.transaction_id}/correct"

    def ask(self, field: str = FIELD, value: str = VALUE, **form: Any) -> TestResponse:
        known = hidden_fields(self.citizen.client.get(self.path).text) | {"field": field, "value": value}
        return self.citizen.client.post(f"{self.path}?lang=en", data=known | form)

    def carry(self) -> int:
        self.hands.tick()
        return self.hands.deliver("agency")

    def page(self) -> str:
        return self.citizen.client.get(f"/consents/{self.consent.transaction_id}?lang=en").text

    @property
    def rows(self) -> list[Any]:
        return rows(self.platform, Correction, transaction_id=self.consent.transaction_id)

    @property
    def row(self) -> Any:
        (only,) = self.rows
        return only

    def entries(self, event: str) -> list[Any]:
        return rows(self.platform, AuditEntry, event=event, transaction_id=self.consent.transaction_id)

    def answer(self, outcome: str = "corrected", *, key: Key | None = None, typ: str = "", **claims: Any) -> Any:
        """What the agency says of the request, with changes."""
        told = {"iss": AGENCY, "aud": self.platform.settings.issuer, "iat": int(clock.now().timestamp())}
        told |= {"correction": self.row.id, "outcome": outcome} | claims
        token = jose.sign(told, key or self.keys[0], typ=typ or "mydata-correction-outcome+jwt")
        return self.post(self.row.id, token)

    def post(self, correction_id: str, token: str, content_type: str = "application/jwt") -> TestResponse:
        return self.platform.browser().post(f"/corrections/{correction_id}", data=token, content_type=content_type)


@pytest.fixture
def scene(own_platform: Platform) -> Iterator[Scene]:
    with clock.frozen(clock.now()), receiving() as receiver:
        yield Scene(own_platform, receiver)


@pytest.mark.parametrize("level", [3, 4])
def test_whoever_is_weaker_than_the_dataset_demands_asks_for_nothing(scene: Scene, level: int) -> None:
    weak = scene.platform.citizen(scene.citizen.username, level=level)
    form = {"csrf": weak.csrf(f"correct:{scene.consent.transaction_id}"), "field": FIELD, "value": VALUE}
    for answer in (weak.client.get(scene.path), weak.client.post(scene.path, data=form)):
        assert (answer.status_code, answer.location.partition("?")[0]) == (303, "/sign-in")
    assert not scene.rows


def test_switching_the_language_keeps_what_was_typed_and_sends_nothing(scene: Scene) -> None:
    assert 'form="correct" name="lang"' in scene.citizen.client.get(scene.path).text
    page = scene.ask(lang="en")
    assert (page.status_code, scene.rows) == (200, [])
    assert f'value="{VALUE}"' in page.text
    assert f'<option value="{FIELD}" selected>' in page.text


def test_only_the_agency_learns_what_it_should_say_and_nothing_of_it_stays(scene: Scene) -> None:
    assert scene.path in scene.page()
    answer = scene.ask()
    assert (answer.status_code, answer.location) == (303, f"/consents/{scene.consent.transaction_id}#corrections")
    page = scene.page()
    assert '<h2 class="section" id="corrections">What you asked agencies to correct' in page, "where it leads to"
    assert "On its way to the agency." in page
    everywhere = str(everything(scene.platform))
    assert VALUE not in everywhere
    assert scene.row.sealed is not None
    assert scene.carry() == 1
    (request,) = scene.receiver.server.requests
    assert b"Content-Type: application/jose" in request
    signed = jose.decrypt(scene.receiver.tokens[0], scene.keys[1]).decode()
    platform_keys = services_of(scene.platform).keys
    claims = jose.verify(signed, platform_keys, algorithms=("ES256",), typ="mydata-correction+jwt").claims
    assert claims == {
        "iss": scene.platform.settings.issuer,
        "aud": AGENCY,
        "iat": int(clock.now().timestamp()),
        "jti": scene.row.id,
        "txn": scene.consent.transaction_id,
        "sub": claims["sub"],
        "dataset": DATASET,
        "parameters": {},
        "field": "national_id",
        "claimed": VALUE,
    }
    assert (scene.row.sealed, scene.row.delivered_at) == (None, clock.now())
    assert "The agency has it, and has not answered yet." in scene.page()
    (entry,) = scene.entries("consent.correction_requested")
    assert (entry.actor, entry.agency_id, entry.dataset_id, entry.reason) == ("citizen", AGENCY, DATASET, "national_id")


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        ("corrected", "The agency has corrected it."),
        ("refused", "The agency keeps it as it is."),
        ("in_person", "The agency needs you to come in person."),
    ],
)
def test_what_the_agency_answers_is_told_once(scene: Scene, outcome: str, words: str) -> None:
    scene.ask()
    scene.carry()
    for _ in range(2):
        assert scene.answer(outcome).status_code == 204, "the same again is fine"
    refused(scene.answer("refused" if outcome != "refused" else "corrected"), 409, "correction_settled")
    (entry,) = scene.entries("consent.correction_settled")
    assert (entry.actor, entry.reason, entry.dataset_id) == (f"agency:{AGENCY}", outcome, DATASET)
    assert scene.page().count(words) == 2
    assert "Department of Household Registration" in scene.page()
    scene.hands.tick()
    assert "was settled" in scene.citizen.client.get("/messages?lang=en").text
    assert scene.ask().status_code == 303, "and may be asked anew"


@pytest.mark.parametrize("becomes", ["delivered", "undelivered", "corrected"])
def test_what_becomes_of_one_request_becomes_of_no_other(scene: Scene, becomes: str) -> None:
    beside = Scene(scene.platform, scene.receiver)
    for one in (scene, beside):
        assert one.ask().status_code == 303
    before = beside.row
    with writing(scene.platform) as session:
        if becomes == "delivered":
            correction.delivered(session, scene.row.id, now=clock.now())
        elif becomes == "undelivered":
            correction.undelivered(session, scene.row.id, now=clock.now())
        else:
            correction.settle(session, scene.row.id, "corrected", agency_id=AGENCY, now=clock.now())
    assert (scene.row.sealed, beside.row) == (None, before)
    assert not beside.entries(correction.SETTLED)


def test_only_the_agency_itself_answers_in_time_and_about_this_request(scene: Scene) -> None:
    scene.ask()
    scene.carry()
    wrong: list[dict[str, Any]] = [
        {"key": new_key()},
        {"key": scene.platform.agency_keys[AgencyId("fia")][0]},
        {"typ": "JWT"},
        {"iss": "fia"},
        {"aud": "https://elsewhere.example"},
        {"correction": "another"},
        {"iat": int(clock.now().timestamp()) - 3600},
        {"iat": "now"},
    ]
    for changes in wrong:
        refused(scene.answer(**changes), 401, "invalid_client")
    refused(scene.answer("whatever"), 400, "invalid_request")
    refused(scene.post(scene.row.id, "x"), 401, "invalid_client")
    refused(scene.post(scene.row.id, "\u00e9"), 401, "invalid_client")
    refused(scene.post(scene.row.id, "x", "application/json"), 400, "invalid_request")
    for unknown in ("none", "%00", "x" * 50):
        refused(scene.post(unknown, "x"), 404, "not_found")
    assert scene.post("none", "x").get_json()["error_description"] == NeverSent.public
    with writing(scene.platform) as session:
        session.execute(update(Agency).where(Agency.id == AGENCY).values(suspended_at=clock.now()))
    services_of(scene.platform).registry.reload()
    refused(scene.answer(), 401, "invalid_client")
    assert scene.row.settled_at is None


def test_a_field_is_asked_about_once_until_it_is_answered(scene: Scene) -> None:
    assert scene.ask().status_code == 303
    answer = scene.ask()
    assert answer.status_code == 409
    assert "You have asked for this already" in answer.text
    assert scene.ask("ris.personal/name", "測試市民").status_code == 303
    assert len(scene.rows) == len(scene.entries("consent.correction_requested")) == 2


@pytest.mark.parametrize(
    ("form", "status"),
    [
        ({"csrf": "x"}, 403),
        ({"csrf": ["x", "x"]}, 400),
        ({"field": ""}, 400),
        ({"field": "ris.personal/none"}, 400),
        ({"field": "fia.property/items"}, 400),
        ({"value": " "}, 400),
        ({"value": "x" * 501}, 400),
        ({"value": "\x07"}, 400),
    ],
    ids=str,
)
def test_a_form_that_is_not_right_sends_nothing(scene: Scene, form: dict[str, Any], status: int) -> None:
    assert scene.ask(**form).status_code == status
    assert scene.rows == []


def test_an_agency_that_is_away_gets_the_very_same_later(scene: Scene) -> None:
    scene.receiver.answers = [b"500 Oops"]
    scene.ask()
    scene.carry()
    assert scene.row.sealed is not None
    clock.advance(timedelta(minutes=5))
    scene.carry()
    assert len(set(scene.receiver.tokens)) == 1
    assert len(scene.receiver.tokens) == 2
    assert scene.row.sealed is None


def test_after_eight_hours_it_is_destroyed_and_the_citizen_is_told(scene: Scene) -> None:
    scene.receiver.taken = b"503 Away"
    scene.ask()
    scene.carry()
    clock.advance(timedelta(hours=8) - timedelta(seconds=1))
    scene.hands.tick()
    assert scene.row.sealed is not None
    clock.advance(timedelta(seconds=1))
    pushed = len(scene.receiver.tokens)
    scene.hands.deliver("agency")
    assert len(scene.receiver.tokens) == pushed, "a worker that was away begins with what is due"
    scene.hands.tick()
    assert (scene.row.sealed, scene.row.outcome, scene.row.settled_at) == (None, "undelivered", clock.now())
    scene.carry()
    assert len(scene.receiver.tokens) == pushed, "there is nothing to send any more"
    (entry,) = scene.entries("consent.correction_settled")
    assert (entry.actor, entry.success, entry.reason) == ("worker", False, "undelivered")
    scene.citizen = scene.platform.citizen(scene.citizen.username)
    assert "could not be reached" in scene.page()


@pytest.mark.parametrize("who", ["its citizen, who looks", "the next one who asks", "a server that starts"])
def test_after_eight_hours_it_is_destroyed_also_where_no_worker_runs(scene: Scene, who: str) -> None:
    scene.ask()
    clock.advance(timedelta(hours=8) - timedelta(seconds=1))
    scene.citizen = scene.platform.citizen(scene.citizen.username)
    assert "On its way to the agency." in scene.page()
    assert scene.row.sealed is not None
    clock.advance(timedelta(seconds=1))
    if who == "its citizen, who looks":
        assert "could not be reached" in scene.page()
    elif who == "the next one who asks":
        assert scene.ask("ris.personal/name", "測試市民").status_code == 303
    else:
        assert server.check_secret(scene.platform.settings)
    row = next(row for row in scene.rows if row.field_id == "national_id")
    assert (row.sealed, row.outcome, row.settled_at) == (None, "undelivered", clock.now())
    (entry,) = scene.entries("consent.correction_settled")
    assert (entry.actor, entry.reason, entry.trace_id) == ("worker", "undelivered", None)


def test_an_agency_that_will_never_take_it_is_not_asked_again(scene: Scene) -> None:
    scene.receiver.answers = [b"400 No"]
    scene.ask()
    scene.carry()
    assert (scene.row.sealed, scene.row.outcome) == (None, "undelivered")
    with Session(scene.platform.engine) as session:
        (row,) = (one for one in figures(session, since=clock.now() - timedelta(days=1)) if one.channel == "agency")
    assert row.given_up == 1


@pytest.mark.parametrize("other", ["has sent it", "sends it"])
def test_a_worker_that_was_slower_than_its_claim_gives_up_nothing(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, other: str
) -> None:
    agency = scene.hands.channels["agency"]

    def slow(_errand: Errand) -> None:
        monkeypatch.undo()
        clock.advance(LEASE)
        if other == "has sent it":
            assert scene.hands.deliver("agency") == 1
        else:
            with writing(scene.platform) as session:
                assert len(claim(session, "agency", now=clock.now())) == 1
        raise Undeliverable("400")

    scene.ask()
    monkeypatch.setattr(agency, "send", slow)
    scene.carry()
    assert scene.entries("consent.correction_settled") == []
    assert (scene.row.delivered_at, scene.row.sealed is None) == (
        (clock.now(), True) if other == "has sent it" else (None, False)
    )
    if other == "has sent it":
        assert scene.answer().status_code == 204


def test_what_its_agency_has_is_given_up_by_nobody(scene: Scene) -> None:
    scene.ask()
    scene.carry()
    with writing(scene.platform) as session:
        correction.undelivered(session, scene.row.id, now=clock.now())
    assert scene.entries("consent.correction_settled") == []
    assert scene.answer().status_code == 204


def test_of_an_agency_that_takes_no_requests_the_citizen_learns_whom_to_call(scene: Scene) -> None:
    with writing(scene.platform) as session:
        session.execute(update(Agency).where(Agency.id == AGENCY).values(correction_endpoint=None))
    services_of(scene.platform).registry.reload()
    page = scene.citizen.client.get(f"{scene.path}?lang=en").text
    assert "Agencies that you ask yourself" in page
    assert scene.platform.catalogue.agency(AGENCY).phone in page
    assert '<form id="correct"' not in page
    assert scene.ask().status_code == 403


def test_another_citizen_asks_nothing_about_it(scene: Scene) -> None:
    other = scene.platform.citizen(new_citizen(scene.platform)).client
    assert other.get(scene.path).status_code == 404
    assert other.post(scene.path, data={"csrf": "x"}).status_code == 404


def test_after_three_answers_about_a_field_no_more_is_asked(scene: Scene) -> None:
    for _ in range(3):
        assert scene.ask().status_code == 303
        scene.carry()
        with writing(scene.platform) as session:
            (row,) = session.scalars(select(Correction).where(Correction.settled_at.is_(None)))
            correction.settle(session, row.id, "refused", agency_id=AGENCY, now=clock.now())
    answer = scene.ask()
    assert answer.status_code == 409
    assert "has answered about this field already" in answer.text
    assert len(scene.rows) == 3
    assert scene.ask("ris.personal/name", "測試市民").status_code == 303


def test_of_a_frozen_account_nothing_is_sent(scene: Scene) -> None:
    assert scene.ask().status_code == 303
    scene.hands.change(scene.citizen.username, frozen_at=clock.now())
    assert scene.carry() == 1
    assert scene.receiver.tokens == [], "what was asked before"
    answer = scene.ask("ris.personal/name", "測試市民")
    assert answer.status_code == 403
    assert "Your account is frozen" in answer.text
    assert len(scene.rows) == 1


@pytest.mark.parametrize("shut", WAYS_TO_SHUT_OUT)
def test_who_is_shut_out_while_the_request_is_under_way_asks_for_nothing(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, shut: str
) -> None:
    form = hidden_fields(scene.citizen.client.get(scene.path).text) | {"field": FIELD, "value": VALUE}
    before = shut_out_once_seen(monkeypatch, scene.platform, scene.citizen.username, shut)
    answer = scene.citizen.client.post(scene.path, data=form)
    assert (answer.status_code, answer.location) == (303, scene.path)
    assert everything(scene.platform) == before[0]


def test_an_agency_that_was_suspended_is_sent_nothing(scene: Scene) -> None:
    assert 'name="field"' in scene.citizen.client.get(scene.path).text
    with writing(scene.platform) as session:
        session.execute(update(Agency).where(Agency.id == AGENCY).values(suspended_at=clock.now()))
    services_of(scene.platform).registry.reload()
    page = scene.citizen.client.get(scene.path).text
    assert 'name="field"' not in page
