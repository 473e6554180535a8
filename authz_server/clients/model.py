"""What is registered, parsed and immutable: clients, their purposes and ceilings, agencies and their keys."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final, Literal

from authz_server.catalogue.model import Text
from authz_server.clients.policy import PRE_AUTHORIZED_CODE, Policy
from authz_server.clients.ranges import Range
from authz_server.core.identifiers import AgencyId, ClientId, DatasetId
from authz_server.core.jose import Key, KeySet

Connector = Literal["jose", "plain"]
# What a desk may be registered to do with data beside showing it: "actions" of RFC 9396 section 2.2.
COPYING: Final = ("print", "save")


@dataclass(frozen=True, kw_only=True)
class PurposeDataset:
    """The most that a purpose may ask of one dataset."""

    fields_required: frozenset[str]
    fields_optional: frozenset[str]
    parameters: Mapping[str, Range]  # a parameter that is not here may have any value that the catalogue takes
    justification: Text | None = None  # what it is needed for, shown to citizens word for word


@dataclass(frozen=True, kw_only=True)
class Purpose:
    """What a client registered as its reason to ask; its text is shown to citizens word for word."""

    id: str
    text: Text
    datasets: Mapping[DatasetId, PurposeDataset]
    use_until_days: int | None  # both counted from the day on which the citizen was asked; None: for good
    erase_by_days: int | None
    passed_on_to: tuple[Text, ...]


@dataclass(frozen=True, kw_only=True)
class Counter:
    """Where an office receives citizens: what it is called there, and where it is."""

    id: str
    name: Text
    address: Text


@dataclass(frozen=True, kw_only=True)
class Client:
    """One registered client. Its keys are asked of the registry, for some clients publish theirs under a URL.

    One with counters is an office: citizens may bring a barcode there for any of its purposes.
    """

    client_id: ClientId
    name: Text
    registered_id: str
    registered_on: date
    contact_phone: str
    contact_email: str
    privacy_url: str
    redirect_uris: tuple[str, ...]
    security_event_endpoint: str | None
    purposes: Mapping[str, Purpose]
    policy: Policy
    jwks: KeySet | None
    jwks_uri: str | None
    suspended: bool
    counters: Mapping[str, Counter] = field(default_factory=dict)
    named_clerks: bool = True  # whoever takes barcodes at the counters has to sign in by name
    desk_may: tuple[str, ...] = ()  # of COPYING

    @property
    def grant_types(self) -> tuple[str, ...]:
        """Those of its profile, and that of barcodes if it has a counter to bring one to."""
        return self.policy.grant_types + ((PRE_AUTHORIZED_CODE,) if self.counters else ())


@dataclass(frozen=True, kw_only=True)
class RegisteredAgency:
    """The keys of an agency: `encryption_key` is what its tickets are encrypted to, packages are signed by the others.

    With the plain connector both are the connector's, which acts in the agency's name.
    """

    id: AgencyId
    connector: Connector
    encryption_key: Key
    signing_jwks: Mapping[str, Any]
    correction_endpoint: str | None
    preparation_endpoint: str | None
    suspended: bool
