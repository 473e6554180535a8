"""Commands about the files that hold what is secret of a server: its signing keys, and what all else derives from."""

import os
from datetime import timedelta
from pathlib import Path

import click
import orjson
from sqlalchemy.exc import DatabaseError

from authz_server import config, installation
from authz_server.audit.service import Entry, record
from authz_server.config import Settings
from authz_server.core import clock, jose
from authz_server.core.settings import SettingsError, of
from authz_server.database import session_for
from authz_server.identity import service

STOLEN = "stolen"


@click.command()
def keys() -> None:
    """Create the signing key and the secret file that the settings name; existing ones are kept."""
    settings = config.load()
    _write_once(settings.keys_file, orjson.dumps({"keys": [jose.generate_key(jose.OWN_ALG)]}))
    _write_once(settings.secret_file, os.urandom(installation.SECRET_BYTES))


@click.command("rotate-key")
@click.option("--stolen", is_flag=True, help="The key is in wrong hands: nothing that it signed verifies any more.")
@click.option("--kid", help="Which key was stolen, if it is one that was rotated before: then the one in force stays.")
def rotate_key(*, stolen: bool, kid: str | None) -> None:
    """Sign with a new key from the next start on. The old one's private part is destroyed; its public part stays
    published, so that what it has signed verifies: for as long as the record is kept, and once more, because a receipt
    may be made when its consent is about to leave the record, and has to serve for a while then.
    """
    if kid is not None and not stolen:
        raise click.UsageError("--kid is for a key that was stolen: --stolen")
    settings = config.load()
    keep = timedelta(days=2 * settings.limits.record_days)
    with of("keys_file"):
        parsed = jose.load_keys(settings.keys_file)  # what no server could read is not replaced, but told
        known = orjson.loads(settings.keys_file.read_bytes())
        if kid is None or kid in {key.kid for key in parsed if key.is_private and key.alg == jose.OWN_ALG}:
            event, done = "platform.key_rotated", "rotated"
            document = jose.rotated(known, jose.generate_key(jose.OWN_ALG), now=clock.now(), keep=keep, stolen=stolen)
        else:
            event, done = "platform.key_forgotten", "forgotten"
            document = jose.forgotten(known, kid)
    _write_private(settings.keys_file, orjson.dumps(document))
    _record_if_possible(settings, _done(event, STOLEN if stolen else None))
    click.echo(f"{done}; restart the servers")


@click.command("rotate-secret")
@click.confirmation_option(
    prompt="Clients will know everybody by other pseudonyms, and recovery codes end. Does everything stand still?"
)
def rotate_secret() -> None:
    """Derive from a new secret: the old one is in wrong hands. Authenticators go on working, what derived from it ends:
    pseudonyms, recovery codes, links and codes in messages.
    """
    settings, fresh = config.load(), os.urandom(installation.SECRET_BYTES)
    with session_for(settings) as session:
        old = installation.own_secret(session, settings.secret_file)
        service.change_secret(session, old, fresh, now=clock.now())
        installation.set_secret(session, fresh)
        record(session, _done("platform.secret_rotated"))
        # Whichever of the two is left behind by a crash between commit and renaming, the database tells which it is.
        file = _itself(settings.secret_file)
        beside = _write_beside(file, fresh)
    _put_in_place(beside, file)
    click.echo("rotated; copy the file to the other hosts and start the servers")


def _done(event: str, reason: str | None = None) -> Entry:
    """An entry on no citizen's record."""
    return Entry(at=clock.now(), event=event, success=True, actor="operator", reason=reason)


def _record_if_possible(settings: Settings, entry: Entry) -> None:
    """A key that was stolen has to go, also where the database is away."""
    try:
        with session_for(settings) as session:
            record(session, entry)
    except DatabaseError as error:
        click.echo(f"mydata: {entry.event} is not on the record: {str(error.orig).splitlines()[0]}", err=True)


def _write_once(path: Path, content: bytes) -> None:
    if path.exists():
        click.echo(f"{path} exists, kept")
        return
    _write_private(path, content)
    click.echo(f"{path} written")


def _write_private(path: Path, content: bytes) -> None:
    """Replace a file by one that only its owner may read; whole or not at all.  Raises: SettingsError."""
    file = _itself(path)
    _put_in_place(_write_beside(file, content), file)


def _itself(path: Path) -> Path:
    """Where a link leads: it stays, for the other ends of it would go on with what it led to."""
    return Path(os.path.realpath(path))


def _write_beside(path: Path, content: bytes) -> Path:
    """Write what is to replace a file, for its owner alone, so that no power failure loses it; where it is.

    Raises: SettingsError.
    """
    fresh = path.with_name(f".{path.name}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, 0o600)  # one that lay there has a mode already
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)  # its name: content without one is lost as well
        finally:
            os.close(folder)
    except OSError as error:
        raise SettingsError([f"{path} can't be replaced: {error}"]) from None
    return fresh


def _put_in_place(fresh: Path, path: Path) -> None:
    """Let the new file be the one from now on.  Raises: SettingsError, with where it is."""
    try:
        fresh.replace(path)
    except OSError as error:  # as where the file is mounted by itself
        problem = f"{path} can't be replaced: {error.strerror}; {fresh} is what holds from now on: put it there by hand"
        raise SettingsError([problem]) from None
