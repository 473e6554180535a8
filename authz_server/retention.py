"""How long each table keeps its rows: one line per table. The janitor walks it; a test demands a line for each.

Expiry is enforced where rows are read; this only tidies. A row goes when the named time lies the given days back.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import CursorResult, Table, delete, select, tuple_
from sqlalchemy.orm import Session

from authz_server.audit.models import AuditEntry
from authz_server.clients import models as clients
from authz_server.config import Limits
from authz_server.consent.models import AuthorizationCode, AuthorizationRequest, Consent
from authz_server.database import Base, table_of
from authz_server.identity.models import Citizen, CitizenSession, SignInAttempt
from authz_server.notices.models import KEPT_DAYS, Notice
from authz_server.single_use.models import UsedIdentifier
from authz_server.tokens.models import AccessToken, DatasetToken

BATCH = 1000


@dataclass(frozen=True)
class Keep:
    """Rows go `days` after the time in `column`; `column` None: they stay until a command removes them.

    `days` None means as long as the record, which is a setting.
    """

    model: type[Base]
    column: str | None
    days: int | None = None

    @property
    def table(self) -> Table:
        return table_of(self.model)


# In an order in which whoever points at a row goes before it.
KEEP = (
    Keep(UsedIdentifier, "expires_at", 0),
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
    """Delete at most a batch of rows whose time has come; how many. The caller commits, and calls again if full."""
    if keep.column is None:
        return 0
    days = limits.record_days if keep.days is None else keep.days
    table, key = keep.table, list(keep.table.primary_key)
    due = select(*key).where(table.c[keep.column] < now - timedelta(days=days)).limit(BATCH)
    result: CursorResult[Any] = session.execute(delete(table).where(tuple_(*key).in_(due)))  # type: ignore[assignment]
    return result.rowcount


def tables() -> Mapping[str, Keep]:
    """The rule of each table, by its name."""
    return {keep.table.name: keep for keep in KEEP}
