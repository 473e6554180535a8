"""How long each table keeps its rows, and what becomes of them when their citizen leaves: one line per table.

The janitor walks it, and so does `leaving`; a test demands a line for each. Expiry is enforced where rows are read;
this only tidies. A row goes when the named time lies the given days back; the tables of a ring are emptied as a whole
when their time is over.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
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
from authz_server.consent.models import (
    Anomaly,
    AnomalyWatch,
    AuthorizationCode,
    AuthorizationRequest,
    Consent,
    Correction,
    Preparation,
    Refusal,
)
from authz_server.counter.models import Appointment, Barcode, Delegation, DeskSession
from authz_server.database import Base, table_of
from authz_server.identity.browsers import KEPT
from authz_server.identity.models import (
    Citizen,
    CitizenSession,
    ContactChange,
    Credential,
    IdentityChallenge,
    KnownBrowser,
    SignInAttempt,
)
from authz_server.installation import Installation
from authz_server.notices.models import KEPT_DAYS, Notice, NoticeChoice
from authz_server.single_use import buckets
from authz_server.single_use.models import USED_IDENTIFIERS
from authz_server.tokens.models import AccessToken, DatasetToken

BATCH = 5000
AN_HOUR = 1 / 24  # of a day
CLOCK = select(func.clock_timestamp())  # of the database; now() would be that of the transaction's beginning
LOCK_PATIENCE_MS = 50
STANDSTILL_MS = 5000
# PostgreSQL: not in that time; or two waited for each other, and the one that stood still too long was sent away.
LOCK_NOT_AVAILABLE = frozenset({"55P03", "40P01"})


class TableInUse(Exception):
    """A table of the ring can't be emptied now: somebody reads it, or its turn is near. Later will do."""


class Leaving(Enum):
    """What becomes of the rows of a citizen who leaves."""

    OF_NOBODY = "no row is of a citizen"
    ERASED = "they go at once"
    EMPTIED = "they stay, without whatever says who it was: see `leaving`"
    NUMBERED = "they stay: they know the citizen by a number alone, which then leads to nobody"


ERASED, EMPTIED, NUMBERED = Leaving.ERASED, Leaving.EMPTIED, Leaving.NUMBERED


@dataclass(frozen=True)
class Keep:
    """Rows go `days` after the time in `column`; `column` None: they stay until a command removes them.

    `days` None means as long as the record, which is a setting. `ring`: the table's number in a ring of time buckets.
    `leaving`: what becomes of a citizen's rows when they leave. `held_by`: the column by which rows that may be younger
    point here; what one still points at stays for that long.
    """

    model: type[Base]
    column: str | None
    days: float | None = None
    ring: int | None = None
    leaving: Leaving = Leaving.OF_NOBODY
    held_by: ColumnElement[int] | None = None

    @property
    def table(self) -> Table:
        return table_of(self.model)


