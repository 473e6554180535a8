"""Writing and reading the record. Entries are added in the transaction of what they tell of; none is changed."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from authz_server.audit.models import AuditEntry
from authz_server.core.logging import current_trace_id
from authz_server.database import table_of

COLUMNS = tuple(column.name for column in table_of(AuditEntry).columns if column.name != "id")
INSERT = insert(table_of(AuditEntry))


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


def entries_of(
    session: Session, citizen_id: int, *, before: int | None = None, limit: int = 20
) -> Sequence[AuditEntry]:
    """The citizen's own entries, newest first; `before` is the id of the last one seen (for the next page)."""
    found = select(AuditEntry).where(AuditEntry.citizen_id == citizen_id)
    if before is not None:
        found = found.where(AuditEntry.id < before)
    return session.scalars(found.order_by(AuditEntry.id.desc()).limit(limit)).all()
