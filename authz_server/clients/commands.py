"""`mydata client`, `mydata agency`, `mydata dataset`: the operator's way to admit, list, suspend and resume."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import orjson
from sqlalchemy import select
from sqlalchemy.orm import Session

from authz_server import config
from authz_server.audit.service import Entry, record
from authz_server.catalogue import loader
from authz_server.catalogue.document import Problem
from authz_server.catalogue.toml_lines import line_numbers, line_of
from authz_server.clients import service
from authz_server.clients.document import Context, RegistrationError
from authz_server.clients.models import Agency, Client, SuspendedDataset
from authz_server.clients.registry import agency_of, client_of
from authz_server.clients.service import NotRegistered, Registered
from authz_server.config import Settings
from authz_server.core import clock, text_file, toml_file
from authz_server.core.outbound_http import authority
from authz_server.database import session_for

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
Register = Callable[..., Registered]
# What this server calls by itself, of clients and agencies.
CALLED = ("jwks_uri", "security_event_endpoint", "correction_endpoint", "preparation_endpoint")
UNCHANGED = {"suspended": "is suspended already", "resumed": "is not suspended"}


@click.group()
def client() -> None:
    """Service providers and resource servers."""


@client.command("add")
@click.argument("file", type=FILE)
@click.option("--replace", is_flag=True, help="Replace the registration of a known client.")
def add_client(file: Path, replace: bool) -> None:
    """Register the client that FILE, a TOML document, describes."""
    click.echo(f"client {_register(file, service.register, replace=replace)}")


@client.command("list")
def list_clients() -> None:
    """Every client, a line each; of one that no server can use as it is registered, with the reasons."""
    settings = config.load()
    context = _context(settings)
    with session_for(settings) as session:
        for row in session.scalars(select(Client).order_by(Client.client_id)):
            state, *why = _standing(row, client_of, context)
            about = (row.client_id, row.profile, state, row.registered_on, row.name_zh, row.name_en, *why)
            click.echo("\t".join(map(str, about)))


@client.command("suspend")
@click.argument("client_id")
def suspend_client(client_id: str) -> None:
    """Stop a client at once, in the middle of whatever it does."""
    _switch("client", client_id, "suspended", lambda session: service.suspend(session, client_id, now=clock.now()))


@client.command("resume")
@click.argument("client_id")
def resume_client(client_id: str) -> None:
    """Let a suspended client go on."""
    _switch("client", client_id, "resumed", lambda session: service.resume(session, client_id))


@click.group()
def agency() -> None:
    """Agencies: their keys and connectors; what they hold is in the catalogue."""


@agency.command("add")
@click.argument("file", type=FILE)
@click.option("--replace", is_flag=True, help="Replace the connector and keys of a known agency.")
def add_agency(file: Path, replace: bool) -> None:
    """Register the agency that FILE, a TOML document, describes."""
    click.echo(f"agency {_register(file, service.register_agency, replace=replace)}")


@agency.command("list")
def list_agencies() -> None:
    """Every registered agency, a line each; of one that no server can use as it is registered, with the reasons."""
    settings = config.load()
    context = _context(settings)
    with session_for(settings) as session:
        for row in session.scalars(select(Agency).order_by(Agency.id)):
            state, *why = _standing(row, agency_of, context)
            click.echo("\t".join(map(str, (row.id, row.connector, state, row.registered_on, *why))))


@agency.command("suspend")
@click.argument("agency_id")
def suspend_agency(agency_id: str) -> None:
    """Ask an agency nothing more until it is resumed."""
    _switch(
        "agency", agency_id, "suspended", lambda session: service.suspend_agency(session, agency_id, now=clock.now())
    )


@agency.command("resume")
@click.argument("agency_id")
def resume_agency(agency_id: str) -> None:
    """Ask a suspended agency again."""
    _switch("agency", agency_id, "resumed", lambda session: service.resume_agency(session, agency_id))


@click.group()
def dataset() -> None:
    """Datasets of the catalogue: to stop and resume a single one."""


@dataset.command("list")
def list_datasets() -> None:
    """Every dataset of the catalogue, a line each, and what has left it suspended."""
    with session_for(config.load()) as session:
        suspended = set(session.scalars(select(SuspendedDataset.dataset_id)))
    known = {found.id: found for agency in loader.load() for found in agency.datasets}
    for found in known.values():
        state = "suspended" if found.id in suspended else "active"
        click.echo(f"{found.id}\t{state}\t{found.name.zh}\t{found.name.en}")
    for dataset_id in sorted(suspended - known.keys()):
        click.echo(f"{dataset_id}\tsuspended\tnot in the catalogue")


@dataset.command("suspend")
@click.argument("dataset_id")
def suspend_dataset(dataset_id: str) -> None:
    """Ask for a dataset no more until it is resumed."""
    _switch(
        "dataset",
        dataset_id,
        "suspended",
        lambda session: service.suspend_dataset(session, dataset_id, catalogue=loader.load(), now=clock.now()),
    )


@dataset.command("resume")
@click.argument("dataset_id")
def resume_dataset(dataset_id: str) -> None:
    """Ask for a suspended dataset again; for one that has left the catalogue, once it comes back."""
    _switch(
        "dataset",
        dataset_id,
        "resumed",
        lambda session: service.resume_dataset(session, dataset_id, catalogue=loader.load()),
    )


def _switch(what: str, name: str, state: str, switch: Callable[[Session], bool]) -> None:
    """Suspend or resume something, and record it; if nothing changes by that, only say so."""
    try:
        with session_for(config.load()) as session:
            changed = switch(session)
            if changed:
                about: dict[str, Any] = {f"{what}_id": name}
                record(session, Entry(at=clock.now(), event=f"{what}.{state}", success=True, actor="operator", **about))
    except NotRegistered as error:
        raise click.ClickException(error.public) from None
    click.echo(f"{what} {name} {state if changed else UNCHANGED[state]}")


def _context(settings: Settings) -> Context:
    return Context(loader.load(), sandbox=settings.sandbox)


def _standing(
    row: Client | Agency, read: Callable[[Any, Context], object], context: Context
) -> tuple[str] | tuple[str, str]:
    """Its state; and what is wrong with its registration by the rules of this release, if anything is, in a line."""
    suspended = row.suspended_at is not None
    try:
        read(row, context)
    except RegistrationError as error:
        return "suspended" if suspended else "unusable", "; ".join(map(str, error.problems))
    return ("suspended" if suspended else "active",)


def _register(file: Path, register: Register, *, replace: bool) -> str:
    """Register what a file describes, and say what was done; every problem is told with file and line."""
    given, settings = _read(file), config.load()
    try:
        with session_for(settings) as session:
            done = register(session, given.document, context=_context(settings), now=clock.now(), replace=replace)
    except RegistrationError as error:
        problems = "\n".join(map(given.told, error.problems))
        raise click.ClickException(f"the registration is not valid\n{problems}") from None
    for shared in done.shared:
        click.echo(f"warning: {given.told(shared)}; whoever holds it can sign and open in the name of both", err=True)
    for uncalled in _never_called(given.document, settings):
        click.echo(f"warning: {given.told(uncalled)}", err=True)
    return f"{done.id} {'registered' if done.anew else 'replaced'}"


def _never_called(document: Mapping[str, Any], settings: Settings) -> list[Problem]:
    """Addresses that are right in a sandbox, and that it nevertheless calls only where its settings list them."""
    return [
        Problem((name,), f"is never called, unless allowed_outbound_hosts has {authority(document[name])}")
        for name in CALLED
        if str(document.get(name, "")).startswith("http://")
        and authority(document[name]) not in settings.allowed_outbound_hosts
    ]


@dataclass(frozen=True)
class _Given:
    """What an operator hands in: a TOML file, its document, and the file beside it from which the keys come, if any."""

    file: Path
    lines: Mapping[tuple[str | int, ...], int]
    document: dict[str, Any]
    jwks_file: Path | None

    def told(self, problem: Problem) -> str:
        """A problem, and where it stands: in the keys' own file by the number of the key, for JSON tells no lines."""
        if self.jwks_file is not None and problem.path == ("jwks",):
            return f"{self.jwks_file}: {problem.message}"
        return f"{self.file}:{line_of(problem.path, self.lines)}: {problem}"


def _read(file: Path) -> _Given:
    """Read a TOML file; the keys of its `jwks_file` (relative to it) are put into the document as `jwks`."""
    try:
        document, text = toml_file.read(file)
    except toml_file.NotToml as error:
        raise click.ClickException(f"{file}:{error.line}: {error}") from None
    lines, beside = line_numbers(text), document.get("jwks_file")
    if not isinstance(beside, str) or "jwks" in document:
        return _Given(file, lines, document, None)
    del document["jwks_file"]
    jwks_file = file.parent / beside
    try:
        keys = text_file.read(jwks_file)
        document["jwks"] = orjson.loads(keys)
    except orjson.JSONDecodeError as error:
        if keys.lstrip().startswith("-----BEGIN "):
            raise click.ClickException(f"{jwks_file}: {_of_pem(keys)}") from None
        raise click.ClickException(f"{jwks_file}:{error.lineno}: is not JSON: {error.msg}") from None
    except text_file.NotText as error:
        raise click.ClickException(f"{jwks_file}: {error}") from None
    except (OSError, ValueError) as error:  # ValueError: no system has a file of this name
        line, why = line_of(("jwks_file",), lines), error.strerror if isinstance(error, OSError) else str(error)
        raise click.ClickException(f"{file}:{line}: jwks_file: {jwks_file}: {why}") from None
    return _Given(file, lines, document, jwks_file)


def _of_pem(text: str) -> str:
    """What is wrong with keys in the form that OpenSSL writes."""
    wanted = 'is PEM; a JWKS is wanted, {"keys": [...]} with public members only (RFC 7517)'
    if "PRIVATE KEY" in text:
        return f"{wanted}. It holds a private key: let its owner replace it, for it is a secret no more"
    return wanted
