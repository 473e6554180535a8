"""The client is told that a consent of its has ended: by a signed token, again and again until it has taken it."""

from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from authz_server import leaving
from authz_server.consent import erasure
from authz_server.consent.models import Consent
from authz_server.core import clock, jose, outbound_http
from authz_server.core.circuit import CircuitOpen
from authz_server.core.outbound_http import Answer
from authz_server.identity.models import Citizen
from authz_server.notices import outbox
from authz_server.notices.channels import push
from authz_server.notices.channels.base import NotDelivered
from authz_server.notices.channels.push import SLOW, Pusher
from authz_server.notices.models import NOTICE
from authz_server.tokens import withdrawal
from tests.notices.support import Hands
from tests.notices.test_processes import settings_of, worker
from tests.support.platform import Bank, Platform
from tests.support.protocol import new_bank, new_citizen, rows, services_of, writing
from tests.support.receiver import Receiver, receiving
from tests.support.waiting import wait_until


class World:
    """A bank that listens, and a worker's hands."""

    def __init__(self, platform: Platform, receiver: Receiver) -> None:
        self.platform, self.receiver = platform, receiver
        self.bank: Bank = new_bank(platform, security_event_endpoint=receiver.url)
        self.hands = Hands(platform, allowed_outbound_hosts=(receiver.address,))

    def consented(self, username: str = "citizen1") -> Any:
        """A consent to this bank, its tokens taken."""
        platform, citizen = self.platform, self.platform.citizen(username)
        code = platform.code(platform.detail("ris.personal"), citizen=citizen, bank=self.bank)
        body = self.bank.redeem(code).get_json()
        return rows(platform, Consent, id=body["grant_id"])[0]

    def stop(self, consent: Any) -> None:
        with writing(self.platform) as session:
            known = {"citizen_id": consent.citizen_id, "now": clock.now()}
            withdrawal.withdraw(session, consent.transaction_id, **known)

    def told(self) -> int:
        """What a worker does; how many attempts it made."""
        self.hands.tick()
        return self.hands.deliver("webhook")


@pytest.fixture
def world(own_platform: Platform) -> Iterator[World]:
    with clock.frozen(clock.now()), receiving() as receiver:
        yield World(own_platform, receiver)


def test_it_is_told_what_ended_by_a_token_that_the_published_keys_verify(world: World) -> None:
    consent = world.consented()
    assert world.told() == 0, "nothing has ended"
    world.stop(consent)
    assert world.told() == 1
    ((head, token),) = [
        (request.partition(b"\r\n\r\n")[0], request.partition(b"\r\n\r\n")[2].decode())
        for request in world.receiver.server.requests
    ]
    assert head.startswith(b"POST /events HTTP/1.1\r\n")
    assert b"Content-Type: application/secevent+jwt" in head
    assert b"Accept: application/json" in head
    keys = jose.parse_public_keys(world.platform.browser().get("/jwks").get_json())
    claims = jose.verify(token, keys, algorithms=("ES256",), typ="secevent+jwt").claims
    now = int(clock.now().timestamp())
    assert len(claims.pop("jti")) == 43
    assert claims == {
        "iss": world.platform.settings.issuer,
        "aud": world.bank.client_id,
        "iat": now,
        "toe": now,
        "txn": consent.transaction_id,
        "sub_id": {"format": "opaque", "id": consent.id},
        "events": {"urn:mydata:event:consent-ended": {"ended_by": "citizen"}},
    }
    assert world.told() == 0, "it was taken"
    (notice,) = world.hands.notices("webhook")
    assert (notice.citizen_id, notice.delivered_at) == (None, clock.now())


def _freeze(world: World, consent: Any) -> None:
    with writing(world.platform) as session:
        withdrawal.freeze(session, consent.citizen_id, actor="citizen", reason="not_me", now=clock.now())


def _leave(world: World, consent: Any) -> None:
    with writing(world.platform) as session:
        leaving.leave(session, consent.citizen_id, actor="citizen", settings=world.platform.settings, now=clock.now())


def _revoke(world: World, consent: Any) -> None:
    with writing(world.platform) as session:
        withdrawal.revoke(session, consent.transaction_id, reason="misuse", now=clock.now())


def _give_up(world: World, consent: Any) -> None:
    with writing(world.platform) as session:
        withdrawal.give_up(session, consent.id, client_id=consent.client_id, now=clock.now())


@pytest.mark.parametrize(
    ("end", "ended_by"),
    [(_freeze, "citizen"), (_leave, "citizen"), (_revoke, "operator"), (_give_up, "client")],
    ids=["frozen", "left", "by the operator", "given up"],
)
def test_it_is_told_whoever_ends_it_and_never_why(world: World, end: Any, ended_by: str) -> None:
    consent = world.consented(new_citizen(world.platform))
    end(world, consent)
    assert world.told() == 1
    (claims,) = world.receiver.claims
    assert claims["sub_id"]["id"] == consent.id
    assert claims["events"] == {"urn:mydata:event:consent-ended": {"ended_by": ended_by}}


