"""The database was put back to an earlier moment, from a backup, which knows nothing of what came after it.

Whatever was open in it may have been used since, or stopped, and would work a second time: all of that ends. Numbers
that were given away since would be given to somebody else: a citizen's, of which clients know pseudonyms; an entry's,
of which messages have links, and events identifiers. So numbering goes on far ahead.

What no command can know is named in docs/deploy.md.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, cast

from sqlalchemy import CursorResult, Table, Update, func, insert, select, text, update
from sqlalchemy.orm import Session

from authz_server.audit.models import AUDIT_ENTRY
from authz_server.audit.service import Entry
from authz_server.consent import service as consent
from authz_server.consent.service import REQUEST
from authz_server.core.settings import SettingsError
from authz_server.counter.models import DESK_SESSION
from authz_server.database import Base
from authz_server.identity import turns
from authz_server.identity.models import CITIZEN, CITIZEN_SESSION, CONTACT_CHANGE, IDENTITY_CHALLENGE
from authz_server.leaving import shell
from authz_server.tokens.withdrawal import citizens_with_open, withdraw_open

RESTORED: Final = "restored"  # why a consent ends
EVENT: Final = "platform.restored"  # on no citizen's record
AHEAD: Final = 10**9  # more than was numbered since any backup that one would put back
SKIP: Final = text("SELECT setval(found, nextval(found) + :ahead) FROM pg_get_serial_sequence(:table, :column) found")


@dataclass(frozen=True, kw_only=True)
class Ended:
    """What ended: how many citizens had anything open, and how many requests, sessions and questions were."""

    citizens: int
    requests: int
    sessions: int
    questions: int
    under_way: bool  # whether a transfer was, with a proxy that still ran


def end_what_was_open(session: Session, *, now: datetime) -> Ended:
    """End all that could be used, for everybody, on the record. The caller commits by `commit_end`.

    A second time it finds what was opened in between.
    Raises: SettingsError, if PostgreSQL does not know what numbers a table.
    """
    _number_ahead(session, now=now)
    requests = _run(
        session,
        update(REQUEST).where(REQUEST.c.decided_at.is_(None), REQUEST.c.deadline_at > now).values(deadline_at=now),
    )
    consent.tidy(session, now=now)  # on the record as what nobody decided in time
    citizens, under_way = list(citizens_with_open(session, now=now)), False
    for citizen_id in citizens:
        turns.take(session, citizen_id)
        under_way |= withdraw_open(session, citizen_id, actor="operator", reason=RESTORED, now=now)
    return Ended(
        citizens=len(citizens),
        requests=requests,
        sessions=sum(_run(session, _ending(table, now)) for table in (CITIZEN_SESSION, DESK_SESSION)),
        questions=sum(_run(session, statement) for statement in _questions(now)),
        under_way=under_way,
    )


def _ending(table: Table, now: datetime) -> Update:
    return update(table).where(table.c.ended_at.is_(None), table.c.expires_at > now).values(ended_at=now)


def _questions(now: datetime) -> Iterator[Update]:
    asked, change = IDENTITY_CHALLENGE.c, CONTACT_CHANGE.c
    yield update(IDENTITY_CHALLENGE).where(asked.used_at.is_(None), asked.expires_at > now).values(used_at=now)
    yield update(CONTACT_CHANGE).where(change.settled_at.is_(None), change.expires_at > now).values(expires_at=now)


def _number_ahead(session: Session, *, now: datetime) -> None:
    """Leave out more numbers than can have been given away, and say so on the record.

    SQLite goes on from the highest number in the table, so there a row has to stand at it: an account that nobody has,
    as of a citizen who left, and the entry that tells of this. Its other numbers go on as they are, for nobody outside
    goes by them: those of credentials, appointments and new addresses.  Raises: SettingsError.
    """
    entry = Entry(at=now, event=EVENT, success=True, actor="operator").values()
    if session.get_bind().dialect.name == "postgresql":
        for table in Base.metadata.sorted_tables:
            if table.autoincrement_column is not None:
                _skip(session, table.name, table.autoincrement_column.name)
    else:
        session.execute(insert(CITIZEN).values(shell(now) | {"id": _highest(session, CITIZEN) + AHEAD}))
        entry["id"] = _highest(session, AUDIT_ENTRY) + AHEAD
    session.execute(insert(AUDIT_ENTRY).values(entry))


def _skip(session: Session, table: str, column: str) -> None:
    if session.scalar(SKIP, {"table": table, "column": column, "ahead": AHEAD}) is None:
        whose = f"{table}.{column}"
        raise SettingsError([f"database_url: no sequence belongs to {whose}: ALTER SEQUENCE ... OWNED BY {whose}"])


def _highest(session: Session, table: Table) -> int:
    return int(session.scalar(select(func.coalesce(func.max(table.c.id), 0))) or 0)


def _run(session: Session, statement: Update) -> int:
    return cast(CursorResult[Any], session.execute(statement)).rowcount
