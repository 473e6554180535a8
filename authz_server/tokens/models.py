"""Tables of what is handed out. Only digests: none of these rows can be turned back into a secret."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, Index, Integer, LargeBinary, String, text
from sqlalchemy.orm import Mapped, mapped_column

from authz_server.database import Base, BigKey, references

LEASED = text("state = 'leased'")
HELD = text("lease_digest IS NOT NULL")


class AccessToken(Base):
    """Opens UserInfo, repeatedly until it expires; never a dataset."""

    __tablename__ = "access_token"
    __table_args__ = (references("consent_id", "consent.id"),)

    digest: Mapped[bytes] = mapped_column(LargeBinary(32), primary_key=True, repr=False)
    consent_id: Mapped[str] = mapped_column(String(40), index=True)
    citizen_id: Mapped[int] = mapped_column(BigKey)
    client_id: Mapped[str] = mapped_column(String(100))
    scopes: Mapped[list[str]] = mapped_column(JSON)
    claims: Mapped[dict[str, Any]] = mapped_column(JSON)
    jkt: Mapped[str] = mapped_column(String(43))
    issued_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)
    revoked_at: Mapped[datetime | None] = mapped_column(default=None)


class DatasetToken(Base):
    """Opens one dataset, once.

    state: issued -> leased -> spent, back to issued when nothing was delivered, dead by decision or time.
    A leased row whose lease ran out is spent, whatever the column says: nothing releases or leases it again.
    """

    __tablename__ = "dataset_token"
    __table_args__ = (
        references("consent_id", "consent.id"),
        # Of what is leased alone: whoever issues or spends a token does not write to them.
        Index("ix_dataset_token_leased", "lease_expires_at", postgresql_where=LEASED, sqlite_where=LEASED),
        Index("uq_dataset_token_lease", "lease_digest", unique=True, postgresql_where=HELD, sqlite_where=HELD),
    )

    digest: Mapped[bytes] = mapped_column(LargeBinary(32), primary_key=True, repr=False)
    consent_id: Mapped[str] = mapped_column(String(40), index=True)
    transaction_id: Mapped[str] = mapped_column(String(20))
    citizen_id: Mapped[int] = mapped_column(BigKey)
    client_id: Mapped[str] = mapped_column(String(100))
    agency_id: Mapped[str] = mapped_column(String(40))
    dataset_id: Mapped[str] = mapped_column(String(80))
    position: Mapped[int] = mapped_column(Integer)  # which of the consent's granted datasets
    jkt: Mapped[str] = mapped_column(String(43))
    issued_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)
    expires_limit_at: Mapped[datetime]  # as far as an agency that prepares may push expires_at
    state: Mapped[str] = mapped_column(String(10), default="issued")
    attempt: Mapped[int] = mapped_column(default=1)
    not_before: Mapped[datetime | None] = mapped_column(default=None)
    lease_digest: Mapped[bytes | None] = mapped_column(LargeBinary(32), repr=False, default=None)
    lease_expires_at: Mapped[datetime | None] = mapped_column(default=None)
    first_byte_at: Mapped[datetime | None] = mapped_column(default=None)
    spent_at: Mapped[datetime | None] = mapped_column(default=None)
    # Whom the data is encrypted to (JSON), where that was not known at the consent: a browser that downloads.
    recipient_jwk: Mapped[str | None] = mapped_column(String(400), default=None)
    agent_id: Mapped[int | None] = mapped_column(BigKey, default=None)  # who acted for the citizen at a counter
    clerk_citizen_id: Mapped[int | None] = mapped_column(BigKey, default=None)  # and who took the barcode there
