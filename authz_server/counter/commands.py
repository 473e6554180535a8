"""`mydata office ...`: who works at an office. Its administrators say it on their own page; the first is made here."""

import click
from sqlalchemy.orm import Session

from authz_server import config
from authz_server.clients.models import Client
from authz_server.core import clock
from authz_server.core.clock import LOCAL_TIME
from authz_server.counter import appointments
from authz_server.counter.appointments import ADMINISTRATOR, ROLES
from authz_server.database import session_for

ROLE = click.option("--role", type=click.Choice(ROLES), default=ADMINISTRATOR, show_default=True)


@click.group()
def office() -> None:
    """Who works at an office: its administrators, and the clerks at its counters."""


@office.command("appoint")
@click.argument("client_id")
@click.argument("username")
@ROLE
def appoint(client_id: str, username: str, role: str) -> None:
    """Let somebody with an account administer an office, or take barcodes there."""
    with session_for(config.load()) as session:
        _demand_office(session, client_id)
        done = appointments.appoint(session, office=client_id, username=username, role=role, now=clock.now())
    if done is None:
        raise click.ClickException("no account that is open has this user name")
    click.echo(f"{username} is {role} of {client_id}{'' if done else ' already'}")


@office.command("dismiss")
@click.argument("client_id")
@click.argument("username")
@ROLE
def dismiss(client_id: str, username: str, role: str) -> None:
    """End an appointment, at once."""
    with session_for(config.load()) as session:
        done = appointments.end_by_name(session, office=client_id, username=username, role=role, now=clock.now())
    if not done:
        raise click.ClickException(f"{username} is not {role} of {client_id}")
    click.echo(f"{username} is no longer {role} of {client_id}")


@office.command("list")
@click.argument("client_id")
@click.option("--ended", is_flag=True, help="Those whose appointment has ended, too.")
def list_people(client_id: str, ended: bool) -> None:
    """Who works there, a line each. The number is that by which the record names a clerk: for auditors."""
    with session_for(config.load()) as session:
        _demand_office(session, client_id)
        for one in appointments.staff(session, client_id, ended=ended):
            times = [time.astimezone(LOCAL_TIME).isoformat(timespec="seconds") if time else "" for time in
                     (one.appointed_at, one.ended_at)]  # fmt: skip
            click.echo("\t".join([str(one.id), one.role, one.username, one.name, *times]))


def _demand_office(session: Session, client_id: str) -> None:
    row = session.get(Client, client_id)
    if row is None or not row.counters:
        raise click.ClickException(f"{client_id} is not registered with counters")
