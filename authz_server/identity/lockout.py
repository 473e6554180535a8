"""Doors that lock after too many failures: counted in the database, by one statement each, for all processes.

An attempt is counted before its credentials are looked at and taken back if they were right. Counting afterwards would
let any number of guesses through that are made at the same moment.
"""

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Integer, and_, bindparam, case, delete, null, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from authz_server.config import Limits
from authz_server.core.secrets import digest
from authz_server.database import UtcDateTime
from authz_server.identity.errors import SignInLocked
from authz_server.identity.models import SIGN_IN_ATTEMPT

ACCOUNT: Final = "account"
ADDRESS: Final = "address"
EVERYBODY: Final = "everybody"  # all who guess at what one registry knows
# Many people share an address (an office, a mobile network), so that it locks later than an account.
ADDRESS_FACTOR = 10
DAY: Final = timedelta(days=1)
# As some proxies write an address: in brackets, with the port that it came from, or with both.
_WITH_PORT = re.compile(r"\[(?P<six>[^\]]*)\](?::[0-9]+)?|(?P<four>[0-9.]+):[0-9]+")
_IPV6_SUBSCRIBER_BITS = 64  # RFC 6177: nobody is given less, so a single guesser has that many addresses


@dataclass(frozen=True, kw_only=True)
class Door:
    """What is being guessed at, or where from; `most` failures within the window lock it.

    Args: reopens: whoever comes in makes its failures forgotten; otherwise only their own attempt is taken back.
    """

    kind: str
    key: bytes
    most: int
    window: timedelta
    lock: timedelta
    reopens: bool = False


def account_door(method_id: str, account: str, limits: Limits, *, most: int | None = None) -> Door:
    """The door of one account under one method; the account need not exist. Args: most: fewer failures than usual."""
    failures = limits.sign_in_failures if most is None else min(most, limits.sign_in_failures)
    return usual_door(ACCOUNT, f"{method_id}\0{account}", limits, most=failures, reopens=True)


def address_door(address: str | None, limits: Limits) -> Door:
    """The door of one source address; of a whole subscriber's network where it is IPv6."""
    return usual_door(ADDRESS, _network(address), limits, most=limits.sign_in_failures * ADDRESS_FACTOR)


def account_day(method_id: str, account: str, limits: Limits) -> Door:
    """The door of one account for a day, where what is guessed at is known to others than its owner."""
    return _day_door(ACCOUNT, f"{method_id}\0{account}", most=limits.knowledge_account_day)


def address_day(method_id: str, address: str | None, limits: Limits) -> Door:
    """The same for one source address."""
    return _day_door(ADDRESS, f"{method_id}\0{_network(address)}", most=limits.knowledge_address_day)


def registry_day(registry_id: str, limits: Limits) -> Door:
    """The door of all who guess at what one registry knows, whoever they guess at, wherever from."""
    return _day_door(EVERYBODY, registry_id, most=limits.knowledge_registry_day)


def usual_door(kind: str, key: str, limits: Limits, *, most: int | None = None, reopens: bool = False) -> Door:
    """A door that locks for as long as that of an account, after as many failures unless told otherwise."""
    window, lock = timedelta(seconds=limits.sign_in_window_s), timedelta(seconds=limits.sign_in_lock_s)
    most = limits.sign_in_failures if most is None else most
    return Door(kind=kind, key=digest(key), most=most, window=window, lock=lock, reopens=reopens)


def _day_door(kind: str, key: str, *, most: int) -> Door:
    return Door(kind=kind, key=digest(f"day\0{key}"), most=most, window=DAY, lock=DAY)


def _network(address: str | None) -> str:
    written = _WITH_PORT.fullmatch(address or "")
    bare = written["six"] or written["four"] if written else address
    try:
        parsed = ipaddress.ip_address(bare or "")
    except ValueError:
        return "unknown"
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.IPv6Network((parsed.packed, _IPV6_SUBSCRIBER_BITS), strict=False))


_ATTEMPT = SIGN_IN_ATTEMPT.c
_THIS_DOOR = and_(_ATTEMPT.kind == bindparam("door_kind"), _ATTEMPT.key == bindparam("door_key"))


