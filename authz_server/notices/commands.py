"""`mydata notices`: how delivery goes, in figures; nobody's messages."""

from datetime import timedelta

import click

from authz_server import config
from authz_server.core import clock
from authz_server.core.clock import LOCAL_TIME
from authz_server.database import session_for
from authz_server.notices import outbox

COLUMNS = "{:12} {:>8} {:>10} {:>9}   {}"


@click.command("notices")
@click.option("--days", default=1, show_default=True, type=click.IntRange(1, 365), help="How far back to count.")
def notices(days: int) -> None:
    """Show by channel how many notices wait, were delivered and were given up."""
    with session_for(config.load()) as session:
        found = outbox.figures(session, since=clock.now() - timedelta(days=days))
    click.echo(COLUMNS.format("channel", "waiting", "delivered", "given up", "the oldest waits since"))
    for row in found:
        since = row.waiting_since.astimezone(LOCAL_TIME).isoformat(timespec="seconds") if row.waiting_since else "-"
        click.echo(COLUMNS.format(row.channel, row.waiting, row.delivered, row.given_up, since))
