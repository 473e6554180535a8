"""Tables of registered clients and agencies, and of what is suspended."""

from datetime import date, datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from authz_server.database import Base, BigKey


class Client(Base):
    """A registered client. The JSON columns hold what `clients.document` has accepted, and are parsed by it again."""

    __tablename__ = "client"

    client_id: Mapped[str] = mapped_column(String(100), primary_key=True)
    profile: Mapped[str] = mapped_column(String(20))
    name_zh: Mapped[str] = mapped_column(String(100))
    name_en: Mapped[str] = mapped_column(String(100))
    registered_id: Mapped[str] = mapped_column(String(40))
    registered_on: Mapped[date]
    contact_phone: Mapped[str] = mapped_column(String(40))
    contact_email: Mapped[str] = mapped_column(String(254))
    privacy_url: Mapped[str] = mapped_column(String(2000))
    jwks: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))  # either these keys
    jwks_uri: Mapped[str | None] = mapped_column(String(2000))  # or their address
    redirect_uris: Mapped[list[str]] = mapped_column(JSON)
    security_event_endpoint: Mapped[str | None] = mapped_column(String(2000))  # where it is told (RFC 8935)
    purposes: Mapped[dict[str, Any]] = mapped_column(JSON)
    counters: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True), default=None)
    named_clerks: Mapped[bool | None] = mapped_column(default=None)  # None: as by default
    desk_may: Mapped[list[str] | None] = mapped_column(JSON(none_as_null=True), default=None)
    suspended_at: Mapped[datetime | None] = mapped_column(default=None)


class Agency(Base):
    """A registered agency: how it is reached is the proxy's affair, which keys it has is ours."""

    __tablename__ = "agency"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    connector: Mapped[str] = mapped_column(String(20))
    jwks: Mapped[dict[str, Any]] = mapped_column(JSON)
    registered_on: Mapped[date]
    correction_endpoint: Mapped[str | None] = mapped_column(String(2000), default=None)
    preparation_endpoint: Mapped[str | None] = mapped_column(String(2000), default=None)
    suspended_at: Mapped[datetime | None] = mapped_column(default=None)


class SuspendedDataset(Base):
    """A dataset of the catalogue that is not answered at present, while the others of its agency are."""

    __tablename__ = "suspended_dataset"

    dataset_id: Mapped[str] = mapped_column(String(80), primary_key=True)
    suspended_at: Mapped[datetime]


class AgencyState(Base):
    """What an agency last said of itself; no row: it never said anything, and nothing is concluded from that."""

    __tablename__ = "agency_state"

    agency_id: Mapped[str] = mapped_column(String(40), ForeignKey("agency.id"), primary_key=True)
    maintenance: Mapped[bool]
    datasets: Mapped[str] = mapped_column(Text)  # ids that the maintenance concerns, with blanks between; none: all
    until: Mapped[datetime | None]  # about when it ends
    said_at: Mapped[datetime]  # by its own clock: an older word changes nothing
    heard_at: Mapped[datetime]
    silent: Mapped[bool] = mapped_column(default=False)  # nothing was heard for too long


class ClientRequest(Base):
    """A request that a client has proved to be its own, for its developer to look up; of no citizen, and no value."""

    __tablename__ = "client_request"
    __table_args__ = (Index("ix_client_request_client", "client_id", "id"), Index("ix_client_request_at", "at"))

    id: Mapped[int] = mapped_column(BigKey, primary_key=True, init=False)
    client_id: Mapped[str] = mapped_column(String(100))
    at: Mapped[datetime]
    method: Mapped[str] = mapped_column(String(10))
    endpoint: Mapped[str] = mapped_column(String(60))  # as it is routed: no id of a request is in it
    status: Mapped[int]
    error: Mapped[str | None] = mapped_column(String(60), default=None)
    detail: Mapped[str | None] = mapped_column(String(300), default=None)  # which check was not passed: DomainError
    trace_id: Mapped[str | None] = mapped_column(String(36), default=None)


class RegistryVersion(Base):
    """One row that every write to the tables above increments, so that each process knows when to read them."""

    __tablename__ = "registry_version"

    id: Mapped[int] = mapped_column(primary_key=True, default=1)
    version: Mapped[int] = mapped_column(default=1)
