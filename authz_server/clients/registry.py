"""The registered clients and agencies as parsed objects, kept by each process: a look-up costs no statement."""

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from logging import WARNING
from types import MappingProxyType
from typing import Any, Generic, TypeVar

from sqlalchemy import Connection, Engine, Row, select
from sqlalchemy.exc import TimeoutError as PoolTimeout

from authz_server.catalogue.model import Agency as CatalogueAgency
from authz_server.clients import own
from authz_server.clients.document import AGENCY_ENDPOINTS, Context, RegistrationError, read_agency, read_client
from authz_server.clients.keys import encryption_key
from authz_server.clients.model import Client, RegisteredAgency
from authz_server.clients.models import Agency as AgencyRow
from authz_server.clients.models import AgencyState, RegistryVersion, SuspendedDataset
from authz_server.clients.models import Client as ClientRow
from authz_server.core import clock
from authz_server.core.jose import KeySet, parse_public_keys
from authz_server.core.logging import event
from authz_server.core.remote_keys import RemoteKeys
from authz_server.database import Base, reading, table_of

CHECK_EVERY = timedelta(seconds=1)
# While one request reads, the others go on with what was true a moment ago, and wait where that is longer ago: in a
# process that nobody has asked for hours, a key that was replaced since must not count once more.
OLDEST = timedelta(seconds=5)
PATIENCE_S = 5.0
T = TypeVar("T")


@dataclass(frozen=True)
class _Snapshot:
    """What the tables held at one version; replaced as a whole, so a reader needs no lock."""

    version: int
    checked_at: datetime
    clients: Mapping[str, Client]
    agencies: Mapping[str, RegisteredAgency]
    suspended_datasets: frozenset[str]
    maintenance: Mapping[str, datetime | None]
    silent: Mapping[str, datetime]


class Registry:
    """Look-ups by id, current to within a second; safe for all threads of a process.

    A write moves the version row; that row is read at most once a second, the rest only when it has moved. Whoever
    may not act on a decision that is a second old (a suspension) asks the table in its own statement as well.
    Args: engine: from which short read-only connections are taken. allowed_hosts: `host:port` that a jwks_uri may have
        although it is http or private, for a sandbox.
    """

    def __init__(self, engine: Engine, context: Context, *, allowed_hosts: frozenset[str] = frozenset()) -> None:
        # In SQLite it waits for no writer, not even for one of this very thread.
        self._engine = reading(engine)
        self._context = context
        self._allowed_hosts = allowed_hosts
        self._snapshot: _Snapshot | None = None
        self._reading = threading.Lock()
        self._clients = _Parsed(ClientRow, self._client)
        self._agencies = _Parsed(AgencyRow, self._agency)
        self._remote: dict[tuple[str, str], RemoteKeys] = {}

    def client(self, client_id: str) -> Client | None:
        """The registered client, suspended or not; None if there is none."""
        return self._current().clients.get(client_id)

    def clients(self) -> Iterable[Client]:
        """All registered clients, suspended or not."""
        return self._current().clients.values()

    def recipients(self) -> Mapping[str, Client]:
        """By id, suspended or not, the clients that packages are made for, of which everybody is told.

        Not the platform's own one, which is each citizen's browser, and no resource server.
        """
        found = self._current().clients.items()
        return {name: one for name, one in found if one.policy.may_ask_for_datasets and name != own.CLIENT_ID}

    def agency(self, agency_id: str) -> RegisteredAgency | None:
        """The registered agency, suspended or not; None if there is none."""
        return self._current().agencies.get(agency_id)

    def agency_jwks(self, agency_id: str) -> Mapping[str, Any]:
        """The public signing keys of an agency, for everybody; an empty set if it is not registered."""
        agency = self.agency(agency_id)
        return agency.signing_jwks if agency else {"keys": []}

    def suspended_agencies(self) -> frozenset[str]:
        """Ids of the agencies of the catalogue that answer nothing at present: suspended, or not registered yet."""
        known = self._current().agencies
        ids = (agency.id for agency in self._context.catalogue)
        return frozenset(item for item in ids if item not in known or known[item].suspended)

    def suspended_datasets(self) -> frozenset[str]:
        """Ids of the datasets that are not answered at present, whatever their agencies do."""
        return self._current().suspended_datasets

    def maintenance(self) -> Mapping[str, datetime | None]:
        """The datasets that their agencies say are under maintenance, and until about when.

        None: they do not say, or had hoped for a moment that is over.
        """
        found = self._current().maintenance
        if not found:
            return found
        now = clock.now()
        return {name: until if until is not None and until > now else None for name, until in found.items()}

    def silent_agencies(self) -> Mapping[str, datetime]:
        """The agencies that used to say how they are and no longer do, and when they last did."""
        return self._current().silent

    def agency_state(self, agency: CatalogueAgency) -> Mapping[str, Any]:
        """What an agency says of itself, for the public catalogue; nothing if it says nothing."""
        found = self._current()
        state: dict[str, Any] = {}
        if agency.id in found.silent:
            state["silent_since"] = found.silent[agency.id].isoformat(timespec="seconds")
        maintenance = self.maintenance()
        under_way = [dataset.id for dataset in agency.datasets if dataset.id in maintenance]
        if under_way:
            until = maintenance[under_way[0]]
            state["maintenance"] = {
                "datasets": under_way,
                "until": until.isoformat(timespec="seconds") if until else None,
            }
        return state

    def keys(self, client: Client, *, kid: str | None) -> KeySet:
        """The public keys of a client.

        Those under a jwks_uri are fetched when first needed and after ten minutes, and once more when `kid` is none of
        them, though at most once a minute: a `kid` costs a stranger nothing to make up.
        Raises: FetchError if they can't be had.
        """
        if client.jwks is not None:
            return client.jwks
        url = str(client.jwks_uri)
        return self._remote.setdefault(
            (client.client_id, url), RemoteKeys(url, parse_public_keys, allowed_hosts=self._allowed_hosts)
        ).of(kid)

    def encryption_jwk(self, client: Client) -> dict[str, Any] | None:
        """The public JWK that packages for this client are encrypted to by default.  Raises: FetchError."""
        key = encryption_key(self.keys(client, kid=None))
        return key.public_jwk() if key else None

    def reload(self) -> None:
        """Read the tables now, without waiting for the second: for tests, which stop the clock."""
        with self._reading:
            self._snapshot = self._read(None, clock.now())

    def _current(self) -> _Snapshot:
        snapshot, now = self._snapshot, clock.now()
        recent = snapshot
        if snapshot is not None:
            if snapshot.checked_at <= now < snapshot.checked_at + CHECK_EVERY:  # in one look: it is asked all the time
                return snapshot
            if not clock.is_within(OLDEST, since=snapshot.checked_at, now=now):
                recent = None
        if not self._reading.acquire(timeout=PATIENCE_S if recent is None else 0):
            if recent is None:
                raise PoolTimeout("the registry is being read by another request")
            return recent
        try:
            latest = self._snapshot
            if latest is None or latest is snapshot:
                self._snapshot = latest = self._read(latest, now)
            return latest
        finally:
            self._reading.release()

    def _read(self, known: _Snapshot | None, now: datetime) -> _Snapshot:
        with self._engine.connect() as connection:
            # The version first: rows may then be newer than it, which costs one reading too many, never one too few.
            version = connection.execute(select(RegistryVersion.version)).scalar_one_or_none() or 0
            if known is not None and known.version == version:
                return replace(known, checked_at=now)
            datasets = frozenset(connection.scalars(select(SuspendedDataset.dataset_id)))
            states = connection.execute(select(AgencyState.__table__)).all()
            return _Snapshot(
                version,
                now,
                self._clients.read(connection),
                self._agencies.read(connection),
                datasets,
                self._maintenance(states),
                MappingProxyType({row.agency_id: row.heard_at for row in states if row.silent}),
            )

    def _maintenance(self, states: Sequence[Row[Any]]) -> Mapping[str, datetime | None]:
        found: dict[str, datetime | None] = {}
        for row in states:
            agency = self._context.catalogue.find_agency(row.agency_id)
            if agency is not None and row.maintenance:
                concerned = row.datasets.split() or [dataset.id for dataset in agency.datasets]
                found |= dict.fromkeys(concerned, row.until)
        return MappingProxyType(found)

    def _client(self, row: Row[Any]) -> Client | None:
        try:
            return client_of(row, self._context)
        except RegistrationError as error:
            # The catalogue has moved on, or the sandbox's database came along: this client is out, not all.
            event("client.unusable", level=WARNING, client_id=row.client_id, detail=error.detail)
            return None

    def _agency(self, row: Row[Any]) -> RegisteredAgency | None:
        try:
            return agency_of(row, self._context)
        except RegistrationError as error:
            event("agency.unusable", level=WARNING, agency_id=row.id, detail=error.detail)
            return None


