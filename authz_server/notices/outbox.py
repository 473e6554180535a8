"""Whose turn it is to be delivered, and how that went. Each step is one statement, so any number of workers may run.

A claim takes a handful of notices and pushes the time at which they are due on, past the end of any attempt: nobody
else takes them meanwhile, and should their worker die, they are due again then. A worker that was slower than that has
lost its claim, and changes nothing.

What is not taken is tried again after half a minute, then after twice as long each time, up to four hours, each wait
longer or shorter by up to a half; after `MOST_ATTEMPTS`, which is about three days, it is given up, unless the last one
was none, for the receiver was left alone at that moment. A code goes before all else that is due, also once it was put
off or its worker has died.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from sqlalchemy import bindparam, case, exists, func, literal_column, null, or_, select, tuple_, update
from sqlalchemy.orm import Session

from authz_server.notices.models import KEPT_DAYS, NOTICE
from authz_server.prepared import Executor, Prepared

LEASE = timedelta(minutes=5)
LONGEST_ATTEMPT = timedelta(minutes=2)  # no attempt takes longer, so none begins later than that before the lease ends
# As many as take a moment together: those that a worker holds when it dies wait for the end of its lease.
AT_ONCE = 8
FIRST_WAIT = timedelta(seconds=30)
LONGEST_WAIT = timedelta(hours=4)
MOST_ATTEMPTS = 27
# Somebody waits for a code, which is good for minutes. Whenever it is due is written so much earlier: before whatever
# else waits, be that of days ago.
AHEAD = timedelta(days=KEPT_DAYS)

CLAIMED = ("audit_entry_id", "channel", "citizen_id", "created_at", "due_at", "attempts", "address", "locale")
# Of codes, `codes_now` is the present. From there to `codes_end` is nothing but codes whose time has not come, as they
# were put off or are claimed: all else would be as old there as what the janitor deletes.
_DUE = (
    NOTICE.c.channel == bindparam("of_channel"),
    NOTICE.c.due_at <= bindparam("now"),
    or_(NOTICE.c.due_at <= bindparam("codes_now"), NOTICE.c.due_at > bindparam("codes_end")),
)
# A CTE, for PostgreSQL may run a subquery with LIMIT more than once. SQLite knows no row locks and needs none: there,
# the transaction is the only one that writes.
_NEXT = (
    select(NOTICE.c.audit_entry_id, NOTICE.c.channel)
    .where(*_DUE)
    .order_by(NOTICE.c.due_at)
    .limit(literal_column(str(AT_ONCE)))  # in the statement: plans are generic, and that for any number reads the table
    .with_for_update(skip_locked=True)
    .cte("next")
)
_CLAIM = Prepared(
    update(NOTICE)
    .where(tuple_(NOTICE.c.audit_entry_id, NOTICE.c.channel).in_(select(_NEXT.c.audit_entry_id, _NEXT.c.channel)))
    .values(
        due_at=case(
            (NOTICE.c.due_at <= bindparam("codes_now"), bindparam("code_until", type_=NOTICE.c.due_at.type)),
            else_=bindparam("until", type_=NOTICE.c.due_at.type),
        ),
        attempts=NOTICE.c.attempts + 1,
    )
    .returning(*(NOTICE.c[name] for name in CLAIMED))
)
_WAITING = Prepared(select(exists().where(*_DUE).label("due")))
_HELD = (
    NOTICE.c.audit_entry_id == bindparam("entry_id"),
    NOTICE.c.channel == bindparam("of_channel"),
    NOTICE.c.attempts == bindparam("attempt"),  # else another worker has taken it since
    NOTICE.c.due_at.is_not(None),
)
_DELIVER = Prepared(
    update(NOTICE)
    .where(*_HELD)
    .values(due_at=null(), delivered_at=bindparam("now"), failure=null(), address=null(), locale=null())
    .returning(NOTICE.c.audit_entry_id)
)


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One notice that is ours to deliver until the lease ends. `attempt`: which one this is, from 1; `address` and
    `locale`: where to and in which language, if not to where its reader is reached now, or in theirs; `ahead`: before
    all others, as codes are."""

    audit_entry_id: int
    channel: str
    citizen_id: int | None
    created_at: datetime
    attempt: int
    ahead: bool
    address: str | None = field(default=None, repr=False)
    locale: str | None = None

    @property
    def wait(self) -> timedelta:
        """How long to wait after this attempt failed; spread, so that not all come back at the same moment."""
        seed = sha256(f"{self.audit_entry_id} {self.channel} {self.attempt}".encode()).digest()
        doubled = min(self.attempt, MOST_ATTEMPTS) - 1  # there may be more, of those that asked nobody
        return min(FIRST_WAIT * (1 << doubled), LONGEST_WAIT) * (0.5 + seed[0] / 255)


