"""Telling the citizen: notices are made from the record, so an event that happened can't go unannounced.

An entry is in the record exactly if its event was committed. Entries become visible in any order, so there is no
"last one seen": each pass looks for entries of the last day that have no notice yet.
"""

from datetime import datetime, timedelta

from sqlalchemy import exists, literal, select
from sqlalchemy.orm import Session

from authz_server.audit.models import AuditEntry
from authz_server.database import insert_if_absent, table_of
from authz_server.notices.models import Notice

WEB = "web"
LOOK_BACK = timedelta(days=1)
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
)


def announce(session: Session, *, now: datetime) -> int:
    """Make the web notices that are missing; how many. The caller commits.

    Safe to run many at once: the key admits one notice for each entry and channel.
    """
    missing = (
        select(AuditEntry.id, literal(WEB), AuditEntry.citizen_id, literal(now, table_of(Notice).c.created_at.type))
        .where(
            AuditEntry.at > now - LOOK_BACK,
            AuditEntry.event.in_(TOLD),
            AuditEntry.citizen_id.is_not(None),
            ~exists().where(Notice.audit_entry_id == AuditEntry.id, Notice.channel == WEB),
        )
        .order_by(AuditEntry.id)
        .limit(1000)
    )
    columns = ["audit_entry_id", "channel", "citizen_id", "created_at"]
    statement = insert_if_absent(session.get_bind().dialect.name, Notice).from_select(
        columns, missing, include_defaults=False
    )
    return len(session.execute(statement.returning(Notice.audit_entry_id)).all())
