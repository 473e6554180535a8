"""`make bench`: measure this server beside node-oidc-provider on the FAPI 2.0 journey; print and write the tables."""

import argparse
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from tests.bench import (
    cpu,
    document,
    latency,
    ours,
    overload,
    peer,
    purging,
    report,
    rows,
    scaling,
    statements,
    withdrawal,
)
from tests.bench.budgets import Section
from tests.bench.meter import Rounds
from tests.bench.ours import Ours
from tests.bench.rounds import Plan, measure
from tests.bench.target import Target

# In its in-memory store the peer keeps 1000 entries, about 15 of them per journey: more at once and it forgets some.
SESSIONS = 48
BATCHES_AFTERWARDS = 26  # for the latency at half load, and for withdrawals


@dataclass(frozen=True)
class Running:
    """What was started: the targets in the order of the table, and ours to look closer at."""

    targets: Sequence[Target]
    ours: Ours | None


def main() -> int:
    options = _options()
    plan = Plan(options.rounds, options.batches, options.warm_up, options.connections)
    try:
        with _running(options, plan) as running:
            # From here on this process is the load, and nothing else of it runs on the server's core.
            os.sched_setaffinity(0, {cpu.LOAD_CORE})
            results = measure(running.targets, plan)
            sections = _under_load(running.ours, results, options) if running.ours else []
            seen = statements.count(running.ours) if running.ours else {}
            versions = document.versions(running.ours, with_peer=len(running.targets) > 1)
        if sections:  # whose servers of their own need the cores for themselves
            os.sched_setaffinity(0, {cpu.SERVER_CORE, cpu.LOAD_CORE})
            sections += [scaling.measure(), rows.measure(options.entries)]
        text = document.write_up(results, seen, running.ours, plan, sections, versions)
    except peer.MissingProgram as missing:
        print(missing, file=sys.stderr)
        return 1
    print(text)
    _say_failures(results)
    if options.write:
        document.PATH.write_text(text + "\n", encoding="utf-8")
    return 0


def _under_load(own: Ours, results: Mapping[str, Rounds], options: argparse.Namespace) -> list[Section]:
    """What takes a running server; the last part stops its worker for good."""
    if not options.budgets:
        return []
    rounds = results[ours.NAME]
    half = rounds.median("PAR", lambda figures: figures.operations / figures.wall_s) / 2
    return [
        latency.measure(own, rounds, options.connections),
        withdrawal.measure(own),
        overload.measure(own),
        purging.measure(own, half),
    ]


@contextmanager
def _running(options: argparse.Namespace, plan: Plan) -> Iterator[Running]:
    with ExitStack() as stack:
        targets, own = [], None
        if options.only != "peer":
            own = stack.enter_context(ours.running(SESSIONS, batches=plan.batches + BATCHES_AFTERWARDS))
            targets.append(own.target)
        if options.only != "ours":
            peer.install()
            targets.append(stack.enter_context(peer.on_redis(SESSIONS)))
            if options.only != "redis":
                targets.append(stack.enter_context(peer.on_redis(SESSIONS, durable=True)))
                targets.append(stack.enter_context(peer.in_memory(SESSIONS)))
        yield Running(targets, own)


def _say_failures(results: dict[str, Rounds]) -> None:
    for failure in report.failures(results):
        print(failure, file=sys.stderr)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="measured rounds per target, interleaved (default 5)")
    parser.add_argument("--batches", type=int, default=4, help=f"batches of {SESSIONS} journeys per round (default 4)")
    parser.add_argument("--warm-up", type=int, default=10, help="unmeasured batches before the rounds (default 10)")
    parser.add_argument("--connections", type=int, default=8, help="simultaneous connections (default 8)")
    parser.add_argument(
        "--only", choices=("ours", "peer", "redis"), help="leave the others out; redis: ours and the peer on Redis"
    )
    parser.add_argument("--no-budgets", dest="budgets", action="store_false", help="journeys and fetches only")
    parser.add_argument(
        "--entries", type=int, default=rows.ENTRIES, help=f"entries of the record to grow to (default {rows.ENTRIES})"
    )
    parser.add_argument("--no-write", dest="write", action="store_false", help="leave docs/performance.md alone")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
