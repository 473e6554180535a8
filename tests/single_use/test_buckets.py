"""The ring of used identifiers: whenever a bearer comes again, it meets itself, and what is emptied met its last."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, func, insert, select, text
from sqlalchemy.orm import Session

from authz_server import retention, worker
from authz_server.config import Limits
from authz_server.core import clock, dpop
from authz_server.database import table_of
from authz_server.oauth import client_auth
from authz_server.single_use.buckets import BUCKET, LONGEST_LIFE, RING, over, tables_of
from authz_server.single_use.models import USED_IDENTIFIERS
from tests.support.platform import Platform
from tests.support.protocol import pushed, refused

TURN = datetime(2026, 11, 27, 12, 30, tzinfo=UTC)  # of a half hour, when one table follows another
A_MOMENT = timedelta(microseconds=1)
MOMENTS = st.integers(0, 4 * 3600).map(lambda seconds: TURN + timedelta(seconds=seconds))
LIVES = st.integers(0, int(LONGEST_LIFE.total_seconds())).map(lambda seconds: timedelta(seconds=seconds))
SKEWS = st.integers(-300, 300).map(lambda seconds: timedelta(seconds=seconds))


def test_no_bearer_lives_longer_than_the_ring_allows() -> None:
    assert LONGEST_LIFE.total_seconds() >= client_auth.MAX_LIFE_S + client_auth.SKEW_S
    assert LONGEST_LIFE.total_seconds() >= dpop.MAX_AGE_S + dpop.MAX_AHEAD_S + 1


@given(MOMENTS, LIVES, LIVES, st.floats(0, 1))
def test_a_second_bearer_of_a_jti_meets_the_first_whatever_its_own_expiry(
    seen_at: datetime, life: timedelta, other_life: timedelta, when: float
) -> None:
    again_at = seen_at + life * when
    assert set(tables_of([seen_at + life])) & set(tables_of([again_at + other_life]))


@given(MOMENTS, LIVES, LIVES)
def test_one_and_two_identifiers_of_a_request_meet_too(seen_at: datetime, life: timedelta, other: timedelta) -> None:
    together = tables_of([seen_at + life, seen_at + other])
    assert {*tables_of([seen_at + life]), *tables_of([seen_at + other])} <= set(together)
    assert len(together) <= 2


@given(MOMENTS, LIVES, st.floats(0, 1), SKEWS)
def test_no_table_is_emptied_that_somebody_could_look_into(
    seen_at: datetime, life: timedelta, when: float, skew: timedelta
) -> None:
    assert not set(tables_of([seen_at + life])) & over(seen_at + life * when + skew)


@given(MOMENTS)
def test_every_table_is_emptied_before_its_turn_comes_again(now: datetime) -> None:
    steps = [now + timedelta(minutes=minute) for minute in range(int(2 * BUCKET.total_seconds() / 60))]
    assert frozenset().union(*map(over, steps)) == set(range(RING))


@pytest.mark.parametrize("before_s", [0, 1, 30, 299, 310, 319, 330])
def test_an_assertion_is_refused_on_both_sides_of_the_turn(platform: Platform, before_s: int) -> None:
    with clock.frozen(TURN - timedelta(seconds=before_s)):
        assertion = platform.bank.assertion(exp=int(clock.now().timestamp()) + 300)
        assert pushed(platform.bank, client_assertion=assertion).status_code == 201
        for _ in range(6):
            clock.advance(timedelta(seconds=50))
            worker.purge(platform.engine, limits=platform.settings.limits)
            refused(pushed(platform.bank, client_assertion=assertion), 401, "invalid_client")


@pytest.mark.parametrize("before_s", [25, 60], ids=["both reach over the turn", "the long one reaches over the turn"])
@pytest.mark.parametrize(("first_s", "second_s"), [(20, 300), (300, 20), (60, 120)])
def test_a_jti_is_refused_in_another_assertion_too(
    platform: Platform, before_s: int, first_s: int, second_s: int
) -> None:
    with clock.frozen(TURN - timedelta(seconds=before_s)):
        jti = f"{before_s}-{first_s}-{second_s}-{platform.engine.dialect.name}"
        moment = int(clock.now().timestamp())
        first, second = (platform.bank.assertion(jti=jti, exp=moment + life_s) for life_s in (first_s, second_s))
        assert pushed(platform.bank, client_assertion=first).status_code == 201
        clock.advance(timedelta(seconds=15))
        refused(pushed(platform.bank, client_assertion=second), 401, "invalid_client")


def fill(engine: Engine) -> None:
    with engine.begin() as connection:
        for number, model in enumerate(USED_IDENTIFIERS):
            rows = [{"kind": "d", "digest": bytes([number, row])} for row in range(3)]
            connection.execute(insert(table_of(model)), rows)


def counts(engine: Engine) -> list[int]:
    with engine.connect() as connection:
        return [connection.scalar(select(func.count()).select_from(table_of(model))) or 0 for model in USED_IDENTIFIERS]


def test_the_worker_empties_what_is_over_and_nothing_else(engine: Engine) -> None:
    fill(engine)
    now = TURN + BUCKET / 2
    assert worker.purge(engine, limits=Limits(), time=lambda: now) == len(over(now))
    assert counts(engine) == [0 if number in over(now) else 3 for number in range(RING)]
    assert worker.purge(engine, limits=Limits(), time=lambda: now) == 0


@contextmanager
def reading(engine: Engine) -> Iterator[None]:
    """A backup that is under way."""
    with engine.connect() as connection, connection.begin():
        for model in USED_IDENTIFIERS:
            connection.execute(select(table_of(model))).all()
        yield


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_table_that_a_backup_reads_is_left_for_later_and_holds_nobody_up(engine: Engine) -> None:
    fill(engine)
    now = TURN + BUCKET / 2
    with reading(engine):
        assert worker.purge(engine, limits=Limits(), time=lambda: now) == 0
        with Session(engine) as session, session.begin():
            session.execute(text("SET LOCAL lock_timeout = 1"))
            session.execute(insert(USED_IDENTIFIERS[0]), {"kind": "d", "digest": b"new"})
    assert worker.purge(engine, limits=Limits(), time=lambda: now) == len(over(now))


def last_moment(number: int) -> datetime:
    """The last one at which a table is over: a moment later its turn is near."""
    turns = (TURN + turn * BUCKET - 2 * LONGEST_LIFE for turn in range(RING))
    return next(turn - A_MOMENT for turn in turns if number in over(turn - A_MOMENT) - over(turn))


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
@pytest.mark.parametrize("number", range(RING))
def test_a_table_whose_turn_came_near_since_the_time_was_asked_is_left_alone(engine: Engine, number: int) -> None:
    fill(engine)
    emptied = worker.purge(engine, limits=Limits(), time=lambda: last_moment(number))
    assert emptied == len(over(last_moment(number)) - {number})
    assert counts(engine)[number] == 3


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_nobody_adds_to_a_table_between_the_asking_of_the_time_and_its_emptying(engine: Engine) -> None:
    now = TURN + BUCKET / 2

    def time() -> datetime:
        locked = pytest.raises(sqlite3.OperationalError, match="locked")
        with closing(sqlite3.connect(str(engine.url.database), timeout=0)) as other, locked:
            other.execute("BEGIN IMMEDIATE")
        return now

    fill(engine)
    for keep in (keep for keep in retention.KEEP if keep.ring in over(now)):
        with Session(engine) as session, session.begin():
            assert retention.purge(session, keep=keep, limits=Limits(), time=time) == 1