class _Parsed(Generic[T]):
    """The usable rows of a table as objects. A row that is what it was when last read is not parsed again.

    To parse a client costs milliseconds, the version moves with every heartbeat that says something new, and whoever
    happens to look then waits for all of them. Safe for one thread at a time.
    Args: parse: None for a row that can't be used.
    """

    def __init__(self, model: type[Base], parse: Callable[[Row[Any]], T | None]) -> None:
        self._table = table_of(model)
        (self._id,) = self._table.primary_key
        self._parse = parse
        self._known: dict[str, tuple[Row[Any], T | None]] = {}

    def read(self, connection: Connection) -> Mapping[str, T]:
        """All that are usable, by id."""
        latest = {}
        for row in connection.execute(select(self._table)):
            row_id = row._mapping[self._id]
            known = self._known.get(row_id)
            latest[row_id] = known if known is not None and known[0] == row else (row, self._parse(row))
        self._known = latest
        return MappingProxyType({row_id: parsed for row_id, (_, parsed) in latest.items() if parsed is not None})


def client_of(row: Row[Any] | ClientRow, context: Context) -> Client:
    """The client of a row.  Raises: RegistrationError, if it could not be registered like that today."""
    about: Any = {"registered_on": row.registered_on, "suspended": row.suspended_at is not None}
    if row.client_id == own.CLIENT_ID:
        return own.download_client(context.catalogue, **about)
    return read_client(document_of_client(row), context, **about)


def agency_of(row: Row[Any] | AgencyRow, context: Context) -> RegisteredAgency:
    """The agency of a row.  Raises: RegistrationError, as above."""
    document = {"id": row.id, "connector": row.connector, "jwks": row.jwks}
    document |= {name: value for name in AGENCY_ENDPOINTS if (value := getattr(row, name))}
    return read_agency(document, context, suspended=row.suspended_at is not None)


def document_of_client(row: Row[Any] | ClientRow) -> dict[str, Any]:
    """The document from which this row was registered, without what the profile has no use for."""
    document: dict[str, Any] = {
        "client_id": row.client_id,
        "profile": row.profile,
        "name": {"zh": row.name_zh, "en": row.name_en},
    }
    optional = (
        "registered_id", "contact_phone", "contact_email", "privacy_url", "redirect_uris",
        "security_event_endpoint", "purposes", "counters", "desk_may", "jwks", "jwks_uri",
    )  # fmt: skip
    document |= {name: value for name in optional if (value := getattr(row, name))}
    return document if row.named_clerks is None else document | {"named_clerks": row.named_clerks}
