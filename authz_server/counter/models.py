"""Tables of barcodes and of agents. They hold digests, so nothing in them can be shown at a counter."""

from datetime import datetime

from sqlalchemy import ForeignKey, Index, LargeBinary, String, text
from sqlalchemy.orm import Mapped, mapped_column

from authz_server.database import Base, BigKey, table_of

UNENDED = text("ended_at IS NULL")


class Barcode(Base):
    """A barcode that was shown to its citizen, with the one-time code that an office last had sent for it.

    It counts as long as its digest is that of its consent's code (`consent.codes`): the next one that is shown puts its
    own there, by the same UPDATE, and a consent that ends takes its code along.
    """

    __tablename__ = "barcode"

    digest: Mapped[bytes] = mapped_column(LargeBinary(32), primary_key=True, repr=False)
    short_digest: Mapped[bytes] = mapped_column(LargeBinary(32), unique=True, repr=False)  # of its form for typing
    consent_id: Mapped[str] = mapped_column(String(40), ForeignKey("consent.id"), index=True)
    transaction_id: Mapped[str] = mapped_column(String(20))
    citizen_id: Mapped[int] = mapped_column(BigKey)
    client_id: Mapped[str] = mapped_column(String(100))
    shown_at: Mapped[datetime] = mapped_column(index=True)
    expires_at: Mapped[datetime]
    announced_at: Mapped[datetime | None] = mapped_column(default=None)  # the one-time code derives from it
    code_expires_at: Mapped[datetime | None] = mapped_column(default=None)
    counter_id: Mapped[str | None] = mapped_column(String(40), default=None)  # which of the office's announced it
    agent_id: Mapped[int | None] = mapped_column(BigKey, default=None)  # to whom it was shown, if not to its citizen


class Delegation(Base):
    """A citizen lets somebody else go to a counter for them, with the barcode of one consent.

    invited -> opened (`agent_id`) -> accepted -> confirmed: in force; `ended_at` ends it from wherever it is. Of a
    consent there is at most one that has not ended.
    """

    __tablename__ = "delegation"
    __table_args__ = (
        Index("uq_delegation_open", "consent_id", unique=True, postgresql_where=UNENDED, sqlite_where=UNENDED),
    )

    digest: Mapped[bytes] = mapped_column(LargeBinary(32), primary_key=True, repr=False)  # of the invitation
    named: Mapped[str] = mapped_column(String(43), repr=False)  # keyed digest of the agent's national id
    consent_id: Mapped[str] = mapped_column(String(40), ForeignKey("consent.id"))
    transaction_id: Mapped[str] = mapped_column(String(20), index=True)
    citizen_id: Mapped[int] = mapped_column(BigKey)
    client_id: Mapped[str] = mapped_column(String(100))
    invited_at: Mapped[datetime] = mapped_column(index=True)
    expires_at: Mapped[datetime]  # of the invitation: the last moment to open it
    agent_id: Mapped[int | None] = mapped_column(BigKey, index=True, default=None)
    accepted_at: Mapped[datetime | None] = mapped_column(default=None)
    confirmed_at: Mapped[datetime | None] = mapped_column(default=None)
    ended_at: Mapped[datetime | None] = mapped_column(default=None)


BARCODE = table_of(Barcode)
DELEGATION = table_of(Delegation)
