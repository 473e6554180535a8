"""The clock that every window asks."""

from datetime import UTC, date, datetime, timedelta, timezone
from threading import Thread

import pytest

from authz_server.core import clock

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_now_is_aware_and_in_utc() -> None:
    assert clock.now().utcoffset() == timedelta(0)


def test_a_frozen_clock_stands_still_and_moves_on_request() -> None:
    with clock.frozen(NOON):
        assert clock.now() == clock.now() == NOON
        assert clock.advance(timedelta(seconds=61)) == NOON + timedelta(seconds=61)
        assert clock.now() == NOON + timedelta(seconds=61)


def test_a_frozen_clock_answers_in_utc_whatever_zone_it_was_given() -> None:
    with clock.frozen(NOON.astimezone(timezone(timedelta(hours=8)))):
        assert clock.now().utcoffset() == timedelta(0)


def test_time_goes_on_after_the_block_even_if_it_fails() -> None:
    with pytest.raises(LookupError), clock.frozen(NOON):
        raise LookupError
    assert clock.now() != NOON


def test_blocks_may_be_nested() -> None:
    with clock.frozen(NOON):
        with clock.frozen(NOON + timedelta(days=1)):
            assert clock.now() == NOON + timedelta(days=1)
        assert clock.now() == NOON


def test_other_threads_see_the_same_frozen_moment() -> None:
    seen: list[datetime] = []
    with clock.frozen(NOON):
        thread = Thread(target=lambda: seen.append(clock.now()))
        thread.start()
        thread.join()
    assert seen == [NOON]


def test_the_real_clock_cannot_be_moved() -> None:
    with pytest.raises(RuntimeError):
        clock.advance(timedelta(seconds=1))


def test_a_naive_moment_is_refused() -> None:
    with pytest.raises(ValueError, match="aware"), clock.frozen(NOON.replace(tzinfo=None)):
        pass


def test_days_are_those_of_taiwan() -> None:
    assert clock.day_of(datetime(2026, 1, 1, 15, 59, tzinfo=UTC)) == date(2026, 1, 1)
    assert clock.day_of(datetime(2026, 1, 1, 16, 0, tzinfo=UTC)) == date(2026, 1, 2)


def test_waiting_moves_a_clock_that_stands_still() -> None:
    with clock.frozen(NOON):
        clock.wait(1.5)
        assert clock.now() == NOON + timedelta(seconds=1.5)

    before = clock.now()
    clock.wait(0.001)
    assert clock.now() > before


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        *((value, True) for value in (0, -1.5, 1_900_000_000, 1_900_000_000.25)),
        *((value, False) for value in (True, None, "0", float("nan"), float("inf"), -float("inf"), 2**40, -(10**400))),
    ],
)
def test_a_numeric_date_is_a_number_that_can_be_a_moment(value: object, expected: bool) -> None:
    assert clock.is_numeric_date(value) is expected


def test_who_is_told_to_wait_comes_no_sooner() -> None:
    told = {0.0: 1, -5.0: 1, 0.4: 1, 1.0: 1, 1.000001: 2, 1.4: 2, 59.6: 60, 60.0: 60}
    assert {span: clock.seconds_to_wait(timedelta(seconds=span)) for span in told} == told


@pytest.mark.parametrize(
    ("day", "years"),
    [
        (date(2008, 3, 3), 18),
        (date(2008, 3, 4), 17),
        (date(2008, 2, 29), 18),
        (date(2026, 3, 3), 0),
        (date(2025, 12, 31), 0),
        (date.min, 2025),
    ],
)
def test_a_year_is_over_when_its_day_begins_in_taiwan(day: date, years: int) -> None:
    assert clock.years_since(day, now=datetime(2026, 3, 2, 16, tzinfo=UTC)) == years
    assert clock.years_since(date(2008, 3, 3), now=datetime(2026, 3, 2, 15, 59, 59, tzinfo=UTC)) == 17


def test_who_was_born_on_a_leap_day_is_a_year_older_on_the_first_of_march() -> None:
    days = {date(2026, 2, 28): 17, date(2026, 3, 1): 18, date(2028, 2, 28): 19, date(2028, 2, 29): 20}
    noons = {day: datetime(day.year, day.month, day.day, 4, tzinfo=UTC) for day in days}
    assert {day: clock.years_since(date(2008, 2, 29), now=noon) for day, noon in noons.items()} == days