def test_it_is_told_that_the_citizen_asks_to_erase_and_that_the_day_has_come(world: World) -> None:
    consent = world.consented()
    with writing(world.platform) as session:
        known = {"citizen_id": consent.citizen_id, "now": clock.now()}
        assert erasure.ask(session, consent.transaction_id, by_mail=False, **known)
    world.told()
    clock.advance(timedelta(days=(consent.erase_by - clock.day_of(clock.now())).days))
    world.told()
    events = [claims["events"] for claims in world.receiver.claims]
    assert events == [{"urn:mydata:event:erasure-requested": {}}, {"urn:mydata:event:erasure-due": {}}]
    assert len({claims["jti"] for claims in world.receiver.claims}) == 2


def test_a_citizen_who_leaves_takes_no_word_to_a_client_along(world: World) -> None:
    consent = world.consented(new_citizen(world.platform))
    world.stop(consent)
    world.hands.tick()
    _leave(world, consent)
    (citizen,) = rows(world.platform, Citizen, id=consent.citizen_id)
    assert citizen.left_at is not None
    assert world.told() == 1
    assert [claims["sub_id"]["id"] for claims in world.receiver.claims] == [consent.id]


def test_it_is_told_again_with_the_same_jti_until_it_takes_it(world: World) -> None:
    world.receiver.answers = [b"500 Oops", b"429 Slow down", b"302 Elsewhere", b"202 Accepted"]
    world.stop(world.consented())
    tries = world.told()
    for _ in range(3):
        assert world.told() == 0, "not before its time"
        clock.advance(timedelta(minutes=10))
        tries += world.told()
    assert tries == 4
    assert len({claims["jti"] for claims in world.receiver.claims}) == 1
    assert world.receiver.claims[0] == world.receiver.claims[-1]
    (notice,) = world.hands.notices("webhook")
    assert (notice.attempts, notice.failed_at, notice.delivered_at) == (4, None, clock.now())


@pytest.mark.parametrize(
    ("answer", "failure"),
    [
        (b'400 Bad\n{"err": "invalid_audience", "description": "not me"}', "invalid_audience"),
        (b'400 Bad\n{"err": "a word of its own"}', "status 400"),
        (b"404 Not Found\nnot JSON", "status 404"),
        (b"410 Gone\n[]", "status 410"),
    ],
    ids=["with an error", "with another word", "without JSON", "with a list"],
)
def test_what_it_refuses_for_good_is_given_up_and_on_the_books(world: World, answer: bytes, failure: str) -> None:
    world.receiver.answers = [answer]
    world.stop(world.consented())
    assert world.told() == 1
    (notice,) = world.hands.notices("webhook")
    assert (notice.due_at, notice.failed_at, notice.failure) == (None, clock.now(), failure)
    with writing(world.platform) as session:
        figures = outbox.figures(session, since=clock.now() - timedelta(days=1))
    assert [(row.waiting, row.given_up) for row in figures if row.channel == "webhook"] == [(0, 1)]


def test_one_that_never_answers_is_given_up_in_the_end(world: World) -> None:
    world.receiver.taken = b"503 Later"
    world.stop(world.consented())
    world.told()
    for _ in range(outbox.MOST_ATTEMPTS):
        clock.advance(timedelta(hours=6))
        world.told()
    (notice,) = world.hands.notices("webhook")
    assert notice.attempts == outbox.MOST_ATTEMPTS
    assert notice.failed_at is not None


def test_one_that_is_down_holds_the_others_up_no_longer_than_three_tries(world: World) -> None:
    down = World(world.platform, world.receiver)
    world.receiver.answers = [b"500 Oops"] * 3
    for _ in range(5):
        down.stop(down.consented())
    assert down.told() == 5
    assert len(world.receiver.server.requests) == 3
    left_alone = [row.failure for row in down.hands.notices("webhook")]
    assert left_alone.count(CircuitOpen(1).detail) == 2
    clock.advance(timedelta(minutes=5))
    assert down.told() == 5
    assert all(row.delivered_at for row in down.hands.notices("webhook"))


