"""Telling the citizen: notices are made from the record, so an event that happened can't go unannounced.

An entry is in the record exactly if its event was committed. Entries become visible in any order, so there is no
"last one seen": each pass makes every notice that is missing since the newest notice, and for a while before it. So
however long no worker ran, none is left out; the newest notice says how far the last one came.
"""

from datetime import datetime, timedelta

from sqlalchemy import exists, func, literal, select
from sqlalchemy.orm import Session

from authz_server.audit.models import AuditEntry
from authz_server.database import insert_if_absent, table_of
from authz_server.notices.models import KEPT_DAYS, Notice

WEB = "web"
# Longer than it takes an entry to be committed, and than the clocks of two hosts differ.
LATEST = timedelta(hours=1)
# What a citizen is told of. The record shows everything.
TOLD = (
    "consent.approved",
    "consent.denied",
    "consent.withdrawn",
    "token.delivered",
    "token.failed",
    "token.no_record",
    "token.spent_unknown",
    "token.expired",
    "token.revoked",
    "code.misused",
    "code.replayed",
    "sign_in.locked",
    "account.frozen",
    "account.unfrozen",
)


def announce(session: Session, *, now: datetime) -> int:
    """Make the web notices that are missing; how many. The caller commits.

    Safe to run many at once: the key admits one notice for each entry and channel. All in one statement, so that the
    newest notice never stands for a pass that was only half done.
    """
    newest = session.scalar(select(func.max(Notice.created_at)))
    oldest = now - timedelta(days=KEPT_DAYS)  # what is older was told, and its notice is gone
    since = oldest if newest is None else max(oldest, min(newest, now) - LATEST)
    missing = (
        select(AuditEntry.id, literal(WEB), AuditEntry.citizen_id, literal(now, table_of(Notice).c.created_at.type))
        .where(
            AuditEntry.at > since,
            AuditEntry.event.in_(TOLD),
            AuditEntry.citizen_id.is_not(None),
            ~exists().where(Notice.audit_entry_id == AuditEntry.id, Notice.channel == WEB),
        )
        .order_by(AuditEntry.id)
    )
    columns = ["audit_entry_id", "channel", "citizen_id", "created_at"]
    statement = insert_if_absent(session.get_bind().dialect.name, Notice).from_select(
        columns, missing, include_defaults=False
    )
    return len(session.execute(statement.returning(Notice.audit_entry_id)).all())
