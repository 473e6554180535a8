"""`mydata citizen ...`: the operator's way to give out, suspend and renew accounts."""

import io
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import click
from qrcode.main import QRCode

from authz_server import config, installation
from authz_server.core import clock
from authz_server.database import session_for
from authz_server.identity import recovery, service
from authz_server.identity.certificates import trust
from authz_server.identity.errors import AccountProblem
from authz_server.identity.language import LOCALES
from authz_server.identity.service import Enrolment, Person


@click.group()
def citizen() -> None:
    """Accounts of citizens."""


def _credentials(command: Callable[..., None]) -> Callable[..., None]:
    """The two options of every command that gives out credentials."""
    for option in (
        click.option(
            "--totp-secret",
            envvar="MYDATA_CITIZEN_TOTP_SECRET",
            help="Base32 secret of the one-time codes, for test data; a new one is made otherwise.",
        ),
        click.option(
            "--password",
            envvar="MYDATA_CITIZEN_PASSWORD",
            prompt=True,
            hide_input=True,
            confirmation_prompt=True,
            help="Asked for if left out. Whoever may list processes can read it here: for synthetic people only.",
        ),
    ):
        command = option(command)
    return command


@citizen.command("add")
@click.argument("username")
@click.option(
    "--checked-in-person",
    is_flag=True,
    help="You have seen this person and their papers. Without it, two different ways to sign in are demanded at first.",
)
@click.option("--name", prompt=True)
@click.option("--national-id", prompt=True)
@click.option("--birthdate", prompt="Birthdate (YYYY-MM-DD)", type=click.DateTime(["%Y-%m-%d"]))
@click.option("--email")
@click.option("--phone")
@click.option("--locale", type=click.Choice(LOCALES), help="Their language, if they said one.")
@_credentials
def add(
    username: str,
    birthdate: datetime,
    password: str,
    totp_secret: str | None,
    locale: str | None,
    *,
    checked_in_person: bool,
    **about: Any,
) -> None:
    """Make an account, and show what the citizen's authenticator app has to scan."""
    person = Person(username=username, birthdate=birthdate.date(), locale=locale or "", **about)
    settings = config.load()
    with session_for(settings) as session:
        secret = installation.own_secret(session, settings.secret_file)
        enrolment = service.create_citizen(
            session,
            person,
            password=password,
            server_secret=secret,
            now=clock.now(),
            totp_secret=totp_secret,
            checked_in_person=checked_in_person,
        )
        codes = recovery.renew(session, enrolment.citizen_id, server_secret=secret, now=clock.now())
    click.echo(f"citizen {username} added")
    _show(enrolment, codes)


@citizen.command("reset")
@click.argument("username")
@_credentials
def reset(username: str, password: str, totp_secret: str | None) -> None:
    """Give an account a new password and a new secret for its one-time codes.

    Nothing else opens it any more: its sessions end, and passkeys, certificates and providers are removed.
    """
    settings = config.load()
    with session_for(settings) as session:
        secret = installation.own_secret(session, settings.secret_file)
        enrolment = service.reset_credentials(
            session,
            username,
            password=password,
            server_secret=secret,
            now=clock.now(),
            totp_secret=totp_secret,
        )
        codes = recovery.renew(session, enrolment.citizen_id, server_secret=secret, now=clock.now())
    click.echo(f"citizen {username} has new credentials")
    _show(enrolment, codes)


@citizen.command("correct")
@click.argument("username")
@click.option("--name")
@click.option("--birthdate", help="YYYY-MM-DD", type=click.DateTime(["%Y-%m-%d"]))
def correct(username: str, name: str | None, birthdate: datetime | None) -> None:
    """Set right what the register says of a citizen by now; it is on their record, and they are told."""
    born, settings, now = birthdate.date() if birthdate else None, config.load(), clock.now()
    with session_for(settings) as session:
        service.correct(session, username, name=name, birthdate=born, now=now)
    click.echo(f"citizen {username} corrected")
    if born and clock.years_since(born, now=now) < settings.limits.adult_years:
        told = f"what they agreed to before stands, until you stop it: mydata citizen freeze {username}"
        click.echo(f"warning: {username} is not of age; {told}", err=True)


@citizen.command("add-certificate")
@click.argument("username")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def add_certificate(username: str, file: Path) -> None:
    """Bind the Citizen Digital Certificate in a PEM file to an account: its key signs in at the highest level."""
    try:
        certificate, *more = trust.load(file)
    except ValueError as error:
        raise AccountProblem(str(error)) from None
    if more:
        raise AccountProblem(f"{file}: more than one certificate")
    with session_for(config.load()) as session:
        service.add_certificate(session, username, certificate, now=clock.now())
    click.echo(f"citizen {username} has a certificate")


@citizen.command("suspend")
@click.argument("username")
def suspend(username: str) -> None:
    """Shut an account at once: its sessions end, and nobody signs in."""
    with session_for(config.load()) as session:
        service.suspend(session, username, now=clock.now())
    click.echo(f"citizen {username} suspended")


@citizen.command("resume")
@click.argument("username")
def resume(username: str) -> None:
    """Open a suspended account again."""
    with session_for(config.load()) as session:
        service.resume(session, username, now=clock.now())
    click.echo(f"citizen {username} resumed")


def _show(enrolment: Enrolment, codes: Sequence[str]) -> None:
    """Print what an authenticator app scans or takes by hand, and the recovery codes; they are shown this once."""
    code: Any = QRCode(border=2)  # its own annotations stop half-way
    code.add_data(enrolment.otpauth_uri)
    drawing = io.StringIO()
    code.print_ascii(out=drawing, invert=True)
    click.echo(drawing.getvalue())
    click.echo(enrolment.otpauth_uri)
    click.echo("recovery codes, each good once in place of the app's code:")
    click.echo("\n".join(codes))
