"""Two edges of one state race: exactly one is taken, and rows, answers and record tell the same story."""

from collections import Counter
from datetime import timedelta

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from authz_server.audit.models import AuditEntry
from authz_server.core import clock
from authz_server.database import table_of
from authz_server.notices.models import Notice
from authz_server.single_use.models import USED_IDENTIFIERS
from tests.races.arena import Arena, rounds, seconds
from tests.races.seeding import LIMITS, Seeds
from tests.races.team import RACERS, Act
from tests.support.protocol import new_bank

pytestmark = pytest.mark.race
ROUNDS = 10
A_MOMENT = timedelta(milliseconds=1)
STATE_AFTER = {
    "leased": "leased",
    "delivered": "spent",
    "failed": "issued",
    "preparing": "issued",
    "no_record": "issued",
    "spent_unknown": "spent",
    "expired": "dead",
    "revoked": "dead",
}


@pytest.mark.parametrize("outcome", ["delivered", "failed", "preparing", "no_record"])
def test_a_lease_ends_by_its_outcome_or_by_time(arena: Arena, outcome: str) -> None:
    now = clock.now()
    end = now + timedelta(seconds=LIMITS.lease_s)
    tokens = arena.seeds.tokens(rounds(ROUNDS), now=now, leased_until=end)
    ended = arena.race(
        tokens,
        lambda token: [
            ("report", {"handle": token.lease, "outcome": outcome, "at": seconds(end - A_MOMENT)}),
            ("tidy_tokens", {"at": seconds(end)}),
        ],
    )
    for how, told, state in zip(ended, arena.record(tokens), arena.states(tokens), strict=True):
        edge = outcome if how[outcome] else "spent_unknown"
        assert how[outcome] in {0, 1}
        assert (told, state) == ({f"token.{edge}": 1}, STATE_AFTER[edge])


@pytest.mark.parametrize("other", ["delivered", "failed", "preparing", "no_record"])
def test_a_lease_has_one_outcome(arena: Arena, other: str) -> None:
    now = clock.now()
    tokens = arena.seeds.tokens(rounds(ROUNDS), now=now, leased_until=now + timedelta(minutes=2))
    ended = arena.race(
        tokens,
        lambda token: [
            ("report", {"handle": token.lease, "outcome": outcome, "at": seconds(now)})
            for outcome in ("delivered", other)
        ],
    )
    for how, told, state in zip(ended, arena.record(tokens), arena.states(tokens), strict=True):
        (edge,) = (ending for ending in how if ending in STATE_AFTER)
        assert how[edge] == 1
        assert (told, state) == ({f"token.{edge}": 1}, STATE_AFTER[edge])


def test_a_token_that_is_revoked_while_it_is_leased_stays_dead(arena: Arena) -> None:
    now = clock.now()
    tokens = arena.seeds.tokens(rounds(ROUNDS), now=now)
    same = {"at": seconds(now)}
    ended = arena.race(
        tokens,
        lambda token: [
            ("lease", {"token": token.secret, "dataset": arena.seeds.dataset_id} | same),
            ("revoke", {"token": token.secret, "client_id": arena.seeds.client_id} | same),
        ],
    )
    for how, told in zip(ended, arena.record(tokens), strict=True):
        assert how["revoked"] == 1
        assert told == Counter({"token.revoked": 1}) + Counter({"token.leased": how["leased"]})
    assert set(arena.states(tokens)) == {"dead"}


def test_a_token_is_either_revoked_or_delivered(arena: Arena) -> None:
    now = clock.now()
    tokens = arena.seeds.tokens(rounds(ROUNDS), now=now, leased_until=now + timedelta(minutes=2))
    ended = arena.race(
        tokens,
        lambda token: [
            ("report", {"handle": token.lease, "outcome": "delivered", "at": seconds(now)}),
            ("revoke", {"token": token.secret, "client_id": arena.seeds.client_id, "at": seconds(now)}),
        ],
    )
    for how, told, state in zip(ended, arena.record(tokens), arena.states(tokens), strict=True):
        (edge,) = (ending for ending in how if ending in STATE_AFTER)
        assert how[edge] == 1
        assert (told, state) == ({f"token.{edge}": 1}, STATE_AFTER[edge])


def test_a_token_is_either_leased_or_expired(arena: Arena) -> None:
    now = clock.now()
    end = now + timedelta(seconds=LIMITS.dataset_token_ttl_s)
    tokens = arena.seeds.tokens(rounds(ROUNDS), now=now)
    ended = arena.race(
        tokens,
        lambda token: [
            ("lease", {"token": token.secret, "dataset": arena.seeds.dataset_id, "at": seconds(end - A_MOMENT)}),
            ("tidy_tokens", {"at": seconds(end)}),
        ],
    )
    for how, told, state in zip(ended, arena.record(tokens), arena.states(tokens), strict=True):
        edge = "leased" if how["leased"] else "expired"
        assert (told, state) == ({f"token.{edge}": 1}, STATE_AFTER[edge])


def test_a_request_is_either_approved_or_expired(arena: Arena) -> None:
    now = clock.now()
    end = now + timedelta(seconds=LIMITS.transaction_ttl_s)
    requests = arena.seeds.requests(rounds(ROUNDS), now=now)
    citizen = {"citizen_id": arena.seeds.citizen_id, "at": seconds(end - A_MOMENT)}
    ended = arena.race(
        requests,
        lambda request: [
            ("approve", {"request_id": request.secret} | citizen),
            ("tidy_requests", {"at": seconds(end)}),
        ],
    )
    for how, told in zip(ended, arena.record(requests), strict=True):
        if how["approved"]:
            assert how["approved"] == 1
            assert told == {"consent.requested": 1, "consent.approved": 1}
        else:
            assert told == {"consent.expired": 1}


