"""Tables of barcodes, of agents, and of who works at counters. Secrets are kept as digests only."""

from datetime import datetime

from sqlalchemy import JSON, ForeignKey, Index, LargeBinary, String, text
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
    clerk_id: Mapped[int | None] = mapped_column(BigKey, default=None)  # and the appointment of who did
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


class Appointment(Base):
    """What somebody is at an office: a clerk, who takes barcodes there, or an administrator, who appoints.

    The record names a clerk by the number of their appointment, so the row stays as long as that.
    """

    __tablename__ = "appointment"
    __table_args__ = (
        Index(
            "uq_appointment_in_force",
            "citizen_id",
            "client_id",
            "role",
            unique=True,
            sqlite_where=UNENDED,
            postgresql_where=UNENDED,
        ),
        Index("ix_appointment_client_id", "client_id"),
        Index("ix_appointment_ended_at", "ended_at"),
    )

    id: Mapped[int] = mapped_column(BigKey, primary_key=True, init=False)
    client_id: Mapped[str] = mapped_column(String(100), ForeignKey("client.client_id"))
    citizen_id: Mapped[int] = mapped_column(BigKey, ForeignKey("citizen.id"))
    role: Mapped[str] = mapped_column(String(20))
    appointed_at: Mapped[datetime]
    appointed_by: Mapped[int | None] = mapped_column(BigKey)  # the administrator's appointment; None: the operator
    ended_at: Mapped[datetime | None] = mapped_column(default=None)


class DeskSession(Base):
    """A clerk's sign-in at a desk: first its code, then the token that stands for the clerk there, in the same row."""

    __tablename__ = "desk_session"

    code_digest: Mapped[bytes] = mapped_column(LargeBinary(32), primary_key=True, repr=False)
    appointment_id: Mapped[int] = mapped_column(BigKey, ForeignKey("appointment.id"))
    citizen_id: Mapped[int] = mapped_column(BigKey, ForeignKey("citizen.id"), index=True)
    client_id: Mapped[str] = mapped_column(String(100))
    redirect_uri: Mapped[str] = mapped_column(String(2000))
    code_challenge: Mapped[str] = mapped_column(String(43), repr=False)
    dpop_jkt: Mapped[str | None] = mapped_column(String(43))
    nonce: Mapped[str | None] = mapped_column(String(1000), repr=False)
    acr: Mapped[str] = mapped_column(String(100))
    amr: Mapped[list[str]] = mapped_column(JSON)
    auth_time: Mapped[datetime]
    code_expires_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)  # of the shift, however busy it is
    token_digest: Mapped[bytes | None] = mapped_column(LargeBinary(32), unique=True, repr=False, default=None)
    jkt: Mapped[str | None] = mapped_column(String(43), default=None)
    idle_until: Mapped[datetime | None] = mapped_column(default=None)
    ended_at: Mapped[datetime | None] = mapped_column(default=None)


BARCODE = table_of(Barcode)
DELEGATION = table_of(Delegation)
APPOINTMENT = table_of(Appointment)
DESK_SESSION = table_of(DeskSession)
