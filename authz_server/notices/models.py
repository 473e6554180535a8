"""The table of notices."""

from datetime import datetime

from sqlalchemy import ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from authz_server.database import Base, BigKey

KEPT_DAYS = 365


class Notice(Base):
    """One message about one entry of the record by one channel; the pair is unique, so none is told twice."""

    __tablename__ = "notice"
    __table_args__ = (Index("ix_notice_citizen", "citizen_id", "audit_entry_id"),)

    audit_entry_id: Mapped[int] = mapped_column(BigKey, ForeignKey("audit_entry.id"), primary_key=True)
    channel: Mapped[str] = mapped_column(String(10), primary_key=True)  # web
    citizen_id: Mapped[int] = mapped_column(BigKey)
    created_at: Mapped[datetime] = mapped_column(index=True)
    read_at: Mapped[datetime | None] = mapped_column(default=None)
