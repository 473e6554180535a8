"""The citizen's inbox: every message, whatever other channels carried it, and what they choose about those."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from authz_server.audit.models import AuditEntry
from authz_server.database import insert_if_absent
from authz_server.notices.channels.base import Errand
from authz_server.notices.channels.web import Web
from authz_server.notices.errands import errand_of, matters
from authz_server.notices.models import CHOICE, NOTICE, NoticeChoice

OWN = NOTICE.c.channel == Web.id
MOST_COUNTED = 99


@dataclass(frozen=True)
class Opened:
    """A message that was opened. `others`: how it went by the other channels: channel, delivered_at, failed_at."""

    errand: Errand
    others: Sequence[Any]


def messages_of(
    session: Session, citizen_id: int, *, before: int | None, limit: int
) -> Sequence[tuple[AuditEntry, datetime | None]]:
    """What the citizen's messages are of, newest first, and when each was read; `before`: the last one seen."""
    found = (
        select(AuditEntry, NOTICE.c.read_at)
        .join(NOTICE, NOTICE.c.audit_entry_id == AuditEntry.id)
        .where(NOTICE.c.citizen_id == citizen_id, OWN)
    )
    if before is not None:
        found = found.where(NOTICE.c.audit_entry_id < before)
    return [
        (entry, read_at)
        for entry, read_at in session.execute(found.order_by(NOTICE.c.audit_entry_id.desc()).limit(limit))
    ]


def count_unread(session: Session, citizen_id: int) -> int:
    """How many messages nobody has opened; `MOST_COUNTED` and one more stands for all above."""
    unread = select(NOTICE.c.audit_entry_id).where(NOTICE.c.citizen_id == citizen_id, OWN, NOTICE.c.read_at.is_(None))
    return session.scalar(select(func.count()).select_from(unread.limit(MOST_COUNTED + 1).subquery())) or 0


def open_message(session: Session, citizen_id: int, audit_entry_id: int, *, now: datetime) -> Opened | None:
    """The citizen's own message, which counts as read from now on; None if there is none. The caller commits."""
    read = (
        update(NOTICE)
        .where(NOTICE.c.audit_entry_id == audit_entry_id, NOTICE.c.citizen_id == citizen_id, OWN)
        .values(read_at=func.coalesce(NOTICE.c.read_at, now))
        .returning(NOTICE.c.created_at)
    )
    row = session.execute(read).one_or_none()
    if row is None:
        return None
    matter = matters(session, [audit_entry_id]).get(audit_entry_id)
    errand = errand_of(session, matter, channel=Web.id, created_at=row.created_at, now=now)
    others = select(NOTICE.c.channel, NOTICE.c.delivered_at, NOTICE.c.failed_at).where(
        NOTICE.c.audit_entry_id == audit_entry_id, NOTICE.c.citizen_id == citizen_id, ~OWN
    )
    return Opened(errand, session.execute(others.order_by(NOTICE.c.channel)).all())


def read_all(session: Session, citizen_id: int, *, up_to: int, now: datetime) -> None:
    """Count all messages up to this one as read. The caller commits."""
    unread = (NOTICE.c.citizen_id == citizen_id, OWN, NOTICE.c.read_at.is_(None), NOTICE.c.audit_entry_id <= up_to)
    session.execute(update(NOTICE).where(*unread).values(read_at=now))


def choices_of(session: Session, citizen_id: int) -> Mapping[str, bool]:
    """What the citizen chose, by channel; a channel that is missing stays with its default."""
    found = select(CHOICE.c.channel, CHOICE.c.wanted).where(CHOICE.c.citizen_id == citizen_id)
    return {row.channel: row.wanted for row in session.execute(found)}


def choose(session: Session, citizen_id: int, channel: str, *, wanted: bool) -> None:
    """Want the messages that can be switched off by this channel, or not. The caller commits."""
    values = {"citizen_id": citizen_id, "channel": channel, "wanted": wanted}
    session.execute(insert_if_absent(session.get_bind().dialect.name, NoticeChoice).values(values))
    own = (CHOICE.c.citizen_id == citizen_id, CHOICE.c.channel == channel)
    session.execute(update(CHOICE).where(*own).values(wanted=wanted))
