"""Whether it gets slower as rows grow: the real statements on two databases of one server, one with a hundredth."""

import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from string import Template

from sqlalchemy import text
from sqlalchemy.orm import Session

from authz_server import schema
from authz_server.audit import service as audit
from authz_server.core import clock, secrets
from authz_server.database import new_engine
from authz_server.single_use import buckets, identifiers
from authz_server.tokens import dataset_tokens
from client_examples.sandbox.postgres import PostgresServer
from tests.bench import cpu, report
from tests.bench.budgets import Budget, Section

DATASET = "ris.personal"
JKT = "j" * 43
ENTRIES = 2_000_000  # of the record, in the larger database
FEWER = 100
ENTRIES_PER_TOKEN = 10
CITIZENS_PER_ENTRY = 50
ROUNDS = 11
PER_ROUND = 150
FLAT = 1.05
BUFFERS = "2GB"  # both databases fit
NEWEST = "newest 20 of a citizen's record"

_SEED = Template(Path(__file__).with_suffix(".sql").read_text(encoding="utf-8"))


@dataclass
class Held:
    """One database, and how many of its tokens were used up by measuring."""

    session: Session
    backend: int
    tokens: int
    entries: int
    used: int = 0


def measure(entries: int) -> Section:
    """Each operation on both databases in turn: CPU of the database's process, and time until it is committed."""
    with PostgresServer(durable=True, settings={"full_page_writes": "off", "shared_buffers": BUFFERS}) as postgres:
        few, many = (_held(postgres, name, size) for name, size in (("few", entries // FEWER), ("many", entries)))
        with few as fewer, many as more:
            figures = {name: _figures(operation, (fewer, more)) for name, operation in OPERATIONS.items()}
            sizes = [(held.tokens, held.entries) for held in (fewer, more)]
    return _section(figures, sizes)


def _section(figures: Mapping[str, list[tuple[float, float]]], sizes: list[tuple[int, int]]) -> Section:
    ratios = {name: more[0] / fewer[0] for name, (fewer, more) in figures.items()}
    rows = [
        [
            name,
            *(f"{cpu_us:.0f}" for cpu_us, _ in (few, many)),
            f"{ratios[name]:.2f}",
            *(f"{wall_us:.0f}" for _, wall_us in (few, many)),
        ]
        for name, (few, many) in figures.items()
    ]
    (few_tokens, few_entries), (many_tokens, many_entries) = sizes
    # What is only read is shown, and is no part of the goal.
    worst = max((name for name in ratios if name != NEWEST), key=lambda name: ratios[name])
    text = f"""## Flat as rows grow

The real statements, prepared, one connection, each committed; two databases of one PostgreSQL server in turn, warm.
"few" holds {few_tokens} dataset tokens with their consents, {few_tokens} used identifiers and {few_entries} entries of
the record, "many" {many_tokens}, {many_tokens} and {many_entries}. Of 10^8 tokens issued evenly in two years the rules
of retention leave 137 000 tokens and some thousand identifiers, but every consent and every entry: 10^8 and some more.
Images of whole pages are left out of the log: PostgreSQL writes one when a page is first touched after a checkpoint,
and how often that is depends on how much is issued, not on how much there is. In a short measurement "few" would have
none, for it touches the same pages again and again, and "many" one for nearly each row.
PostgreSQL's own buffers (`shared_buffers`) hold both, as docs/deploy.md advises: with the 128 MB that it takes by
itself an entry of the record costs a tenth to a fifth more at "many", because pages of its indexes come and go.
So for tokens "many" is the real size or above, and for the record it is what fits a bench (`--entries` for more): its
indexes are B-trees, whose depth grows by one level with every factor of some hundred rows.

{report.table(["operation", "CPU us few", "many", "times", "time us few", "many"], rows)}"""
    return Section(
        text,
        [
            Budget(
                f"database CPU to consume and insert at {FEWER} times the rows, the worst",
                f"<= {FLAT:g}",
                f"{ratios[worst]:.2f} ({worst})",
                ratios[worst] <= FLAT,
            )
        ],
    )


@contextmanager
def _held(postgres: PostgresServer, name: str, entries: int) -> Iterator[Held]:
    with postgres.connect() as connection:
        connection.execute(f"CREATE DATABASE {name}")
    schema.migrate(postgres.url(name))
    usable = 2 * ROUNDS * PER_ROUND
    tokens = max(entries // ENTRIES_PER_TOKEN, usable)
    used = f"used_identifier_{buckets.tables_of([clock.now()])[0]}"
    sizes = {"entries": entries, "tokens": tokens, "usable": usable, "used": used}
    sizes["citizens"] = max(entries // CITIZENS_PER_ENTRY, 1)
    with postgres.connect(name) as connection:
        for statement in _SEED.substitute(sizes).split(";\n"):
            connection.execute(statement)
    engine = new_engine(postgres.url(name))
    with Session(engine) as session:
        backend = int(session.scalar(text("SELECT pg_backend_pid()")) or 0)
        session.commit()
        yield Held(session, backend, tokens, entries)
    engine.dispose()


def _figures(operation: Callable[[Held, datetime], None], both: Sequence[Held]) -> list[tuple[float, float]]:
    """For each database, medians over the rounds: CPU microseconds of its process, and microseconds by the clock."""
    rounds: list[list[tuple[float, float]]] = [[] for _ in both]
    for _ in range(ROUNDS):
        for held, figures in zip(both, rounds, strict=True):
            used, start = cpu.used_s([held.backend]), time.perf_counter()
            for _ in range(PER_ROUND):
                operation(held, clock.now())
                held.session.commit()
            wall = time.perf_counter() - start
            figures.append((cpu.used_s([held.backend]) - used, wall))
    return [
        (
            1e6 * statistics.median(cpu_s for cpu_s, _ in figures[1:]) / PER_ROUND,  # the first round warms up
            1e6 * statistics.median(wall_s for _, wall_s in figures[1:]) / PER_ROUND,
        )
        for figures in rounds
    ]


def _lease(held: Held, now: datetime) -> None:
    held.used += 1
    spend = [_assertion(now), identifiers.dpop_proof(secrets.digest(secrets.new_secret("")), expires_at=now)]
    dataset_tokens.lease(
        held.session,
        f"mdt_{held.used}",
        jkt=JKT,
        needed_level=4,
        dataset_id=DATASET,
        resource_server="proxy",
        ttl_s=60,
        spend=spend,
        now=now,
    )


def _assertion(now: datetime) -> identifiers.Identifier:
    return identifiers.client_assertion("bank", secrets.new_secret(""), expires_at=now + timedelta(seconds=60))


def _look(held: Held, now: datetime) -> None:
    dataset_tokens.find_usable(held.session, f"mdt_{held.tokens}", spend=[_assertion(now)], now=now)


def _record(held: Held, now: datetime) -> None:
    held.used += 1
    citizen = 1 + held.used * 7919 % max(held.entries // CITIZENS_PER_ENTRY, 1)
    audit.record(
        held.session, audit.Entry(at=now, event="token.leased", success=True, actor="proxy", citizen_id=citizen)
    )


def _newest(held: Held, _now: datetime) -> None:
    held.used += 1
    audit.entries_of(held.session, 1 + held.used * 7919 % max(held.entries // CITIZENS_PER_ENTRY, 1))


OPERATIONS: Mapping[str, Callable[[Held, datetime], None]] = {
    "lease a dataset token: spend, record, two identifiers": _lease,
    "look a token up, one identifier": _look,
    "an entry of the record": _record,
    NEWEST: _newest,
}
