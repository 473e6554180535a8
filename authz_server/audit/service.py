"""Writing and reading the record. Entries are added in the transaction of what they tell of; none is changed."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Select, bindparam, insert, select
from sqlalchemy.orm import Session
from sqlalchemy.sql.dml import ReturningUpdate

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


class RecordedChange:
    """An UPDATE that decides, and the entries that tell of it: both or neither.

    On PostgreSQL they are one statement (entries are inserted from the changed rows); SQLite has no INSERT inside
    WITH, so there they are two in the same transaction. Built once, when its module is imported.

    Args: change: an UPDATE ... RETURNING. Columns that it returns under the name of a column of the record go there;
    the record's other columns come from the `Entry` that `run` is given.
    """

    def __init__(self, change: ReturningUpdate[Any]) -> None:
        self.change = change
        changed = change.cte("changed")
        self.from_row = tuple(name for name in COLUMNS if name in changed.c)
        self.from_entry = tuple(name for name in COLUMNS if name not in changed.c)
        column = table_of(AuditEntry).c
        sources = [
            changed.c[name] if name in self.from_row else bindparam(f"entry_{name}", type_=column[name].type)
            for name in COLUMNS
        ]
        entries = insert(table_of(AuditEntry)).from_select(COLUMNS, select(*sources), include_defaults=False)
        self.combined: Select[Any] = select(changed).add_cte(entries.cte("entries"))

    def run(self, session: Session, entry: Entry, **parameters: Any) -> Sequence[Row[Any]]:
        """Make the change, record it, return the changed rows (none: nothing qualified, nothing happened).

        The caller commits.
        """
        given = {name: getattr(entry, name) for name in self.from_entry}
        if session.get_bind().dialect.name == "postgresql":
            renamed = {f"entry_{name}": value for name, value in given.items()}
            return session.execute(self.combined, parameters | renamed).all()
        rows = session.execute(self.change, parameters).all()
        if rows:
            session.execute(INSERT, [given | {name: row._mapping[name] for name in self.from_row} for row in rows])
        return rows
