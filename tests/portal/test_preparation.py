"""A slow dataset is asked for as soon as its citizen agrees to a visit or a download, and the page says when to go."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from authz_server import worker
from authz_server.audit.models import AuditEntry
from authz_server.clients.models import Agency
from authz_server.consent.errors import NeverSent
from authz_server.consent.models import Consent, Preparation
from authz_server.core import clock, jose
from authz_server.core.identifiers import AgencyId
from authz_server.core.jose import Key
from authz_server.notices.models import Notice
from authz_server.tokens import readiness
from authz_server.tokens.models import DatasetToken
from authz_server.tokens.withdrawal import revoke, withdraw
from tests.counter.office import Visit, agree, announce, new_office, redeem
from tests.notices.support import Hands
from tests.support.platform import Platform, hidden_fields, new_key
from tests.support.protocol import Fetch, new_citizen, refused, rows, services_of, writing
from tests.support.receiver import Receiver, receiving

AGENCY = AgencyId("fia")
DATASET = "fia.income"


class Scene:
    """A citizen who is to go to a counter, and the agency whose data takes two hours."""

    def __init__(self, platform: Platform, receiver: Receiver, endpoint: str | None = "") -> None:
        self.platform, self.receiver = platform, receiver
        self.keys: tuple[Key, Key] = platform.agency_keys[AGENCY]
        with writing(platform) as session:
            address = receiver.url if endpoint == "" else endpoint
            session.execute(update(Agency).where(Agency.id == AGENCY).values(preparation_endpoint=address))
        self.hands = Hands(platform, allowed_outbound_hosts=(receiver.address,))
        self.office = new_office(platform, DATASET)
        self.visit: Visit = agree(platform, self.office, platform.citizen(new_citizen(platform)), DATASET)

    def carry(self) -> int:
        self.hands.tick()
        return self.hands.deliver("agency_ahead")

    @property
    def row(self) -> Any:
        (only,) = rows(self.platform, Preparation, transaction_id=self.visit.reference)
        return only

    def entries(self, event: str) -> list[Any]:
        return rows(self.platform, AuditEntry, event=event, transaction_id=self.visit.reference)

    def opened(self, number: int, typ: str = "mydata-preparation+jwt") -> dict[str, Any]:
        """What a push says, by its number."""
        signed = jose.decrypt(self.receiver.tokens[number], self.keys[1]).decode()
        claims = jose.verify(signed, services_of(self.platform).keys, algorithms=("ES256",), typ=typ).claims
        return dict(claims)

    def say(self, state: Any, *, key: Key | None = None, typ: str = "", **claims: Any) -> TestResponse:
        """What the agency says, with changes."""
        told = {"iss": AGENCY, "aud": self.platform.settings.issuer, "iat": int(clock.now().timestamp())}
        told |= {"preparation": self.row.id, "state": state} | claims
        token = jose.sign(told, key or self.keys[0], typ=typ or "mydata-preparation-state+jwt")
        return self.post(self.row.id, token)

    def post(self, preparation_id: str, token: str, content_type: str = "application/jwt") -> TestResponse:
        return self.platform.browser().post(f"/preparations/{preparation_id}", data=token, content_type=content_type)

    def stop(self) -> None:
        path = f"/consent/{self.visit.reference}/stop"
        form = hidden_fields(self.visit.citizen.client.get(path).text)
        assert self.visit.citizen.client.post(path, data=form).status_code == 303

    def told(self) -> list[str]:
        """The titles of the citizen's messages of this visit that the agency's word has made."""
        self.hands.tick()
        (notices,) = [rows(self.platform, Notice, channel="web")]
        ready = {entry.id for entry in self.entries("preparation.ready")}
        return [notice.channel for notice in notices if notice.audit_entry_id in ready]


@pytest.fixture
def scene(own_platform: Platform) -> Iterator[Scene]:
    with clock.frozen(clock.now()), receiving() as receiver:
        yield Scene(own_platform, receiver)


def in_s(seconds: int) -> int:
    return int(clock.now().timestamp()) + seconds


def test_the_agency_is_asked_at_once_and_the_page_says_when_to_go_and_that_it_is_ready(scene: Scene) -> None:
    assert "The agency was asked to prepare it. That takes about 2 hours." in scene.visit.page().text
    assert scene.carry() == 1
    claims = scene.opened(0)
    (consent,) = rows(scene.platform, Consent, transaction_id=scene.visit.reference)
    assert claims == {
        "iss": scene.platform.settings.issuer,
        "aud": AGENCY,
        "iat": int(clock.now().timestamp()),
        "exp": int(scene.row.until.timestamp()),
        "jti": scene.row.id,
        "txn": scene.visit.reference,
        "sub": claims["sub"],
        "dataset": DATASET,
        "fields": consent.granted[0]["fields"],
        "parameters": {"tax_year": "113"},
    }
    assert scene.row.until > consent.decided_at + timedelta(hours=8)
    state = scene.visit.citizen.client.get(f"{scene.visit.path}/state").get_json()
    assert scene.say("preparing", ready_at=in_s(7200)).status_code == 204
    assert "Ready at about" in scene.visit.page().text
    assert scene.visit.citizen.client.get(f"{scene.visit.path}/state").get_json() != state
    assert scene.say("preparing", ready_at=in_s(600)).status_code == 204
    clock.advance(timedelta(minutes=11))
    page = scene.visit.page().text
    assert "It should be ready about now." in page
    assert "It is best to go to the counter then." in page
    for _ in range(2):
        assert scene.say("ready").status_code == 204, "the same again is fine"
    page = scene.visit.page().text
    assert "You can go now." in page
    (entry,) = scene.entries("preparation.ready")
    assert (entry.actor, entry.agency_id, entry.dataset_id) == ("agency:fia", AGENCY, DATASET)
    assert scene.told() == ["web"]
    assert scene.told() == ["web"], "once"


def test_what_was_prepared_is_fetched_as_ever_and_only_once(scene: Scene) -> None:
    scene.carry()
    assert scene.say("ready").status_code == 204
    barcode = scene.visit.show()
    assert announce(scene.office, barcode).status_code == 200
    (granted,) = redeem(scene.office, barcode, scene.visit.code()).get_json()["authorization_details"]
    fetch, own = Fetch(scene.platform, granted["access_token"], DATASET), scene.office.dpop_key.thumbprint
    fetch.deliver(dpop_jkt=own)
    refused(fetch.exchange(dpop_jkt=own), 400, "invalid_request")
    page = scene.visit.page().text
    assert "You can go now." not in page
    assert "It is best to go" not in page
    assert scene.say("ready").status_code == 204, "as it was said before"


def test_only_what_was_not_delivered_for_sure_is_thrown_away_when_the_consent_ends(scene: Scene) -> None:
    platform, office = scene.platform, scene.office
    delivered = agree(platform, office, platform.citizen(new_citizen(platform)), DATASET)
    unknown = scene.visit
    scene.carry()
    for visit in (delivered, unknown):
        barcode = visit.show()
        announce(office, barcode)
        (granted,) = redeem(office, barcode, visit.code()).get_json()["authorization_details"]
        fetch = Fetch(platform, granted["access_token"], DATASET)
        lease = fetch.exchange(dpop_jkt=office.dpop_key.thumbprint).get_json()["lease"]
        if visit is delivered:
            assert platform.proxy.report(lease, "delivered").status_code == 204
    clock.advance(timedelta(minutes=10))  # a lease of which nobody has said anything has run out
    scene.hands.tick()
    with writing(platform) as session:
        for visit in (delivered, unknown):
            revoke(session, visit.reference, reason="on_request", now=clock.now())
    scene.hands.tick()
    dropped = rows(platform, AuditEntry, event="preparation.dropped")
    assert [entry.transaction_id for entry in dropped] == [unknown.reference]


def test_a_fetch_that_comes_too_early_takes_no_time_from_whoever_waits(scene: Scene) -> None:
    scene.carry()
    barcode = scene.visit.show()
    announce(scene.office, barcode)
    (granted,) = redeem(scene.office, barcode, scene.visit.code()).get_json()["authorization_details"]
    assert scene.say("preparing", ready_at=in_s(3600)).status_code == 204
    fetch, own = Fetch(scene.platform, granted["access_token"], DATASET), scene.office.dpop_key.thumbprint
    lease = fetch.exchange(dpop_jkt=own).get_json()["lease"]
    assert scene.platform.proxy.report(lease, "preparing", retry_after="60").status_code == 204
    clock.advance(timedelta(hours=1))
    assert scene.say("ready").status_code == 204
    assert fetch.exchange(dpop_jkt=own).status_code == 200


def test_what_is_said_of_one_and_its_end_touch_no_other(scene: Scene) -> None:
    beside, platform = Scene(scene.platform, scene.receiver), scene.platform

    def token(of: Scene) -> Any:
        (only,) = rows(platform, DatasetToken, transaction_id=of.visit.reference)
        return only

    for one in (scene, beside):
        barcode = one.visit.show()
        announce(one.office, barcode)
        assert redeem(one.office, barcode, one.visit.code()).status_code == 200
    own, others = token(scene), (beside.row, token(beside))
    assert scene.say("preparing", ready_at=in_s(3600)).status_code == 204
    assert token(scene).expires_at > own.expires_at
    assert scene.say("ready").status_code == 204
    scene.stop()
    scene.hands.tick()
    assert scene.row.dropped_at is not None
    assert (beside.row, token(beside)) == others


def test_an_agency_that_does_not_work_ahead_says_so(scene: Scene) -> None:
    assert scene.say("refused").status_code == 204
    assert "prepares it only once it is fetched. That takes about 2 hours." in scene.visit.page().text
    refused(scene.say("ready"), 409, "preparation_over")
    assert scene.told() == []


def test_an_end_of_the_consent_is_told_to_the_agency_and_nothing_is_ready_after_it(scene: Scene) -> None:
    assert scene.carry() == 1
    scene.stop()
    refused(scene.say("ready"), 409, "preparation_over")
    assert scene.carry() == 1
    claims = scene.opened(1, typ="mydata-preparation-drop+jwt")
    assert (claims["jti"], claims["txn"], "sub" in claims) == (scene.row.id, scene.visit.reference, False)
    assert [len(scene.entries(f"preparation.{name}")) for name in ("asked", "dropped", "ready")] == [1, 1, 0]
    assert scene.carry() == 0, "once"
    assert "Ready" not in scene.visit.page().text


def test_a_consent_that_ends_before_its_agency_was_reached_asks_for_nothing(scene: Scene) -> None:
    scene.receiver.answers = [b"503 Later", b"202 Accepted"]
    assert scene.carry() == 1
    scene.stop()
    clock.advance(timedelta(minutes=2))
    scene.carry()
    assert len(scene.receiver.tokens) == 2
    assert scene.opened(1, typ="mydata-preparation-drop+jwt")["jti"] == scene.row.id


def test_when_nobody_can_come_any_more_nothing_is_asked(scene: Scene) -> None:
    scene.hands.tick()
    clock.advance(scene.row.until - clock.now())
    scene.hands.deliver("agency_ahead")
    assert scene.receiver.tokens == []


def test_of_an_account_that_was_suspended_nothing_is_asked(scene: Scene) -> None:
    scene.hands.change(scene.visit.citizen.username, suspended_at=clock.now())
    assert scene.carry() == 1
    assert scene.receiver.tokens == []


def test_the_promise_to_ask_is_in_the_commit_of_the_consent_and_comes_again_under_the_same_number(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker dies between commit and push, the next between the agency's yes and its own commit."""
    channels = tuple(scene.hands.channels.values())
    assert worker.tick(scene.platform.engine, now=clock.now(), channels=channels) > 0
    with monkeypatch.context() as dying:
        dying.setattr("authz_server.notices.delivery._settle", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            scene.carry()
    assert scene.carry() == 0, "it is still the dead one's"
    clock.advance(timedelta(minutes=6))
    assert scene.carry() == 1
    first, second = scene.opened(0), scene.opened(1)
    assert first["jti"] == second["jti"] == scene.row.id
    assert {**first, "iat": 0} == {**second, "iat": 0}


CHANGES: dict[str, Callable[[Scene], TestResponse]] = {
    "by another key": lambda scene: scene.say("ready", key=new_key("ES256")),
    "by another agency": lambda scene: scene.say("ready", key=scene.platform.agency_keys[AgencyId("ris")][0]),
    "in its name": lambda scene: scene.say("ready", iss="ris"),
    "for another platform": lambda scene: scene.say("ready", aud="https://elsewhere.example"),
    "about another": lambda scene: scene.say("ready", preparation="another"),
    "of another type": lambda scene: scene.say("ready", typ="mydata-correction-outcome+jwt"),
    "old": lambda scene: scene.say("ready", iat=in_s(-601)),
    "to come": lambda scene: scene.say("ready", iat=in_s(61)),
    "not a token": lambda scene: scene.post(scene.row.id, "ready"),
}


def test_only_the_agency_can_say_it(scene: Scene) -> None:
    for change, tried in CHANGES.items():
        assert tried(scene).status_code == 401, change
    assert (scene.row.ready_at, scene.entries("preparation.ready")) == (None, [])


def test_bad_words_change_nothing(scene: Scene) -> None:
    for state, claims in (
        ("perhaps", {}),
        (["ready"], {}),
        ("preparing", {}),
        ("preparing", {"ready_at": "soon"}),
        ("preparing", {"ready_at": True}),
        ("preparing", {"ready_at": in_s(90_000)}),
        ("preparing", {"ready_at": 2**62}),
        ("preparing", {"ready_at": -1}),
    ):
        refused(scene.say(state, **claims), 400, "invalid_request")
    refused(scene.post(scene.row.id, "x", "text/plain"), 400, "invalid_request")
    refused(scene.post("unknown", "x"), 404, "not_found")
    assert scene.post("unknown", "x").get_json()["error_description"] == NeverSent.public
    assert (scene.row.expected_at, scene.row.ready_at) == (None, None)
    clock.advance(timedelta(days=1))
    refused(scene.say("ready"), 409, "preparation_over")


def test_whoever_need_not_be_asked_is_not(scene: Scene) -> None:
    platform, citizen = scene.platform, scene.visit.citizen
    agree(platform, new_office(platform), citizen)  # nothing slow
    detail = platform.detail(DATASET, tax_year="113")
    platform.code(detail, citizen=citizen)  # online: the client comes at once
    with writing(platform) as session:
        session.execute(update(Agency).where(Agency.id == AGENCY).values(preparation_endpoint=None))
    services_of(platform).registry.reload()
    visit = agree(platform, scene.office, citizen, DATASET)
    assert "after the counter has accepted the barcode" in visit.page().text
    assert [row.id for row in rows(platform, Preparation)] == [scene.row.id]


def test_ready_many_times_and_stopped_in_one_moment_is_told_at_most_once_and_never_afterwards(scene: Scene) -> None:
    platform, engine, now = scene.platform, scene.platform.engine, clock.now()
    (consent,) = rows(platform, Consent, transaction_id=scene.visit.reference)
    together, done = threading.Barrier(6), list[str]()
    preparation_id = scene.row.id

    def ready() -> None:
        with Session(engine) as session, session.begin(), contextlib.suppress(readiness.PreparationOver):
            readiness.say(session, preparation_id, "ready", agency_id=AGENCY, expected_at=None, now=now)

    def stop() -> None:
        with Session(engine) as session, session.begin():
            withdraw(session, consent.transaction_id, citizen_id=consent.citizen_id, now=now)
        with Session(engine) as session, session.begin():
            readiness.drop_ended(session, now=now)

    def run(act: Callable[[], None]) -> None:
        together.wait()
        act()
        done.append(act.__name__)

    racers = [threading.Thread(target=run, args=(act,)) for act in (ready, ready, stop, ready, ready, ready)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()
    assert len(done) == len(racers)
    ended = scene.entries("consent.withdrawn")[0].id
    told = [entry.id for entry in scene.entries("preparation.ready")]
    assert len(told) <= 1
    assert all(entry < ended for entry in told)
    assert len(scene.entries("preparation.dropped")) == 1
    refused(scene.say("ready"), 409, "preparation_over")


def test_who_has_closed_the_page_of_a_download_is_led_to_ask_again(scene: Scene) -> None:
    platform, citizen = scene.platform, scene.visit.citizen
    path = f"/download/basket?dataset={DATASET}"
    form = hidden_fields(citizen.client.get(path).text) | {f"{DATASET}/tax_year": "113"}
    answer = citizen.client.post(path, data=form)
    decided = citizen.decide(citizen.client.get(answer.location))
    reference = decided.location.rpartition("/")[2]
    (row,) = rows(platform, Preparation, transaction_id=reference)
    told = {"iss": AGENCY, "aud": platform.settings.issuer, "iat": in_s(0), "preparation": row.id, "state": "ready"}
    token = jose.sign(told, scene.keys[0], typ="mydata-preparation-state+jwt")
    assert scene.post(row.id, token).status_code == 204
    scene.hands.tick()
    (entry,) = rows(platform, AuditEntry, event="preparation.ready", transaction_id=reference)
    message = citizen.client.get(f"/messages/{entry.id}?lang=en").text
    assert f"/download/{reference}" in message
    elsewhere = platform.citizen(citizen.username)
    page = elsewhere.client.get(f"/download/{reference}?lang=en").text
    assert "if you ask again, it comes sooner" in page
    assert f"/download?dataset={DATASET}" in page
