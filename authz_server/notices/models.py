"""Tables of notices and of what citizens chose about them."""

from datetime import datetime

from sqlalchemy import ForeignKey, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from authz_server.database import Base, BigKey, table_of

KEPT_DAYS = 365
DUE = text("due_at IS NOT NULL")
UNREAD = text("channel = 'web' AND read_at IS NULL")


class Notice(Base):
    """One message about one entry of the record by one channel; the pair is unique, so none is told twice.

    Whoever delivers it pushes `due_at` on first: until then it is theirs, and should they die, it is due again.
    """

    __tablename__ = "notice"
    __table_args__ = (
        Index("ix_notice_citizen", "citizen_id", "audit_entry_id"),
        Index("ix_notice_due", "channel", "due_at", postgresql_where=DUE, sqlite_where=DUE),
        Index("ix_notice_unread", "citizen_id", postgresql_where=UNREAD, sqlite_where=UNREAD),
    )

    audit_entry_id: Mapped[int] = mapped_column(BigKey, ForeignKey("audit_entry.id"), primary_key=True)
    channel: Mapped[str] = mapped_column(String(20), primary_key=True)  # a name in notices.channels
    citizen_id: Mapped[int | None] = mapped_column(BigKey)  # its reader; None: the reader is no citizen
    created_at: Mapped[datetime] = mapped_column(index=True)
    due_at: Mapped[datetime | None] = mapped_column(default=None)  # when to (re)try; None: nothing is left to do
    attempts: Mapped[int] = mapped_column(default=0)
    delivered_at: Mapped[datetime | None] = mapped_column(default=None)
    failed_at: Mapped[datetime | None] = mapped_column(default=None)  # given up
    failure: Mapped[str | None] = mapped_column(String(80), default=None)  # why; in our own words
    read_at: Mapped[datetime | None] = mapped_column(default=None)
    not_me_at: Mapped[datetime | None] = mapped_column(default=None)  # its "not me" link was used
    # Where it goes, if not to where its citizen is reached now. Both are forgotten as soon as nothing is left to do.
    address: Mapped[str | None] = mapped_column(String(254), repr=False, default=None)
    locale: Mapped[str | None] = mapped_column(String(10), default=None)  # and in which language, if not in theirs


class NoticeChoice(Base):
    """Whether a citizen wants the messages that can be switched off by this channel; no row: as the channel has it."""

    __tablename__ = "notice_choice"

    citizen_id: Mapped[int] = mapped_column(BigKey, ForeignKey("citizen.id"), primary_key=True)
    channel: Mapped[str] = mapped_column(String(20), primary_key=True)
    wanted: Mapped[bool]


NOTICE = table_of(Notice)
CHOICE = table_of(NoticeChoice)
