"""Time buckets: used identifiers lie in a ring of tables, and a table whose time has come is emptied as a whole.

Deleting row by row costs more than inserting did, and leaves dead rows behind. So a table takes the identifiers of half
an hour; before its turn comes again, it is emptied (TRUNCATE), whatever the number of its rows.

An identifier may be presented at any moment of its bearer's life. It is put into the table of each half hour that this
life can touch, one or two, and is refused if any of them knows it. So whoever presents it a second time, even with
a bearer of another expiry, meets the first one in the table of that very moment; the tables' keys decide, no reading.
"""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Final

RING: Final = 3  # the table of now, its neighbour at the turn of the half hour, and one to be emptied
BUCKET: Final = timedelta(minutes=30)
LONGEST_LIFE: Final = timedelta(seconds=320)  # of a bearer: five minutes, and both skews
_MARGIN: Final = 2 * LONGEST_LIFE  # hosts' clocks may differ, and what was decided to be done takes its time


def tables_of(expiries: Collection[datetime]) -> tuple[int, ...]:
    """The tables, by their number in the ring, that must not know identifiers which expire then."""
    return _between(min(expiries) - LONGEST_LIFE, max(expiries)) if expiries else ()


def over(now: datetime, *, waited: timedelta = timedelta()) -> frozenset[int]:
    """The tables that nobody will look into before they are empty again; the same ones throughout `waited`."""
    return frozenset(range(RING)) - frozenset(_between(now - _MARGIN, now + waited + _MARGIN))


def _between(first: datetime, last: datetime) -> tuple[int, ...]:
    numbers = range(_bucket(first), _bucket(last) + 1)
    return tuple(number % RING for number in numbers)


def _bucket(moment: datetime) -> int:
    return int(moment.timestamp()) // int(BUCKET.total_seconds())
