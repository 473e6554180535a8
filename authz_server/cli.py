"""The command `mydata`: set up, run and administer."""

import contextlib
import os
import sys
from pathlib import Path
from typing import NoReturn

import click
from sqlalchemy.exc import DatabaseError, DataError, IntegrityError
from sqlalchemy.orm import Session

from authz_server import __version__, config, installation, leaving, restoring, schema, worker
from authz_server.catalogue import loader
from authz_server.catalogue.loader import CatalogueError
from authz_server.clients.commands import agency, client, dataset
from authz_server.consent.commands import figures
from authz_server.consent.commands import verify as verify_file
from authz_server.core import clock, logging, transfers
from authz_server.core.errors import DomainError
from authz_server.core.settings import SettingsError
from authz_server.counter.commands import office
from authz_server.database import new_engine, session_for
from authz_server.identity.commands import citizen
from authz_server.loading import load_services
from authz_server.notices.channels import configured
from authz_server.notices.commands import notices
from authz_server.secret_files import keys, rotate_key, rotate_secret
from authz_server.start import run_proxy
from authz_server.tokens.commands import consent

WORKER = "mydata worker"
WORKER_NICENESS = 10  # what the worker does may wait a moment, requests may not: where cores are scarce, they go first


def _not_empty(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    if value == "":
        raise click.BadParameter("is empty")
    return value


@click.group()
@click.version_option(__version__)
def cli() -> None:
    """A consent server for personal data: OAuth 2.0 and OpenID Connect, single-use tokens, one per dataset."""


@cli.command()
@click.option(
    "--back-to", metavar="VERSION", callback=_not_empty, help="Take newer tables away again, with what is in them."
)
def migrate(back_to: str | None) -> None:
    """Create the tables, or update them to this release."""
    url = config.load().database_url
    schema.migrate(url, back_to=back_to, tell=_tell)
    if back_to is None:
        _tell(f"tables of version {schema.newest()}")


def _tell(line: str) -> None:
    """Say it if anybody listens: all steps would be undone because of who read only the first lines, as `head` does."""
    try:
        click.echo(line)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@cli.command()
def serve() -> None:
    """Run the authorization server."""
    from authz_server import server  # all pages: a third of the time that every command took to start

    server.run(config.load())


@cli.command()
def proxy() -> None:
    """Run the resource proxy. It has settings of its own (MYDATA_PROXY_SETTINGS) and needs nothing of this server."""
    run_proxy()


@cli.command("worker")
def run_worker() -> None:
    """Run the worker: leases that ran out, notices, old rows."""
    give_way(WORKER_NICENESS)
    settings = config.load()
    logging.configure(settings.log_level)
    schema.check(settings.database_url)
    engine = new_engine(settings.database_url, program=WORKER)
    services = load_services(settings, engine)
    channels = configured(services)

    def first(session: Session) -> None:
        schema.check_version(session.connection())  # once more, should the database have been away
        installation.check_secret(session, services.secret)

    worker.run(engine, limits=settings.limits, channels=channels, first=first)


def give_way(niceness: int) -> None:
    """Let other processes of this machine go first, those of other sessions too.

    Where no cgroup decides, Linux weighs whole sessions against each other, and a service is one by itself; niceness
    counts only within.  Source: sched(7), the autogroup feature.
    """
    os.nice(niceness)
    if os.getsid(0) == os.getpid():  # else it would say so for the shell that this was started from
        with contextlib.suppress(OSError):  # another system, a kernel without, or one that was told so a moment ago
            Path("/proc/self/autogroup").write_text(str(niceness))


@cli.group()
def catalogue() -> None:
    """Agencies and datasets."""


@catalogue.command()
def check() -> None:
    """Read the whole catalogue; every problem is named with file and line."""
    found = loader.load()
    click.echo(f"{len(found.agencies)} agencies, {len(found.scopes)} datasets, version {found.version}")


@citizen.command("erase")
@click.argument("username")
@click.confirmation_option(prompt="This can't be undone. Close the account and erase who it was?")
def erase(username: str) -> None:
    """Close an account for its citizen: everything ends, and whatever says who they were is erased, at once."""
    settings = config.load()
    with session_for(settings) as session:
        under_way = leaving.leave_by_name(session, username, settings=settings, now=clock.now())
        transfers.commit_end(session, under_way=under_way)
    click.echo(f"citizen {username} erased")


@cli.command()
@click.confirmation_option(prompt="Everything that is open ends, for everybody. Was a backup put back?")
def restored() -> None:
    """After a backup was put back, before the servers start: end whatever may have been used or stopped since."""
    with session_for(config.load()) as session:
        ended = restoring.end_what_was_open(session, now=clock.now())
        transfers.commit_end(session, under_way=ended.under_way)
    click.echo(
        f"ended: what was open of {ended.citizens} citizens, {ended.requests} requests, {ended.sessions} sessions, "
        f"{ended.questions} questions; numbers go on {restoring.AHEAD} further"
    )


FILES = (keys, rotate_key, rotate_secret)
for command in (*FILES, client, office, agency, dataset, citizen, consent, notices, figures, verify_file):
    cli.add_command(command)


def main() -> None:
    """Run a command; what is wrong with settings, catalogue or input is a message, never a traceback."""
    if any("\ud800" <= character <= "\udfff" for argument in sys.argv for character in argument):
        _end_by(click.UsageError("an argument is not UTF-8"))  # no database would take it
    try:
        cli()
    except (SettingsError, CatalogueError, DomainError) as error:
        _end_by(error)
    except (IntegrityError, DataError):
        raise
    except DatabaseError as error:  # also that it takes no changes, or that the file is none of SQLite
        _end_by(_database_problem(error))


def _end_by(problem: Exception) -> NoReturn:
    click.echo(f"mydata: {problem}", err=True)
    sys.exit(2)


def _database_problem(error: DatabaseError) -> SettingsError:
    """What the database says, in a line, and whether its tables are those of another release."""
    problems = [schema.first_line(error)]
    try:
        schema.check(config.load().database_url)
    except SettingsError as tables:
        problems += tables.problems
    except DatabaseError:
        pass
    return SettingsError(list(dict.fromkeys(problems)))
