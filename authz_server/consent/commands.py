"""`mydata figures`: what the operator sees of how clients are received. No personal data is in it."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import click
import orjson

from authz_server import config
from authz_server.consent.figures import COUNTED, Figures, Span
from authz_server.consent.figures import figures as count
from authz_server.core import clock
from authz_server.database import session_for

DAY = click.DateTime(["%Y-%m-%d"])
DAYS_SHOWN = 30


@click.command()
@click.option("--from", "first", type=DAY, help=f"First day, in Taiwan; {DAYS_SHOWN} days to the last by default.")
@click.option("--to", "last", type=DAY, help="Last day; today by default.")
@click.option("--by", type=click.Choice(["day", "month", "all"]), default="all", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="For programs, one object per client and period.")
def figures(first: datetime | None, last: datetime | None, by: Span, as_json: bool) -> None:
    """Count decisions and anomalies, per client and period."""
    end = last.date() if last else clock.day_of(clock.now())
    begin = first.date() if first else end - timedelta(days=DAYS_SHOWN - 1)
    if begin > end:
        raise click.BadParameter("the first day comes after the last")
    with session_for(config.load()) as session:
        found = count(session, first=begin, last=end, by=by)
    click.echo(_json(found) if as_json else _table(found))


def _json(found: Sequence[Figures]) -> str:
    rows = [
        {"first": each.first, "last": each.last, "client_id": each.client_id}
        | {name: each.counts[name] for name in COUNTED}
        for each in found
    ]
    return orjson.dumps(rows, option=orjson.OPT_INDENT_2).decode()


def _table(found: Sequence[Figures]) -> str:
    rows = [("first day", "last day", "client", *(name.replace("_", " ") for name in COUNTED))]
    for each in found:
        rows.append((str(each.first), str(each.last), each.client_id, *(str(each.counts[name]) for name in COUNTED)))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    # Words to the left, numbers to the right.
    return "\n".join(
        "  ".join(
            cell.ljust(width) if place < 3 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )
