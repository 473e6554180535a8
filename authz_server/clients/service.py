"""Registers, suspends and resumes clients, agencies and datasets: the only writer of their tables.

The formats of the documents are described in `clients.document`. Nobody commits here but the caller.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, NamedTuple, cast

from sqlalchemy import ColumnElement, Delete, Update, delete, select, update
from sqlalchemy.engine import CursorResult
from sqlalchemy.orm import InstrumentedAttribute, Session

from authz_server.catalogue.document import Problem
from authz_server.catalogue.model import Catalogue
from authz_server.clients import own
from authz_server.clients.document import Context, RegistrationError, read_agency, read_client
from authz_server.clients.keys import NO_RECIPIENT, only_unusable_recipients
from authz_server.clients.model import Client, RegisteredAgency
from authz_server.clients.models import Agency as AgencyRow
from authz_server.clients.models import Client as ClientRow
from authz_server.clients.models import RegistryVersion, SuspendedDataset
from authz_server.clients.registry import Registry
from authz_server.core.clock import day_of
from authz_server.core.errors import DomainError
from authz_server.core.jose import BadKey, Key, parse_public_keys, public_jwks, thumbprint
from authz_server.database import insert_if_absent

__all__ = [
    "Client",
    "Context",
    "NotRegistered",
    "Registered",
    "RegisteredAgency",
    "RegistrationError",
    "Registry",
    "register",
    "register_agency",
    "resume",
    "resume_agency",
    "resume_dataset",
    "suspend",
    "suspend_agency",
    "suspend_dataset",
]


REGISTERED = "is registered already; --replace puts this in its place"


class Registered(NamedTuple):
    """What was registered. `anew`: nothing was under its id before; `shared`: which of its keys are others', too."""

    id: str
    anew: bool
    shared: tuple[Problem, ...] = ()


class NotRegistered(DomainError):
    """There is no client, agency or dataset with this id."""

    code = "not_registered"
    public = "Nothing is registered under this name."


def register(
    session: Session, document: Mapping[str, Any], *, context: Context, now: datetime, replace: bool = False
) -> Registered:
    """Register a client, or replace the registration of a known one. The caller commits.

    A replaced client stays suspended if it was, and keeps the day on which it was first registered.
    Raises: RegistrationError, also if the client is known and `replace` is not said.
    """
    client = read_client(document, context, registered_on=day_of(now))
    offered = client.jwks if client.policy.may_ask_for_datasets else None
    if offered and only_unusable_recipients(offered):
        # Not asked of what is registered already: it goes on, with a key in each of its requests.
        raise RegistrationError([Problem(("jwks",), f"has {NO_RECIPIENT}")])
    known = session.get(ClientRow, client.client_id)
    if client.client_id == own.CLIENT_ID:
        raise RegistrationError([Problem(("client_id",), "is the platform's own")])
    if known is not None and not replace:
        raise RegistrationError([Problem(("client_id",), REGISTERED)])
    row = ClientRow(
        client_id=client.client_id,
        profile=client.policy.profile,
        name_zh=client.name.zh,
        name_en=client.name.en,
        registered_id=client.registered_id,
        registered_on=known.registered_on if known else client.registered_on,
        contact_phone=client.contact_phone,
        contact_email=client.contact_email,
        privacy_url=client.privacy_url,
        jwks=public_jwks(client.jwks) if client.jwks else None,
        jwks_uri=client.jwks_uri,
        redirect_uris=list(client.redirect_uris),
        security_event_endpoint=client.security_event_endpoint,
        purposes=document.get("purposes", {}),
        counters=document.get("counters"),
        named_clerks=document.get("named_clerks"),
        desk_may=list(client.desk_may) or None,
        suspended_at=known.suspended_at if known else None,
    )
    shared = _shared(session, f"client {client.client_id}", client.jwks or (), client.jwks_uri)
    session.merge(row)
    bump(session)
    return Registered(client.client_id, known is None, shared)


def register_agency(
    session: Session, document: Mapping[str, Any], *, context: Context, now: datetime, replace: bool = False
) -> Registered:
    """Register an agency of the catalogue, or replace its connector and keys. The caller commits.

    Raises: RegistrationError, also if the agency is registered and `replace` is not said.
    """
    agency = read_agency(document, context)
    known = session.get(AgencyRow, agency.id)
    if known is not None and not replace:
        raise RegistrationError([Problem(("id",), REGISTERED)])
    jwks = parse_public_keys(document["jwks"])
    row = AgencyRow(
        id=agency.id,
        connector=agency.connector,
        jwks=public_jwks(jwks),
        correction_endpoint=agency.correction_endpoint,
        preparation_endpoint=agency.preparation_endpoint,
        registered_on=known.registered_on if known else day_of(now),
        suspended_at=known.suspended_at if known else None,
    )
    shared = _shared(session, f"agency {agency.id}", jwks)
    session.merge(row)
    bump(session)
    return Registered(agency.id, known is None, shared)


def _shared(session: Session, whose: str, keys: Iterable[Key], jwks_uri: str | None = None) -> tuple[Problem, ...]:
    """Which keys are somebody else's as well, who can then sign, and open what is encrypted, in the name of both.

    No standard forbids it, and one institution may have its reasons; a file that was copied is more likely.
    """
    others: dict[str, str] = {}
    for holder, jwks, uri in _holders(session):
        if holder != whose:
            others |= dict.fromkeys([uri] if uri else map(_thumbprint, jwks["keys"]), holder)
    if jwks_uri in others:
        return (Problem(("jwks_uri",), f"is that of {others[jwks_uri]}, too"),)
    return tuple(
        Problem(("jwks",), f"keys[{number}] is a key of {others[key.thumbprint]}, too")
        for number, key in enumerate(keys)
        if key.thumbprint in others
    )


def _holders(session: Session) -> Iterator[tuple[str, Any, str | None]]:
    for client_id, jwks, jwks_uri in session.execute(select(ClientRow.client_id, ClientRow.jwks, ClientRow.jwks_uri)):
        if jwks or jwks_uri:  # the platform's own has no key
            yield f"client {client_id}", jwks, jwks_uri
    for agency_id, jwks in session.execute(select(AgencyRow.id, AgencyRow.jwks)):
        yield f"agency {agency_id}", jwks, None


def _thumbprint(member: Mapping[str, Any]) -> str:
    try:
        return thumbprint(member)
    except BadKey:  # registered under older rules, and no key of anybody's by those of today
        return ""


def suspend(session: Session, client_id: str, *, now: datetime) -> bool:
    """Stop a client: it authenticates no more, and what was issued to it opens nothing. The caller commits.

    Returns False if it was suspended before.  Raises: NotRegistered.
    """
    return _set_suspended(session, ClientRow.client_id == client_id, ClientRow.suspended_at, now)


def resume(session: Session, client_id: str) -> bool:
    """Let a suspended client go on; False if it was not suspended. The caller commits.  Raises: NotRegistered."""
    return _set_suspended(session, ClientRow.client_id == client_id, ClientRow.suspended_at, None)


def suspend_agency(session: Session, agency_id: str, *, now: datetime) -> bool:
    """Ask an agency nothing more until it is resumed. The caller commits.

    Returns False if it was suspended before.  Raises: NotRegistered.
    """
    return _set_suspended(session, AgencyRow.id == agency_id, AgencyRow.suspended_at, now)


def resume_agency(session: Session, agency_id: str) -> bool:
    """Ask a suspended agency again; False if it was not suspended. The caller commits.  Raises: NotRegistered."""
    return _set_suspended(session, AgencyRow.id == agency_id, AgencyRow.suspended_at, None)


def suspend_dataset(session: Session, dataset_id: str, *, catalogue: Catalogue, now: datetime) -> bool:
    """Ask its agency for this dataset no more until it is resumed. The caller commits.

    Returns False if it was suspended before.  Raises: NotRegistered, if the catalogue has no such dataset.
    """
    _check_dataset(dataset_id, catalogue)
    row = {"dataset_id": dataset_id, "suspended_at": now}
    made = insert_if_absent(session.get_bind().dialect.name, SuspendedDataset).values(row)
    return _told(session, changed=bool(session.execute(made.returning(SuspendedDataset.dataset_id)).all()))


def resume_dataset(session: Session, dataset_id: str, *, catalogue: Catalogue) -> bool:
    """Ask for a suspended dataset again; False if it was not suspended. The caller commits.

    One that has left the catalogue is asked for again when it comes back; else it comes back suspended.
    Raises: NotRegistered, if it is neither suspended nor in the catalogue.
    """
    changed = _changed(session, delete(SuspendedDataset).where(SuspendedDataset.dataset_id == dataset_id))
    if not changed:
        _check_dataset(dataset_id, catalogue)
    return _told(session, changed=changed)


def _check_dataset(dataset_id: str, catalogue: Catalogue) -> None:
    if catalogue.find_dataset(dataset_id) is None:
        raise NotRegistered("no such dataset")


def _set_suspended(
    session: Session,
    named: ColumnElement[bool],
    column: InstrumentedAttribute[datetime | None],
    suspended_at: datetime | None,
) -> bool:
    """Whether it was otherwise; since when it is suspended stays as it was."""
    otherwise = column.is_not(None) if suspended_at is None else column.is_(None)
    changed = _changed(session, update(column.class_).where(named, otherwise).values(suspended_at=suspended_at))
    if not changed and session.execute(select(column).where(named)).first() is None:
        raise NotRegistered("no such id")
    return _told(session, changed=changed)


def _told(session: Session, *, changed: bool) -> bool:
    if changed:
        bump(session)
    return changed


def bump(session: Session) -> None:
    """Tell every process that it holds an old copy."""
    if not _changed(session, update(RegistryVersion).values(version=RegistryVersion.version + 1)):
        session.add(RegistryVersion())


def _changed(session: Session, statement: Update | Delete) -> bool:
    return cast(CursorResult[Any], session.execute(statement)).rowcount > 0