def test_a_request_that_expires_while_it_is_opened_is_not_approved_later(arena: Arena) -> None:
    now = clock.now()
    end = now + timedelta(seconds=LIMITS.transaction_ttl_s)
    requests = arena.seeds.requests(rounds(ROUNDS), now=now, begun=False)
    asked = {"client_id": arena.seeds.client_id, "citizen_id": arena.seeds.citizen_id}
    arena.race(
        requests,
        lambda request: [
            ("begin", {"request_uri": request.request_uri, "at": seconds(now)} | asked),
            ("tidy_requests", {"at": seconds(end)}),
        ],
    )
    citizen = {"citizen_id": arena.seeds.citizen_id, "at": seconds(now)}
    late = arena.race(requests, lambda request: [("approve", {"request_id": request.secret} | citizen)])
    assert all(how["approved"] == 0 for how in late)
    assert arena.record(requests) == [{"consent.expired": 1}] * len(requests)


def test_many_workers_record_and_announce_everything_once(arena: Arena) -> None:
    now = clock.now()
    end = now + timedelta(seconds=LIMITS.dataset_token_ttl_s)
    lapsed = arena.seeds.tokens(rounds(40), now=now, leased_until=end)
    expired = arena.seeds.tokens(rounds(40), now=now)
    requests = arena.seeds.requests(rounds(40), now=now - timedelta(seconds=LIMITS.transaction_ttl_s))
    at = {"at": seconds(end)}
    for _ in range(3):  # entries that are not committed yet when others announce are announced in the next pass
        arena.team.race(("tidy_tokens", at), ("tidy_requests", at), ("announce", at), ("tidy_tokens", at))
    arena.team.race(("announce", at))
    assert arena.record(lapsed) == [{"token.spent_unknown": 1}] * len(lapsed)
    assert arena.record(expired) == [{"token.expired": 1}] * len(expired)
    assert arena.record(requests) == [{"consent.expired": 1}] * len(requests)
    told = [subject.transaction_id for subject in (*lapsed, *expired)][:500]
    entry, notice = table_of(AuditEntry).c, table_of(Notice).c
    with Session(arena.platform.engine) as session:
        notices = session.execute(
            select(func.count())
            .select_from(table_of(Notice).join(table_of(AuditEntry), notice.audit_entry_id == entry.id))
            .where(entry.transaction_id.in_(told))
        ).scalar_one()
    assert notices == len(told)


def test_many_workers_find_each_anomaly_once(arena: Arena) -> None:
    now = clock.now() + timedelta(days=1)  # later than what other tests have looked through
    seeds = arena.seeds.of(citizen_id=arena.new_citizen()[1])
    requests = seeds.requests(rounds(40), now=now)
    at = {"at": seconds(now)}
    agreed = {"citizen_id": seeds.citizen_id} | at
    for request in requests:
        arena.team.race(("approve", {"request_id": request.secret} | agreed), ("watch", at))
    arena.team.race(("watch", at))
    for told in arena.record(requests):
        assert told["consent.approved"] == 1
        assert max(told.values()) == 1, told
    kinds = Counter(name for told in arena.record(requests) for name in told if name.startswith("anomaly."))
    assert kinds["anomaly.first_time"] + kinds["anomaly.again"] == len(requests)


def test_an_identifier_is_not_purged_while_it_could_be_replayed(arena: Arena) -> None:
    now = clock.now()
    tokens = arena.seeds.access_tokens(rounds(ROUNDS), now=now)
    last_moment = now + timedelta(minutes=1) - A_MOMENT
    ended = arena.race(
        tokens,
        lambda token: [
            ("userinfo", {"token": token.secret, "proof": token.secret, "at": seconds(now)}),
            *(("purge", {"table": model.__tablename__, "at": seconds(last_moment)}) for model in USED_IDENTIFIERS),
        ],
    )
    assert all(how["found"] == 1 for how in ended)


@pytest.mark.parametrize("who", ["client", "citizen", "agency"])
@pytest.mark.parametrize("outcome", ["delivering", "delivered"])
def test_once_a_suspension_is_committed_no_byte_leaves(arena: Arena, outcome: str, who: str) -> None:
    now = clock.now()
    told = {"outcome": outcome, "at": seconds(now)}
    for _ in range(rounds(3)):
        seeds, name = somebody(arena, who)
        tokens = seeds.tokens(RACERS, now=now, leased_until=now + timedelta(minutes=2))
        reports: list[Act] = [("report", {"handle": token.lease} | told) for token in tokens]
        ended = arena.team.race(*reports[1:], (f"suspend_{who}", {"name": name, "at": seconds(now)}))
        record, late = arena.record(tokens), arena.team.race(*reports)
        if who == "agency":
            arena.team.race(("resume_agency", {"name": name}))
        assert ended == Counter(suspended=1) + Counter({outcome: ended[outcome]}) + refusals(
            RACERS - 1 - ended[outcome]
        )
        assert sum(entry[f"token.{outcome}"] for entry in record) == ended[outcome]
        assert late == refusals(RACERS)
        assert arena.record(tokens) == record


def refusals(count: int) -> Counter[str]:
    return Counter(LeaseNotUsable=count) if count else Counter()


def somebody(arena: Arena, who: str) -> tuple[Seeds, str]:
    """Seeds of somebody whom a fetch concerns, and the name by which they are suspended."""
    if who == "client":
        client_id = new_bank(arena.platform).client_id
        return arena.seeds.of(client_id=client_id), client_id
    if who == "citizen":
        username, citizen_id = arena.new_citizen()
        return arena.seeds.of(citizen_id=citizen_id), username
    return arena.seeds, arena.seeds.agency_id
