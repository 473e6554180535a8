"""Tables of authorization requests, consents and the codes that answer them. Secrets are kept as digests only."""

from datetime import date, datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, LargeBinary, String, text
from sqlalchemy.orm import Mapped, mapped_column

from authz_server.database import Base, BigKey, references, table_of

# Asked for, and neither answered nor reminded of.
ERASURE_OPEN = text("erasure_requested_at IS NOT NULL AND erasure_answered_at IS NULL AND erasure_reminded_at IS NULL")
SEALED = text("sealed IS NOT NULL")
UNSETTLED = text("settled_at IS NULL")


class AuthorizationRequest(Base):
    """A pushed request on its way to one decision. `parameters` never changes; the times say how far it came."""

    __tablename__ = "authorization_request"
    # It is changed twice, in no column that has an index: where its page has room for that, no index is written to.
    __table_args__ = (
        Index("ix_authorization_request_deadline_at", "deadline_at"),
        {"postgresql_with": {"fillfactor": 50}},
    )

    id: Mapped[str] = mapped_column(String(43), primary_key=True)  # in the citizen's URLs; worth nothing alone
    digest: Mapped[bytes] = mapped_column(LargeBinary(32), unique=True, repr=False)  # of the request_uri
    transaction_id: Mapped[str] = mapped_column(String(20))  # unique among consents
    client_id: Mapped[str] = mapped_column(String(100))
    parameters: Mapped[dict[str, Any]] = mapped_column(JSON, repr=False)
    pushed_at: Mapped[datetime]
    expires_at: Mapped[datetime]  # of the request_uri: the last moment to begin
    deadline_at: Mapped[datetime]  # the last moment to decide
    started_at: Mapped[datetime | None] = mapped_column(default=None)
    citizen_id: Mapped[int | None] = mapped_column(BigKey, default=None)  # set once: the first who signed in for it
    decided_at: Mapped[datetime | None] = mapped_column(default=None)


class Consent(Base):
    """What a citizen agreed to, as they read it; tokens point here for what they may fetch.

    Never changed, but for its end, and for what became of the erasure that they asked for.
    """

    __tablename__ = "consent"
    __table_args__ = (
        references("citizen_id", "citizen.id"),
        references("client_id", "client.client_id"),
        Index("ix_consent_citizen_client", "citizen_id", "client_id", "decided_at"),
        Index("ix_consent_erasure", "erase_by", postgresql_where=ERASURE_OPEN, sqlite_where=ERASURE_OPEN),
    )

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    transaction_id: Mapped[str] = mapped_column(String(20), unique=True)
    citizen_id: Mapped[int] = mapped_column(BigKey)
    client_id: Mapped[str] = mapped_column(String(100))
    scopes: Mapped[list[str]] = mapped_column(JSON)
    purpose_id: Mapped[str | None] = mapped_column(String(80))
    granted: Mapped[list[dict[str, Any]]] = mapped_column(JSON)  # one per dataset: fields, parameters, recipient_jwk
    notice: Mapped[dict[str, Any]] = mapped_column(JSON, repr=False)  # every sentence that was shown
    notice_version: Mapped[str] = mapped_column(String(20))
    notice_locale: Mapped[str] = mapped_column(String(10))
    notice_sha256: Mapped[str] = mapped_column(String(43))
    use_until: Mapped[date | None]
    erase_by: Mapped[date | None]
    level: Mapped[int]
    amr: Mapped[list[str]] = mapped_column(JSON)
    auth_time: Mapped[datetime]
    decided_at: Mapped[datetime] = mapped_column(index=True)
    withdrawn_at: Mapped[datetime | None] = mapped_column(default=None)
    erasure_requested_at: Mapped[datetime | None] = mapped_column(default=None)
    erasure_reminded_at: Mapped[datetime | None] = mapped_column(default=None)
    erasure_answered_at: Mapped[datetime | None] = mapped_column(default=None)
    erasure_refusal: Mapped[str | None] = mapped_column(String(20), default=None)  # None: erased, once it is answered


class Refusal(Base):
    """What a citizen was asked for and did not agree to, or not in time: for their own list alone."""

    __tablename__ = "refusal"

    transaction_id: Mapped[str] = mapped_column(String(20), primary_key=True)
    citizen_id: Mapped[int] = mapped_column(BigKey, index=True)
    client_id: Mapped[str] = mapped_column(String(100))
    purpose_id: Mapped[str | None] = mapped_column(String(80))
    asked: Mapped[list[dict[str, Any]]] = mapped_column(JSON)  # one per dataset, as in Consent.granted: its id alone
    decided_at: Mapped[datetime] = mapped_column(index=True)


