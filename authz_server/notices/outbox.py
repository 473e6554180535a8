"""Whose turn it is to be delivered, and how that went. Each step is one statement, so any number of workers may run.

A claim pushes the time at which the notice is due on, past the end of any attempt: nobody else takes it meanwhile, and
should its worker die, it is due again then. A worker that was slower than that has lost its claim, and changes nothing.

What is not taken is tried again after half a minute, then after twice as long each time, up to four hours, each wait
longer or shorter by up to a half; after `MOST_ATTEMPTS`, which is about three days, it is given up.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from sqlalchemy import ColumnElement, bindparam, exists, func, select, tuple_, update
from sqlalchemy.orm import Session

from authz_server.notices.models import NOTICE

LEASE = timedelta(minutes=5)  # longer than any attempt can take
FIRST_WAIT = timedelta(seconds=30)
LONGEST_WAIT = timedelta(hours=4)
MOST_ATTEMPTS = 27

CLAIMED = ("audit_entry_id", "channel", "citizen_id", "created_at", "attempts", "address")
_DUE = (NOTICE.c.channel == bindparam("of_channel"), NOTICE.c.due_at <= bindparam("now"))
# A CTE, for PostgreSQL may run a subquery with LIMIT more than once. SQLite knows no row locks and needs none: there,
# the transaction is the only one that writes.
_NEXT = (
    select(NOTICE.c.audit_entry_id, NOTICE.c.channel)
    .where(*_DUE)
    .order_by(NOTICE.c.due_at)
    .limit(1)
    .with_for_update(skip_locked=True)
    .cte("next")
)
_CLAIM = (
    update(NOTICE)
    .where(tuple_(NOTICE.c.audit_entry_id, NOTICE.c.channel).in_(select(_NEXT.c.audit_entry_id, _NEXT.c.channel)))
    .values(due_at=bindparam("until"), attempts=NOTICE.c.attempts + 1)
    .returning(*(NOTICE.c[name] for name in CLAIMED))
)
_WAITING = select(exists().where(*_DUE))


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One notice that is ours to deliver until the lease ends. `attempt`: which one this is, from 1; `address`: where
    to, if not to where its reader is reached now."""

    audit_entry_id: int
    channel: str
    citizen_id: int | None
    created_at: datetime
    attempt: int
    address: str | None = field(default=None, repr=False)

    @property
    def wait(self) -> timedelta:
        """How long to wait after this attempt failed; spread, so that not all come back at the same moment."""
        seed = sha256(f"{self.audit_entry_id} {self.channel} {self.attempt}".encode()).digest()
        return min(FIRST_WAIT * (1 << self.attempt - 1), LONGEST_WAIT) * (0.5 + seed[0] / 255)


def is_anything_due(session: Session, channel: str, *, now: datetime) -> bool:
    """Whether a claim may find something; reads only."""
    return bool(session.scalar(_WAITING, {"of_channel": channel, "now": now}))


def claim(session: Session, channel: str, *, now: datetime) -> Claim | None:
    """Take the notice that has been due longest; None if there is none. The caller commits before it delivers."""
    row = session.execute(_CLAIM, {"of_channel": channel, "now": now, "until": now + LEASE}).one_or_none()
    if row is None:
        return None
    return Claim(
        audit_entry_id=row.audit_entry_id,
        channel=row.channel,
        citizen_id=row.citizen_id,
        created_at=row.created_at,
        attempt=row.attempts,
        address=row.address,
    )


def delivered(session: Session, claim: Claim, *, now: datetime) -> None:
    """Close it: it was taken. The caller commits."""
    _settle(session, claim, due_at=None, delivered_at=now, failure=None, address=None)


def postponed(session: Session, claim: Claim, failure: str, *, now: datetime) -> bool:
    """Try again later, or give up if it was tried often enough; whether it was given up. The caller commits."""
    if claim.attempt >= MOST_ATTEMPTS:
        given_up(session, claim, failure, now=now)
        return True
    _settle(session, claim, due_at=now + claim.wait, failure=failure)
    return False


def given_up(session: Session, claim: Claim, failure: str, *, now: datetime) -> None:
    """Close it: it will never be taken. The caller commits."""
    _settle(session, claim, due_at=None, failed_at=now, failure=failure, address=None)


def _settle(session: Session, claim: Claim, **values: Any) -> None:
    session.execute(update(NOTICE).where(*_held(claim)).values(values))


def _held(claim: Claim) -> tuple[ColumnElement[bool], ...]:
    return (
        NOTICE.c.audit_entry_id == claim.audit_entry_id,
        NOTICE.c.channel == claim.channel,
        NOTICE.c.attempts == claim.attempt,  # else another worker has taken it since
        NOTICE.c.due_at.is_not(None),
    )


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
