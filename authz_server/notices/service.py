"""Telling citizens and clients: notices are made from the record, so an event that happened can't go unannounced.

An entry is in the record exactly if its event was committed. Entries become visible in any order, so there is no
"last one seen": each pass makes every notice that is missing since the newest notice, and for a while before it. So
however long no worker ran, none is left out; the newest notice says how far the last one came.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import case, exists, func, literal, select, true, union_all
from sqlalchemy.orm import Session
from sqlalchemy.sql.selectable import Select

from authz_server.audit.models import AuditEntry
from authz_server.database import insert_if_absent
from authz_server.identity.models import Citizen
from authz_server.notices.channels.base import Channel
from authz_server.notices.channels.web import Web
from authz_server.notices.letter import CODES
from authz_server.notices.models import KEPT_DAYS, NOTICE, Notice

# Longer than it takes an entry to be committed, and than the clocks of two hosts differ.
LATEST = timedelta(hours=1)
# Somebody waits for a code, which is good for minutes: it is due before whatever else waits, be that of days ago.
AHEAD = timedelta(days=KEPT_DAYS)
COLUMNS = ("audit_entry_id", "channel", "citizen_id", "created_at", "due_at", "attempts", "delivered_at")
TO_EVERYBODY: tuple[Channel, ...] = (Web(),)


def announce(
    session: Session, *, channels: Sequence[Channel] = TO_EVERYBODY, look_back: timedelta = LATEST, now: datetime
) -> int:
    """Make the notices that are missing, by each of these channels; how many. The caller commits.

    Safe to run many at once: the key admits one notice for each entry and channel. All in one statement, so that the
    newest notice never stands for a pass that was only half done.
    Args: look_back: how long before the newest notice to look, less than `LATEST` for a pass that is soon followed by a
        thorough one.
    """
    newest = session.scalar(select(func.max(Notice.created_at)))
    oldest = now - timedelta(days=KEPT_DAYS)  # what is older was told, and its notice is gone
    since = oldest if newest is None else max(oldest, min(newest, now) - look_back)
    missing = union_all(*(_missing(channel, since=since, now=now) for channel in channels)).subquery()
    statement = insert_if_absent(session.get_bind().dialect.name, Notice).from_select(
        COLUMNS, select(missing).order_by(missing.c.audit_entry_id), include_defaults=False
    )
    return len(session.execute(statement.returning(Notice.audit_entry_id)).all())


def _missing(channel: Channel, *, since: datetime, now: datetime) -> Select[tuple[object, ...]]:
    moment, never = literal(now, NOTICE.c.created_at.type), literal(None, NOTICE.c.created_at.type)
    nobody = literal(None, NOTICE.c.citizen_id.type)
    first = literal(now - AHEAD, NOTICE.c.created_at.type)
    due = case((AuditEntry.event.in_(tuple(CODES)), first), else_=moment)
    return (
        select(
            AuditEntry.id.label("audit_entry_id"),
            literal(channel.id).label("channel"),
            (AuditEntry.citizen_id if channel.to_citizen else nobody).label("citizen_id"),
            moment.label("created_at"),
            (never if channel.immediate else due).label("due_at"),
            literal(0).label("attempts"),
            (moment if channel.immediate else never).label("delivered_at"),
        )
        .join(Citizen, Citizen.id == AuditEntry.citizen_id)
        .where(
            AuditEntry.at > since,
            Citizen.left_at.is_(None) if channel.to_citizen else true(),  # who leaves was told then
            channel.entitled(),
            ~exists().where(Notice.audit_entry_id == AuditEntry.id, Notice.channel == channel.id),
        )
    )