def is_anything_due(executor: Executor, channel: str, *, now: datetime) -> bool:
    """Whether a claim may find something; reads only."""
    return bool(_WAITING.run(executor, _moments(channel, now))[0].due)


def claim(executor: Executor, channel: str, *, now: datetime) -> list[Claim]:
    """Take codes, and the notices that have been due longest, at most `AT_ONCE`; codes come first.

    The caller commits before it delivers.
    """
    rows = _CLAIM.run(executor, _moments(channel, now) | {"until": now + LEASE, "code_until": now + LEASE - AHEAD})
    claims = [
        Claim(
            audit_entry_id=row.audit_entry_id,
            channel=row.channel,
            citizen_id=row.citizen_id,
            created_at=row.created_at,
            attempt=row.attempts,
            ahead=row.due_at < now,  # it is claimed, so its time has yet to come
            address=row.address,
            locale=row.locale,
        )
        for row in rows
    ]
    return sorted(claims, key=lambda claim: (not claim.ahead, claim.audit_entry_id))


def delivered(executor: Executor, claim: Claim, *, now: datetime) -> None:
    """Close it: it was taken. The caller commits."""
    _DELIVER.run(executor, _identity(claim) | {"now": now})


def _moments(channel: str, now: datetime) -> dict[str, Any]:
    codes_now = now - AHEAD
    return {"of_channel": channel, "now": now, "codes_now": codes_now, "codes_end": codes_now + LONGEST_WAIT * 1.5}


def released(session: Session, claim: Claim, *, now: datetime) -> None:
    """Give it back without an attempt: it is due again. The caller commits."""
    _settle(session, claim, due_at=_due_at(claim, now), attempts=claim.attempt - 1)


def postponed(session: Session, claim: Claim, failure: str, *, asked: bool, now: datetime) -> bool:
    """Try again later, or give up if it was tried often enough; whether it was given up. The caller commits.

    Args: asked: whether the receiver was asked at all: only one that was, and at last, has not taken it.
    """
    if asked and claim.attempt >= MOST_ATTEMPTS:
        return given_up(session, claim, failure, now=now)
    _settle(session, claim, due_at=_due_at(claim, now + claim.wait), failure=failure)
    return False


def _due_at(claim: Claim, moment: datetime) -> datetime:
    return moment - AHEAD if claim.ahead else moment


def given_up(session: Session, claim: Claim, failure: str, *, now: datetime) -> bool:
    """Close it: it will never be taken; whether it was still this worker's to close. The caller commits."""
    return _settle(session, claim, due_at=None, failed_at=now, failure=failure, address=None, locale=None)


def _settle(session: Session, claim: Claim, **values: Any) -> bool:
    settled = update(NOTICE).where(*_HELD).values(values).returning(NOTICE.c.audit_entry_id)
    return session.execute(settled, _identity(claim)).first() is not None


def _identity(claim: Claim) -> dict[str, Any]:
    return {"entry_id": claim.audit_entry_id, "of_channel": claim.channel, "attempt": claim.attempt}


def figures(session: Session, *, since: datetime) -> Sequence[Any]:
    """By channel: how many wait and since when the oldest, how many made since then were delivered or given up."""
    recent = NOTICE.c.created_at > since
    waiting = NOTICE.c.due_at.is_not(None)
    return session.execute(
        select(
            NOTICE.c.channel,
            func.count().filter(waiting).label("waiting"),
            func.min(NOTICE.c.created_at).filter(waiting).label("waiting_since"),
            func.count().filter(NOTICE.c.delivered_at.is_not(None)).label("delivered"),
            func.count().filter(NOTICE.c.failed_at.is_not(None)).label("given_up"),
        )
        .where(recent | waiting)
        .group_by(NOTICE.c.channel)
        .order_by(NOTICE.c.channel)
    ).all()
