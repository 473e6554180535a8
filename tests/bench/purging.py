"""What it costs to be rid of old rows while requests are served: a million used identifiers, and many old tokens."""

import json
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
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

# The worker's own step, in a process that gives way as it does; says "ready", waits for a line, and tells how long each
# table took.
_PURGE = """
import json, sys, time
from authz_server import cli, retention, worker
from authz_server.config import Limits
from authz_server.core import clock
from authz_server.database import new_engine
cli.give_way(cli.WORKER_NICENESS)
engine = new_engine(sys.argv[1])
engine.connect().close()
print("ready", flush=True)
sys.stdin.readline()
took = {}
for keep in retention.KEEP:
    start = time.perf_counter()
    worker._purge_table(engine, keep, limits=Limits(), time=clock.now)
    took[keep.table.name] = time.perf_counter() - start
print(json.dumps(took))
"""


def measure(ours: Ours, per_s: float) -> Section:
    """Pushed requests at the given rate, with and without a purge in their midst."""
    ours.sandbox.processes["worker"].stop()
    # One whose time does not come while this is measured.
    identifiers = f"used_identifier_{min(buckets.over(clock.now(), waited=timedelta(minutes=5)))}"
    steady, purging, seconds = [], [], []
    for _ in range(ROUNDS):
        steady.append(_p99_ms(_load(ours, per_s)))
        _seed(ours, identifiers)
        took, answers = _purged_meanwhile(ours, per_s)
        _check_purged(ours, identifiers)
        purging.append(_p99_ms(answers))
        seconds.append(took)
    steady_ms, purging_ms = statistics.median(steady), statistics.median(purging)
    took_ms, batches_ms = (
        1000 * statistics.median(took[table] for took in seconds) for table in (identifiers, "access_token")
    )
    rows = [
        [f"{IDENTIFIERS} used identifiers, as a whole", f"{took_ms:.0f}"],
        [f"{TOKENS} access tokens, in batches", f"{batches_ms:.0f}"],
    ]
    text = f"""## Old rows go

What the worker does about rows whose time is over, while {per_s:.0f} requests per second are pushed, half of what the
core sustains. Without it their p99 is {steady_ms:.1f} ms, with it {purging_ms:.1f} ms, medians of
{ROUNDS} rounds in turn. Data and log share one disk.

{report.table(["rows", "ms"], rows)}"""
    return Section(
        text,
        [
            Budget(f"{IDENTIFIERS} expired rows go, ms", f"<= {LIMIT_MS:g}", f"{took_ms:.0f}", took_ms <= LIMIT_MS),
            Budget(
                "p99 of requests while they go, ms",
                f"<= {_STEADY:g} x {steady_ms:.1f}",
                f"{purging_ms:.1f}",
                purging_ms <= _STEADY * steady_ms,
            ),
        ],
    )


def _check_purged(ours: Ours, identifiers: str) -> None:
    with ours.database() as connection:
        for table in (identifiers, "access_token"):
            due = "WHERE expires_at < now() - interval '1 day'" if table == "access_token" else ""
            left = connection.execute(f"SELECT EXISTS (SELECT FROM {table} {due})").fetchone()  # noqa: S608 - ours
            if left != (False,):
                raise RuntimeError(f"{table} was not purged")


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


def _purged_meanwhile(ours: Ours, per_s: float) -> tuple[dict[str, float], list[Answer]]:
    with cpu.on_core(cpu.SERVER_CORE):
        worker = subprocess.Popen(
            [sys.executable, "-c", _PURGE, ours.sandbox.database_url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
    assert worker.stdin is not None
    assert worker.stdout is not None
    worker.stdout.readline()
    answers = _load(ours, per_s, lambda: print(file=worker.stdin, flush=True))
    out, _ = worker.communicate()
    took: dict[str, float] = json.loads(out)
    return took, answers


def _seed(ours: Ours, identifiers: str) -> None:
    with ours.database() as connection:
        # What came in half an hour was vacuumed long ago; a vacuum just now would keep the table from being emptied.
        connection.execute(f"ALTER TABLE {identifiers} SET (autovacuum_enabled = off)")
        connection.execute(
            f"INSERT INTO {identifiers} SELECT substr(sha256(i::text::bytea), 1, 16), 'd'"  # noqa: S608 - our own names
            f" FROM generate_series(1, {IDENTIFIERS}) i"
        )
        connection.execute(
            "INSERT INTO access_token SELECT sha256(i::text::bytea), c.id, c.citizen_id, c.client_id, '[]', '{}',"  # noqa: S608
            " 'jkt', now() - interval '3 days', now() - interval '2 days', NULL"
            f" FROM generate_series(1, {TOKENS}) i, (SELECT * FROM consent LIMIT 1) c"
        )
        connection.execute("CHECKPOINT")  # what was written hours ago has reached the disk hours ago


def _p99_ms(answers: Sequence[Answer]) -> float:
    return 1000 * percentile([answer.latency_s for answer in answers], 99)
