"""The table of the record."""

from datetime import datetime

from sqlalchemy import Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from authz_server.database import Base, BigKey, table_of

# How a request ended for its citizen. Found by an index of their own: one in ten entries, or fewer.
DECISIONS = ("consent.approved", "consent.denied", "consent.expired")
_DECIDED = text("event IN ({})".format(", ".join(f"'{event}'" for event in DECISIONS)))


class AuditEntry(Base):
    """One thing that happened. Written once, in the transaction that made it happen; holds no fetched value.

    It is the outbox too: the worker makes the citizen's notices from entries, so nothing can happen unannounced.
    """

    __tablename__ = "audit_entry"
    __table_args__ = (
        Index("ix_audit_entry_citizen", "citizen_id", "at", "id"),
        Index("ix_audit_entry_decision", "citizen_id", "at", "id", postgresql_where=_DECIDED, sqlite_where=_DECIDED),
        Index("ix_audit_entry_at", "at"),
    )

    id: Mapped[int] = mapped_column(BigKey, primary_key=True, init=False)
    at: Mapped[datetime]
    event: Mapped[str] = mapped_column(String(40))
    success: Mapped[bool]
    actor: Mapped[str] = mapped_column(String(200))  # citizen, worker, operator, client:<client_id>, agency:<id>, ...
    transaction_id: Mapped[str | None] = mapped_column(String(20), index=True, default=None)
    citizen_id: Mapped[int | None] = mapped_column(BigKey, default=None)
    client_id: Mapped[str | None] = mapped_column(String(100), default=None)
    agency_id: Mapped[str | None] = mapped_column(String(40), default=None)
    dataset_id: Mapped[str | None] = mapped_column(String(80), default=None)
    consent_id: Mapped[str | None] = mapped_column(String(40), default=None)
    reason: Mapped[str | None] = mapped_column(String(80), default=None)  # a code from a closed list, never a value
    trace_id: Mapped[str | None] = mapped_column(String(36), default=None)


AUDIT_ENTRY = table_of(AuditEntry)
