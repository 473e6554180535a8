"""Writing and reading the record. Entries are added in the transaction of what they tell of; none is changed."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, FromClause, insert, literal, select, tuple_
from sqlalchemy.orm import Session

from authz_server.audit.models import AUDIT_ENTRY, AuditEntry
from authz_server.core.logging import current_trace_id
from authz_server.database import unindexed

COLUMNS = tuple(column.name for column in AUDIT_ENTRY.columns if column.name != "id")
INSERT = insert(AUDIT_ENTRY)


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One entry to be. `reason` and `event` come from closed lists in the code, never from a request."""

    at: datetime
    event: str
    success: bool
    actor: str
    transaction_id: str | None = None
    citizen_id: int | None = None
    client_id: str | None = None
    agency_id: str | None = None
    dataset_id: str | None = None
    consent_id: str | None = None
    reason: str | None = None
    trace_id: str | None = field(default_factory=current_trace_id)

    def values(self) -> dict[str, Any]:
        """The row as it goes into the table."""
        return {name: getattr(self, name) for name in COLUMNS}


def record(session: Session, *entries: Entry) -> None:
    """Append entries to the record. The caller commits."""
    session.execute(INSERT, [entry.values() for entry in entries])


@dataclass(frozen=True, order=True)
class Position:
    """A place in a record that is read newest first: by time, and among entries of one time by number."""

    at: datetime
    id: int

    def __str__(self) -> str:
        """For the address of the next page."""
        return f"{(self.at - EPOCH) // timedelta(microseconds=1)}-{self.id}"

    @classmethod
    def parse(cls, text: str) -> "Position":
        """The inverse of `str`.  Raises: ValueError."""
        found = _POSITION.fullmatch(text)
        if found is None:
            raise ValueError("not a position")
        return cls(EPOCH + timedelta(microseconds=int(found[1])), int(found[2]))


EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NEWEST = Position(datetime(9999, 1, 1, tzinfo=UTC), 2**62)  # before everything
_POSITION = re.compile(r"([0-9]{1,17})-([0-9]{1,18})")


def after(position: Position, entry: FromClause = AUDIT_ENTRY) -> ColumnElement[bool]:
    """Of a table or subquery with `at` and `id`: what comes after a position, newest first."""
    return tuple_(entry.c.at, entry.c.id) < tuple_(
        literal(position.at, entry.c.at.type), literal(position.id, entry.c.id.type)
    )


def entries_of(
    session: Session,
    citizen_id: int,
    *,
    transaction_id: str | None = None,
    since: datetime | None = None,
    before: Position = NEWEST,
    limit: int = 20,
) -> Sequence[AuditEntry]:
    """The citizen's own entries, newest first: all, or those about one request.

    Args: since: no older ones; before: the last one seen, for the next page.
    """
    found = select(AuditEntry).where(after(before))
    if since is not None:
        found = found.where(AuditEntry.at >= since)
    if transaction_id is None:
        found = found.where(AUDIT_ENTRY.c.citizen_id == citizen_id)
    else:
        found = found.where(
            AUDIT_ENTRY.c.transaction_id == transaction_id, unindexed(AUDIT_ENTRY.c.citizen_id) == citizen_id
        )
    return session.scalars(found.order_by(AuditEntry.at.desc(), AuditEntry.id.desc()).limit(limit)).all()


def places_of(
    session: Session, citizen_id: int, *, since: datetime | None, before: Position, every: int, at_most: int
) -> Sequence[Position]:
    """Where a citizen's entries have to be cut into parts of so many: the last of each part but the last part.

    At most so many statements, each a walk along an index.
    """
    place = AUDIT_ENTRY.c
    walk = select(place.at, place.id).where(place.citizen_id == citizen_id)
    if since is not None:
        walk = walk.where(place.at >= since)
    walk = walk.order_by(place.at.desc(), place.id.desc()).limit(2).offset(every - 1)
    found: list[Position] = []
    while len(found) < at_most:
        rows = session.execute(walk.where(after(found[-1] if found else before))).all()
        if len(rows) < 2:  # nothing comes after it
            break
        found.append(Position(rows[0].at, rows[0].id))
    return found
