"""What it costs to be rid of old rows while requests are served: a million used identifiers, and many old tokens."""

import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import urlsplit

from authz_server.core import clock
from authz_server.single_use import buckets
from tests.bench import cpu, report
from tests.bench.budgets import Budget, Section
from tests.bench.http_pump import Answer, Pump
from tests.bench.meter import percentile
from tests.bench.ours import Ours
from tests.bench.steps import Journey, Steps

IDENTIFIERS = 1_000_000
TOKENS = 100_000
LIMIT_MS = 100.0
SECONDS = 4.0
ROUNDS = 3
CONNECTIONS = 64
_STEADY = 1.25  # as much do two runs differ of which nothing is purged in either

# The worker's own step for one table, in a process that gives way as it does; says "ready", waits for a line, and tells
# how many seconds it took.
_PURGE = """
import sys, time
from authz_server import cli, retention, worker
from authz_server.config import Limits
from authz_server.core import clock
from authz_server.database import new_engine
cli.give_way(cli.WORKER_NICENESS)
engine = new_engine(sys.argv[1])
keep = next(keep for keep in retention.KEEP if keep.table.name == sys.argv[2])
engine.connect().close()
print("ready", flush=True)
sys.stdin.readline()
start = time.perf_counter()
worker._purge_table(engine, keep, limits=Limits(), time=clock.now)
print(time.perf_counter() - start)
"""


@dataclass(frozen=True)
class Old:
    """Rows of one table whose time is over. `due`: which of its rows those are."""

    table: str
    seed: str
    due: str = "true"


def measure(ours: Ours, per_s: float) -> Section:
    """Pushed requests at the given rate, with and without a purge in their midst."""
    ours.sandbox.processes["worker"].stop()
    kinds = {
        f"{IDENTIFIERS} used identifiers, as a whole": _identifiers(),
        f"{TOKENS} access tokens, in batches": _tokens(),
    }
    steady: list[float] = []
    rounds: dict[str, list[tuple[float, float]]] = {name: [] for name in kinds}
    for _ in range(ROUNDS):
        steady.append(_p99_ms(_load(ours, per_s)))
        for name, old in kinds.items():
            rounds[name].append(_purged_meanwhile(ours, per_s, old))
    steady_ms = statistics.median(steady)
    medians = {
        name: [statistics.median(figures) for figures in zip(*each, strict=True)] for name, each in rounds.items()
    }
    rows = [["nothing", "", f"{steady_ms:.1f}"]]
    rows += [[name, f"{took_ms:.0f}", f"{p99_ms:.1f}"] for name, (took_ms, p99_ms) in medians.items()]
    took_ms, p99_ms = next(iter(medians.values()))
    text = f"""## Old rows go

What the worker does about rows whose time is over, while {per_s:.0f} requests per second are pushed, half of what the
core sustains. Medians of {ROUNDS} rounds, each with all three. Data and log share one disk.

{report.table(["rows that go", "ms", "p99 of requests, ms"], rows)}"""
    return Section(
        text,
        [
            Budget(f"{IDENTIFIERS} expired rows go, ms", f"<= {LIMIT_MS:g}", f"{took_ms:.0f}", took_ms <= LIMIT_MS),
            Budget(
                "p99 of requests while they go, ms",
                f"<= {_STEADY:g} x {steady_ms:.1f}",
                f"{p99_ms:.1f}",
                p99_ms <= _STEADY * steady_ms,
            ),
        ],
    )


def _identifiers() -> Old:
    # A table whose time does not come while this is measured.
    table = f"used_identifier_{min(buckets.over(clock.now(), waited=timedelta(minutes=5)))}"
    # What came in half an hour was vacuumed long ago; a vacuum just now would keep the table from being emptied.
    seed = f"""ALTER TABLE {table} SET (autovacuum_enabled = off);
        INSERT INTO {table} SELECT substr(sha256(i::text::bytea), 1, 16), 'd'
        FROM generate_series(1, {IDENTIFIERS}) i"""  # noqa: S608 - our own names
    return Old(table, seed)


def _tokens() -> Old:
    seed = f"""INSERT INTO access_token SELECT sha256(i::text::bytea), c.id, c.citizen_id, c.client_id, '[]', '{{}}',
        'jkt', now() - interval '3 days', now() - interval '2 days', NULL
        FROM generate_series(1, {TOKENS}) i, (SELECT * FROM consent LIMIT 1) c"""  # noqa: S608
    return Old("access_token", seed, "expires_at < now() - interval '1 day'")


def _purged_meanwhile(ours: Ours, per_s: float, old: Old) -> tuple[float, float]:
    """How long the purge took, and the p99 of the requests of that time; both in milliseconds."""
    with ours.database() as connection:
        connection.execute(old.seed)
        connection.execute("CHECKPOINT")  # what was written hours ago has reached the disk hours ago
    with cpu.on_core(cpu.SERVER_CORE):
        worker = subprocess.Popen(
            [sys.executable, "-c", _PURGE, ours.sandbox.database_url, old.table],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
    assert worker.stdin is not None
    assert worker.stdout is not None
    worker.stdout.readline()
    answers = _load(ours, per_s, lambda: print(file=worker.stdin, flush=True))
    took_s, _ = worker.communicate()
    with ours.database() as connection:
        left = connection.execute(f"SELECT EXISTS (SELECT FROM {old.table} WHERE {old.due})").fetchone()  # noqa: S608
    if left != (False,):
        raise RuntimeError(f"{old.table} was not purged")
    return 1000 * float(took_s), _p99_ms(answers)


def _load(ours: Ours, per_s: float, before: Callable[[], object] = lambda: None) -> list[Answer]:
    """Requests for some seconds; after the first quarter, which is for warming up, `before` is called."""
    steps, journey = Steps(ours.target.provider), Journey(next(ours.target.groups)[0])
    ready = [steps.push(journey) for _ in range(int(per_s * SECONDS))]
    first = len(ready) // 4
    parts = urlsplit(ours.target.provider.issuer)
    with closing(Pump(parts.hostname or "", parts.port or 0, CONNECTIONS)) as pump:
        pump.send_paced(ready[:first], per_s)
        before()
        return pump.send_paced(ready[first:], per_s)


def _p99_ms(answers: Sequence[Answer]) -> float:
    return 1000 * percentile([answer.latency_s for answer in answers], 99)