def _count_statement(dialect: Any) -> Any:
    moment = bindparam("moment", type_=UtcDateTime())
    lock_end = bindparam("lock_end", type_=UtcDateTime())
    most = bindparam("most", type_=Integer())
    locked = and_(_ATTEMPT.locked_until.is_not(None), _ATTEMPT.locked_until > moment)
    starts_anew = or_(
        _ATTEMPT.locked_until.is_not(None), _ATTEMPT.window_started_at <= bindparam("window_start", type_=UtcDateTime())
    )
    # Beyond `most` the number only says "was locked before": it must neither grow for ever nor fall back.
    failures = case((locked, most + 1), (starts_anew, 1), else_=_ATTEMPT.failures + 1)
    return (
        dialect.insert(SIGN_IN_ATTEMPT)
        .values(
            kind=bindparam("door_kind"),
            key=bindparam("door_key"),
            failures=1,
            window_started_at=moment,
            locked_until=case((most <= 1, lock_end), else_=null()),
        )
        .on_conflict_do_update(
            index_elements=["kind", "key"],
            set_={
                "failures": failures,
                "window_started_at": case(
                    (locked, _ATTEMPT.window_started_at), (starts_anew, moment), else_=_ATTEMPT.window_started_at
                ),
                "locked_until": case((locked, _ATTEMPT.locked_until), (failures >= most, lock_end), else_=null()),
            },
        )
        .returning(_ATTEMPT.failures, _ATTEMPT.locked_until)
    )


_COUNT = {"postgresql": _count_statement(postgresql), "sqlite": _count_statement(sqlite)}
_REOPEN: Final = delete(SIGN_IN_ATTEMPT).where(_THIS_DOOR)
_TAKE_BACK: Final = (
    update(SIGN_IN_ATTEMPT)
    .where(_THIS_DOOR, _ATTEMPT.failures > 0)
    .values(
        failures=_ATTEMPT.failures - 1,
        locked_until=case((_ATTEMPT.failures - 1 < bindparam("most"), null()), else_=_ATTEMPT.locked_until),
    )
)

_STATE: Final = select(_ATTEMPT.failures, _ATTEMPT.window_started_at, _ATTEMPT.locked_until).where(_THIS_DOOR)


def count(session: Session, door: Door, *, now: datetime) -> datetime | None:
    """Count an attempt at a door; until when it locked the door for those who come after it. The caller commits.

    Raises: SignInLocked, if it was locked before.
    """
    row = session.execute(
        _COUNT[session.get_bind().dialect.name],
        {
            "door_kind": door.kind,
            "door_key": door.key,
            "most": door.most,
            "moment": now,
            "window_start": now - door.window,
            "lock_end": now + door.lock,
        },
    ).one()
    if row.failures > door.most:
        raise SignInLocked(row.locked_until, everybody=door.kind == EVERYBODY)
    locked_until: datetime | None = row.locked_until
    return locked_until


def count_at(session: Session, doors: Iterable[Door], *, now: datetime) -> list[tuple[Door, datetime | None]]:
    """Count an attempt at each of these doors, as `count` does, or at none that was open. The caller commits.

    Raises: SignInLocked, if one was locked: nobody looks at the attempt then, so it is held against nobody else.
    """
    counted: list[tuple[Door, datetime | None]] = []
    for door in doors:
        try:
            counted.append((door, count(session, door, now=now)))
        except SignInLocked:
            for open_door, _ in counted:
                take_back(session, open_door)
            raise
    return counted


def left(session: Session, door: Door, *, now: datetime) -> tuple[int, datetime | None]:
    """How many failures it takes until a door locks, and until when it is locked, if it is. Nothing is counted."""
    row = session.execute(_STATE, {"door_kind": door.kind, "door_key": door.key}).one_or_none()
    if row is not None and row.locked_until is not None and row.locked_until > now:
        return 0, row.locked_until
    over = row is None or row.locked_until is not None or row.window_started_at <= now - door.window
    return (door.most if row is None or over else door.most - row.failures), None


def came_in(session: Session, doors: Iterable[Door]) -> None:
    """Undo what was counted at these doors: whoever it was came in. The caller commits."""
    for door in doors:
        if door.reopens:
            reopen(session, door)
        else:
            take_back(session, door)


def reopen(session: Session, door: Door) -> None:
    """Forget all failures at a door: whoever it belongs to came in. The caller commits."""
    session.execute(_REOPEN, {"door_kind": door.kind, "door_key": door.key})


def take_back(session: Session, door: Door) -> None:
    """Undo one `count`, because it was no failure. The caller commits."""
    session.execute(_TAKE_BACK, {"door_kind": door.kind, "door_key": door.key, "most": door.most})
