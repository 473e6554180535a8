"""The one clock. Every window (code, lease, proof, session) asks it, so that tests move time and nothing sleeps."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from typing import TypeGuard
from zoneinfo import ZoneInfo

LOCAL_TIME = ZoneInfo("Asia/Taipei")  # in which people read days and hours
EVER = timedelta(days=36500)  # longer ago than anything that is kept
# Seen by all threads of the process: a test that freezes time freezes it for the server threads it started as well.
_frozen_at: datetime | None = None


def now() -> datetime:
    """Return the present moment, aware, in UTC."""
    return _frozen_at or datetime.now(UTC)


def day_of(moment: datetime) -> date:
    """Return the day that an aware moment is in Taiwan."""
    return moment.astimezone(LOCAL_TIME).date()


def years_since(day: date, *, now: datetime) -> int:
    """How many whole years ago, in Taiwan, a day was: of a 29 February, in a year without one, as of a 1 March."""
    today = day_of(now)
    return today.year - day.year - ((today.month, today.day) < (day.month, day.day))


def is_numeric_date(value: object) -> TypeGuard[float]:
    """Whether a JSON value is a moment as JWTs write it: seconds since 1970, which may have a fraction.

    Source: RFC 7519 section 2. Not among them is what lies tens of thousands of years away.
    """
    # bool is an int in Python, not in JSON.
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 2**40


def is_within(span: timedelta, *, since: datetime, now: datetime) -> bool:
    """Whether `now` lies in the span that began then, and not before it: what a clock that was fast began is over."""
    return since <= now < since + span


def seconds_to_wait(span: timedelta) -> int:
    """What to say in Retry-After: whole seconds, at least one, after which the span is over."""
    return max(1, -(-span // timedelta(seconds=1)))


@contextmanager
def frozen(at: datetime) -> Iterator[None]:
    """Stand still at `at` (aware) for all threads until the block ends. For tests."""
    global _frozen_at
    if at.tzinfo is None:
        raise ValueError("a frozen clock needs an aware datetime")
    before, _frozen_at = _frozen_at, at.astimezone(UTC)
    try:
        yield
    finally:
        _frozen_at = before


def wait(seconds: float) -> None:
    """Let time pass: this thread stands still, or, where time does, time is moved instead."""
    if _frozen_at is None:
        time.sleep(seconds)
    else:
        advance(timedelta(seconds=seconds))


def advance(by: timedelta) -> datetime:
    """Move the frozen clock by `by` and return the new moment.

    Raises: RuntimeError outside `frozen`, because the real clock is nobody's to move.
    """
    global _frozen_at
    if _frozen_at is None:
        raise RuntimeError("only a frozen clock can be advanced")
    _frozen_at += by
    return _frozen_at