# In an order in which whoever points at a row goes before it.
KEEP = (
    *(Keep(model, None, ring=number) for number, model in enumerate(USED_IDENTIFIERS)),
    Keep(SignInAttempt, "window_started_at", 3),  # a window of a day, then a lock of a day
    # Nobody reads one that is over, but who goes back in their browser; anybody can have them made, signed in or not.
    Keep(IdentityChallenge, "expires_at", AN_HOUR, leaving=ERASED),
    Keep(CitizenSession, "expires_at", 1, leaving=ERASED),
    Keep(KnownBrowser, "last_used_at", KEPT.days, leaving=ERASED),
    Keep(Credential, "removed_at", 1, leaving=ERASED),
    Keep(AuthorizationCode, "expires_at", 1, leaving=NUMBERED),  # a day, so that a replay is still recognised as one
    Keep(AccessToken, "expires_at", 1, leaving=NUMBERED),
    Keep(DatasetToken, "expires_at", 1, leaving=NUMBERED),
    Keep(AuthorizationRequest, "deadline_at", 1, leaving=ERASED),
    Keep(Notice, "created_at", KEPT_DAYS, leaving=ERASED),  # before the entries that they point at
    # A notice may be younger than its entry by as long as no worker ran.
    Keep(AuditEntry, "at", leaving=NUMBERED, held_by=table_of(Notice).c.audit_entry_id),
    Keep(Anomaly, "at"),
    Keep(Barcode, "shown_at", 1, leaving=NUMBERED),  # as its code; what became of it is on the record
    Keep(Delegation, "invited_at", 1, leaving=NUMBERED),  # the same
    Keep(DeskSession, "expires_at", 1, leaving=ERASED),
    Keep(Appointment, "ended_at", leaving=NUMBERED),  # by whose number the record names a clerk
    Keep(Correction, "requested_at", leaving=ERASED),  # what is sealed goes within hours: consent.correction
    Keep(Preparation, "until", 1, leaving=NUMBERED),  # its agency may still have to be told to drop it
    Keep(Consent, "decided_at", leaving=EMPTIED),
    Keep(Refusal, "decided_at", leaving=ERASED),
    Keep(NoticeChoice, None, leaving=ERASED),
    # As long as the old address may still have to be told.
    Keep(ContactChange, "created_at", 30, leaving=ERASED),
    # As long as the record that points at it, and no appointment is there, which ended with them or a moment later.
    Keep(Citizen, "left_at", leaving=EMPTIED, held_by=table_of(Appointment).c.citizen_id),
    Keep(AnomalyWatch, None),
    Keep(clients.ClientRequest, "at", 1),  # the longest that the settings allow
    Keep(clients.Client, None),
    Keep(clients.AgencyState, None),  # a row for each agency, which it overwrites
    Keep(clients.Agency, None),
    Keep(clients.SuspendedDataset, None),
    Keep(clients.RegistryVersion, None),
    Keep(Installation, None),
)


def purge(session: Session, *, keep: Keep, limits: Limits, time: Callable[[], datetime]) -> int:
    """Delete at most a batch of rows whose time has come; how many. The caller commits, and calls again if full.

    A table that is emptied as a whole counts as one row.
    Args: time: tells the present moment, whenever it is asked.  Raises: TableInUse.
    """
    if keep.ring is not None:
        return _empty(session, keep.table, keep.ring, time)
    if keep.column is None:
        return 0
    now = time()
    days = limits.record_days if keep.days is None else keep.days
    due_by = keep.table.c[keep.column]
    due = due_by < now - timedelta(days=days)
    if keep.held_by is not None:
        due &= ~exists().where(keep.held_by == keep.table.c.id)
    result: CursorResult[Any] = session.execute(  # type: ignore[assignment]
        delete(keep.table).where(_among_the_oldest(session, keep.table, due_by, due))
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


def _empty(session: Session, table: Table, number: int, time: Callable[[], datetime]) -> int:
    """Empty a table of the ring if its time is over, by a moment that can't be an old one however long we stood still.

    On SQLite the transaction has locked out all other writers before the time is asked. On PostgreSQL the database,
    which goes on while this process stands still, says when the time was asked and when the lock was there; from then
    on nobody adds to the table.
    """
    on_postgresql = session.get_bind().dialect.name == "postgresql"
    filled = session.scalar(select(exists(select(literal_column("1")).select_from(table))))
    asked_at = session.scalar(CLOCK) if on_postgresql else None
    now = time()
    if not filled or number not in buckets.over(now):
        return 0
    if asked_at is None:
        session.execute(delete(table))  # without WHERE, SQLite forgets the pages as they are
        return 1
    _lock(session, table)
    if number not in buckets.over(now, waited=session.scalars(CLOCK).one() - asked_at):
        raise TableInUse(table.name)
    session.execute(text(f"TRUNCATE {table.name}"))
    return 1


def _lock(session: Session, table: Table) -> None:
    # A backup that is under way reads every table; who waits behind us for this one would wait for it too. Nor should
    # anybody wait for us, should we stand still just then.
    session.execute(text(f"SET LOCAL lock_timeout = {LOCK_PATIENCE_MS}"))
    session.execute(text(f"SET LOCAL idle_in_transaction_session_timeout = {STANDSTILL_MS}"))
    try:
        session.execute(text(f"LOCK TABLE {table.name}"))
    except OperationalError as error:
        if getattr(error.orig, "sqlstate", None) in LOCK_NOT_AVAILABLE:
            raise TableInUse(table.name) from error
        raise


def tables() -> Mapping[str, Keep]:
    """The rule of each table, by its name."""
    return {keep.table.name: keep for keep in KEEP}