def take_just_in_time(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every answer come a second before it would be too late, and five things be told."""
    post = outbound_http.post

    def dawdle(*arguments: Any, **more: Any) -> Answer:
        clock.advance(timedelta(seconds=outbound_http.TIMEOUT_S - 1))
        return post(*arguments, **more)

    monkeypatch.setattr(outbound_http, "post", dawdle)
    for _ in range(5):
        world.stop(world.consented())
    world.told()


def test_one_that_takes_everything_just_in_time_holds_the_others_up_no_longer_either(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    take_just_in_time(world, monkeypatch)
    assert len(world.receiver.tokens) == 3
    failures = [notice.failure for notice in world.hands.notices("webhook") if not notice.delivered_at]
    assert failures == [CircuitOpen(60).detail] * 2
    monkeypatch.undo()
    clock.advance(timedelta(minutes=5))
    world.told()
    assert all(notice.delivered_at for notice in world.hands.notices("webhook"))


def test_one_that_takes_its_time_is_left_alone_no_longer_than_it_has_taken(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of many things it could take, it is told as many as half of the time allows, and not one a minute."""
    take_just_in_time(world, monkeypatch)
    clock.advance(timedelta(seconds=48))  # all is due again
    world.told()
    assert len(world.receiver.tokens) == 4


@pytest.mark.parametrize("known_for", [push.SLOW_FOR, timedelta(minutes=1)])  # in which all are asked, or not nearly
def test_all_that_are_slow_have_half_of_the_time_however_many_they_are(
    platform: Platform, monkeypatch: pytest.MonkeyPatch, known_for: timedelta
) -> None:
    """Be it that they take everything just in time, or that they never answer."""
    busy, asked = timedelta(), Counter[str]()

    def dawdle(endpoint: str, *_: Any, **__: Any) -> Answer:
        nonlocal busy
        clock.advance(SLOW)
        busy += SLOW
        asked[endpoint] += 1
        if int(endpoint) % 2:
            raise outbound_http.FetchFailed("no answer")
        return Answer(202, b"", "")

    monkeypatch.setattr(outbound_http, "post", dawdle)
    monkeypatch.setattr(push, "SLOW_FOR", known_for)
    pusher = Pusher(services_of(platform))
    with clock.frozen(clock.now()):
        for _ in range(2):  # it takes a while until they are known
            busy, began = timedelta(), clock.now()
            asked.clear()
            while clock.now() - began < timedelta(minutes=20):
                clock.advance(timedelta(seconds=1))
                for endpoint in range(30):
                    with suppress(NotDelivered):
                        pusher.push(str(endpoint), b"", content_type="text/plain")
    assert timedelta(minutes=8) < busy < timedelta(minutes=10.5)
    assert max(asked.values()) - min(asked.values()) <= 1, "all get the same"


def test_nothing_is_given_up_at_a_moment_at_which_its_receiver_was_left_alone(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of many things that are due together a slow one is asked about one; it has not refused the others."""
    take_just_in_time(world, monkeypatch)
    many = 100 * outbox.MOST_ATTEMPTS  # of which nearly all asked nobody
    with writing(world.platform) as session:
        session.execute(update(NOTICE).where(NOTICE.c.due_at.is_not(None)).values(attempts=many))
    for taken in (4, 5):
        clock.advance(timedelta(hours=6))
        world.told()
        assert len(world.receiver.tokens) == taken
        waiting = [notice.attempts for notice in world.hands.notices("webhook") if not notice.delivered_at]
        assert waiting == [many + 1] * (5 - taken)  # its last attempt is still to come
    assert all(notice.delivered_at for notice in world.hands.notices("webhook"))


def test_a_client_without_an_endpoint_is_told_nothing(own_platform: Platform) -> None:
    with clock.frozen(clock.now()), receiving() as receiver:
        world = World(own_platform, receiver)
        world.bank = new_bank(own_platform)
        world.stop(world.consented())
        assert world.told() == 0
        assert world.hands.notices("webhook") == []


def test_an_endpoint_that_was_taken_back_is_no_more_waited_for(world: World) -> None:
    world.receiver.answers = [b"500 Oops"]
    world.stop(world.consented())
    world.told()
    with writing(world.platform) as session:
        session.execute(Consent.metadata.tables["client"].update().values(security_event_endpoint=None))
    services_of(world.platform).registry.reload()
    clock.advance(timedelta(minutes=5))
    world.told()
    (notice,) = world.hands.notices("webhook")
    assert notice.failure == "no endpoint"


def test_nothing_is_sent_into_a_private_network(world: World) -> None:
    world.hands = Hands(world.platform)
    world.stop(world.consented())
    assert world.told() == 1
    assert world.receiver.server.requests == []
    (notice,) = world.hands.notices("webhook")
    assert notice.failure == "not https"


def test_a_worker_killed_before_it_hears_that_it_was_taken_sends_the_same_again(world: World, tmp_path: Path) -> None:
    world.receiver.holding = True
    world.stop(world.consented())
    with worker(settings_of(world.hands, tmp_path)) as first:
        wait_until(lambda: world.receiver.server.requests, "the token is there")
        first.kill()
        first.join()
    world.receiver.holding = False
    assert world.told() == 0, "for a while it may still be sent by the one that we do not know to be dead"
    clock.advance(outbox.LEASE + timedelta(minutes=5))
    assert world.told() == 1
    first_copy, second_copy = world.receiver.claims
    assert first_copy == second_copy