class Preparation(Base):
    """A slow dataset that its agency was asked to have ready before anybody comes for it, and what it said of that.

    No use of the consent, and none of the data: that moves by a fetch alone. `id` names it to the agency.
    """

    __tablename__ = "preparation"
    __table_args__ = (Index("uq_preparation_consent_id", "consent_id", "position", unique=True),)

    id: Mapped[str] = mapped_column(String(22), primary_key=True)
    consent_id: Mapped[str] = mapped_column(String(40), ForeignKey("consent.id"))
    position: Mapped[int]  # which of the consent's granted datasets
    transaction_id: Mapped[str] = mapped_column(String(20))
    citizen_id: Mapped[int] = mapped_column(BigKey)
    client_id: Mapped[str] = mapped_column(String(100))
    agency_id: Mapped[str] = mapped_column(String(40))
    dataset_id: Mapped[str] = mapped_column(String(80))
    asked_at: Mapped[datetime]
    until: Mapped[datetime] = mapped_column(index=True)  # nobody comes for it later
    expected_at: Mapped[datetime | None] = mapped_column(default=None)  # about when it is ready, the agency says
    ready_at: Mapped[datetime | None] = mapped_column(default=None)
    refused_at: Mapped[datetime | None] = mapped_column(default=None)  # it does not work ahead; a fetch starts it
    dropped_at: Mapped[datetime | None] = mapped_column(default=None)  # the consent ended before


class Correction(Base):
    """One field that a citizen wants corrected by its agency. `sealed` says what to; only the agency can open it."""

    __tablename__ = "correction"
    __table_args__ = (
        Index("ix_correction_sealed", "requested_at", postgresql_where=SEALED, sqlite_where=SEALED),
        Index(
            "uq_correction_open",
            "transaction_id",
            "dataset_id",
            "field_id",
            unique=True,
            postgresql_where=UNSETTLED,
            sqlite_where=UNSETTLED,
        ),
    )

    id: Mapped[str] = mapped_column(String(22), primary_key=True)
    transaction_id: Mapped[str] = mapped_column(String(20))
    citizen_id: Mapped[int] = mapped_column(BigKey, index=True)
    client_id: Mapped[str] = mapped_column(String(100))
    consent_id: Mapped[str] = mapped_column(String(40))
    agency_id: Mapped[str] = mapped_column(String(40))
    dataset_id: Mapped[str] = mapped_column(String(80))
    field_id: Mapped[str] = mapped_column(String(80))
    requested_at: Mapped[datetime] = mapped_column(index=True)
    sealed: Mapped[bytes | None] = mapped_column(LargeBinary, repr=False, default=None)
    delivered_at: Mapped[datetime | None] = mapped_column(default=None)
    settled_at: Mapped[datetime | None] = mapped_column(default=None)
    outcome: Mapped[str | None] = mapped_column(String(20), default=None)


class AuthorizationCode(Base):
    """RFC 6749 section 4.1.2: for one client and one redemption, as long as `codes.collectable_s` says."""

    __tablename__ = "authorization_code"
    __table_args__ = (references("consent_id", "consent.id"),)

    digest: Mapped[bytes] = mapped_column(LargeBinary(32), primary_key=True, repr=False)
    consent_id: Mapped[str] = mapped_column(String(40))
    transaction_id: Mapped[str] = mapped_column(String(20))
    citizen_id: Mapped[int] = mapped_column(BigKey)
    client_id: Mapped[str] = mapped_column(String(100))
    redirect_uri: Mapped[str] = mapped_column(String(2000))
    code_challenge: Mapped[str] = mapped_column(String(43), repr=False)
    dpop_jkt: Mapped[str | None] = mapped_column(String(43))
    nonce: Mapped[str | None] = mapped_column(String(1000), repr=False)
    claims: Mapped[dict[str, Any]] = mapped_column(JSON)  # by place, as requested; and the `acr` that is told
    expires_at: Mapped[datetime] = mapped_column(index=True)
    used_at: Mapped[datetime | None] = mapped_column(default=None)


class Anomaly(Base):
    """What was unusual about a decision; the pair is unique, so each is found once. Names no citizen."""

    __tablename__ = "anomaly"

    transaction_id: Mapped[str] = mapped_column(String(20), primary_key=True)
    kind: Mapped[str] = mapped_column(String(20), primary_key=True)
    client_id: Mapped[str] = mapped_column(String(100))
    at: Mapped[datetime] = mapped_column(index=True)  # of the decision


class AnomalyWatch(Base):
    """One row: until when the record has been looked through for anomalies."""

    __tablename__ = "anomaly_watch"

    up_to: Mapped[datetime]
    id: Mapped[int] = mapped_column(primary_key=True, default=1)


CONSENT = table_of(Consent)
REFUSAL = table_of(Refusal)
# Which consent it is, under the names that the record has for that.
NAMED = (CONSENT.c.transaction_id, CONSENT.c.citizen_id, CONSENT.c.client_id, CONSENT.c.id.label("consent_id"))
