"""`mydata consent revoke`, `mydata citizen freeze` and `unfreeze`: what an operator ends in the place of a citizen."""

import click

from authz_server import config
from authz_server.core import clock, transfers
from authz_server.database import session_for
from authz_server.identity.commands import citizen
from authz_server.identity.errors import AccountProblem
from authz_server.identity.service import id_of
from authz_server.tokens import withdrawal


@click.group()
def consent() -> None:
    """Consents of citizens."""


@consent.command("revoke")
@click.argument("reference")
@click.option(
    "--reason", type=click.Choice(withdrawal.REVOKED_FOR), required=True, help="It is told to the citizen, in words."
)
def revoke(reference: str, reason: str) -> None:
    """End the consent with this REFERENCE number at once: its code, its tokens, and the fetch in flight."""
    with session_for(config.load()) as session:
        under_way = withdrawal.revoke(session, reference, reason=reason, now=clock.now())
        transfers.commit_end(session, under_way=under_way)
    click.echo(f"consent {reference} revoked")


@citizen.command("freeze")
@click.argument("username")
def freeze(username: str) -> None:
    """Stop everything of a citizen, who can still sign in: what is open ends, and nothing is agreed to."""
    with session_for(config.load()) as session:
        citizen_id = id_of(session, username)
        under_way = withdrawal.freeze(session, citizen_id, actor="operator", reason="by_operator", now=clock.now())
        transfers.commit_end(session, under_way=under_way)
    click.echo(f"citizen {username} frozen")


@citizen.command("unfreeze")
@click.argument("username")
def unfreeze(username: str) -> None:
    """Let a citizen agree to requests again; what was stopped stays stopped."""
    with session_for(config.load()) as session:
        if not withdrawal.lift(session, id_of(session, username), actor="operator", now=clock.now()):
            raise AccountProblem("it is not frozen")
    click.echo(f"citizen {username} unfrozen")
