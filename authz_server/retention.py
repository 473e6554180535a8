"""How long each table keeps its rows: one line per table. The janitor walks it; a test demands a line for each.

Expiry is enforced where rows are read; this only tidies. A row goes when the named time lies the given days back; the
tables of a ring are emptied as a whole when their time is over.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    CursorResult,
    Table,
    any_,
    delete,
    exists,
    func,
    literal_column,
    select,
    text,
    tuple_,
)
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from authz_server.audit.models import AuditEntry
from authz_server.clients import models as clients
from authz_server.config import Limits
from authz_server.consent.models import AuthorizationCode, AuthorizationRequest, Consent
from authz_server.database import Base, table_of
from authz_server.identity.models import Citizen, CitizenSession, SignInAttempt
from authz_server.notices.models import KEPT_DAYS, Notice
from authz_server.single_use import buckets
from authz_server.single_use.models import USED_IDENTIFIERS
from authz_server.tokens.models import AccessToken, DatasetToken

BATCH = 5000
LOCK_PATIENCE_MS = 50
LOCK_NOT_AVAILABLE = "55P03"


class TableInUse(Exception):
    """A table of the ring can't be emptied now: somebody reads it. It does no harm to empty it later, or not at all."""


@dataclass(frozen=True)
class Keep:
    """Rows go `days` after the time in `column`; `column` None: they stay until a command removes them.

    `days` None means as long as the record, which is a setting. `ring`: the table's number in a ring of time buckets.
    """

    model: type[Base]
    column: str | None
    days: int | None = None
    ring: int | None = None

    @property
    def table(self) -> Table:
        return table_of(self.model)


# In an order in which whoever points at a row goes before it.
KEEP = (
    *(Keep(model, None, ring=number) for number, model in enumerate(USED_IDENTIFIERS)),
    Keep(SignInAttempt, "window_started_at", 1),
    Keep(CitizenSession, "expires_at", 1),
    Keep(AuthorizationCode, "expires_at", 1),  # a day, so that a replay is still recognised as one
    Keep(AccessToken, "expires_at", 1),
    Keep(DatasetToken, "expires_at", 1),
    Keep(AuthorizationRequest, "deadline_at", 1),
    Keep(Notice, "created_at", KEPT_DAYS),  # before the entries that they point at
    Keep(AuditEntry, "at"),
    Keep(Consent, "decided_at"),
    Keep(Citizen, None),
    Keep(clients.Client, None),
    Keep(clients.Agency, None),
    Keep(clients.SuspendedDataset, None),
    Keep(clients.RegistryVersion, None),
)


def purge(session: Session, *, keep: Keep, limits: Limits, now: datetime) -> int:
    """Delete at most a batch of rows whose time has come; how many. The caller commits, and calls again if full.

    A table that is emptied as a whole counts as one row.  Raises: TableInUse.
    """
    if keep.ring is not None:
        return _empty(session, keep.table) if keep.ring in buckets.over(now) else 0
    if keep.column is None:
        return 0
    days = limits.record_days if keep.days is None else keep.days
    time = keep.table.c[keep.column]
    result: CursorResult[Any] = session.execute(  # type: ignore[assignment]
        delete(keep.table).where(_among_the_oldest(session, keep.table, time, time < now - timedelta(days=days)))
    )
    return result.rowcount


def _among_the_oldest(
    session: Session, table: Table, time: ColumnElement[datetime], due: ColumnElement[bool]
) -> ColumnElement[bool]:
    if session.get_bind().dialect.name == "postgresql":
        # By where they lie: by their keys each would have to be found a second time, at four times the cost.
        place: ColumnElement[Any] = literal_column(f"{table.name}.ctid")
        batch = select(place).select_from(table).where(due).order_by(time).limit(BATCH)
        return place == any_(func.array(batch.scalar_subquery()))
    key = list(table.primary_key)
    return tuple_(*key).in_(select(*key).where(due).limit(BATCH))


def _empty(session: Session, table: Table) -> int:
    if not session.scalar(select(exists(select(literal_column("1")).select_from(table)))):
        return 0
    if session.get_bind().dialect.name == "postgresql":
        # A backup that is under way reads every table; who waits behind us for this one would wait for it too.
        session.execute(text(f"SET LOCAL lock_timeout = {LOCK_PATIENCE_MS}"))
        try:
            session.execute(text(f"TRUNCATE {table.name}"))
        except OperationalError as error:
            if getattr(error.orig, "sqlstate", None) == LOCK_NOT_AVAILABLE:
                raise TableInUse(table.name) from error
            raise
    else:
        session.execute(delete(table))  # without WHERE, SQLite forgets the pages as they are
    return 1


def tables() -> Mapping[str, Keep]:
    """The rule of each table, by its name."""
    return {keep.table.name: keep for keep in KEEP}
