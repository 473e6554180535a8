"""How long people and banks wait: a fetch at half load, and how much of that is ours."""

import math
import statistics
import time
from collections.abc import Sequence
from contextlib import closing
from urllib.parse import urlsplit

from authz_server.worker import EVERY_S
from tests.bench import report
from tests.bench.agency import SMALL_BYTES
from tests.bench.browser import UnexpectedAnswer, request
from tests.bench.budgets import Budget, Section
from tests.bench.http_pump import Answer, Pump
from tests.bench.journey import Driver
from tests.bench.meter import Meter, Rounds, percentile
from tests.bench.ours import SMALL_DATASET, Ours
from tests.bench.rounds import pump_to
from tests.bench.steps import Journey
from tests.support.waiting import wait_until

FETCHES = 192
ROUNDS = 5
CONNECTIONS = 64
ADDED_P95_MS = 15.0
JOURNEY_P99_MS = 38.0


def measure(ours: Ours, rounds: Rounds, connections: int) -> Section:
    """Fetches of 1 KB in an open loop at half of what closed loops reached, through the proxy and from the agency."""
    per_s = rounds.median("fetch 1 KB", lambda figures: figures.operations / figures.wall_s) / 2
    agency, _, _ = SMALL_DATASET.partition(".")
    from_agency = request("GET", f"{ours.sandbox.agency_url}/{agency}/datasets/{SMALL_DATASET}", {})
    through, direct = [], []
    for _ in range(ROUNDS):
        ready = [ours.fetches.request_for(journey) for journey in journeys_through(ours, FETCHES)]
        _let_everybody_be_told(ours)
        through.append(_paced(ours.sandbox.proxy_url, ready, per_s))
        direct.append(_paced(ours.sandbox.agency_url, [from_agency] * FETCHES, per_s))
    added_ms = statistics.median(
        _ms(answers, 95) - _ms(bare, 95) for answers, bare in zip(through, direct, strict=True)
    )
    journey_ms = rounds.percentile_ms("journey", 99)
    rows = [
        [name, *(f"{statistics.median(_ms(answers, percent) for answers in each):.1f}" for percent in (50, 95, 99))]
        for name, each in (("through the proxy", through), ("from the agency itself", direct))
    ]
    refused = sum(answer.status == 503 for answers in through for answer in answers)
    text = f"""## Latency at half load

The goal for the p99 of a journey was set for a plain one, without pushed request, page and proof of possession.

Fetches of 1 KB on loopback, {per_s:.0f} per second: half of what the core sustains. They are sent when they
are due, whether or not earlier ones are answered (an open loop), and latency counts from then. Meanwhile the worker
sends a letter for each. Medians of {ROUNDS} rounds of {FETCHES} fetches; {refused} in all were told to come back (503),
and count as never answered. Milliseconds:

{report.table(["fetch", "p50", "p95", "p99"], rows)}"""
    return Section(
        text,
        [
            Budget(
                f"p99 of the journey at {connections} connections, ms",
                f"<= {JOURNEY_P99_MS:g}",
                f"{journey_ms:.1f}",
                journey_ms <= JOURNEY_P99_MS,
            ),
            Budget(
                "p95 that the platform adds to a fetch of 1 KB at half load, ms",
                f"<= {ADDED_P95_MS:g}",
                f"{added_ms:.1f}",
                added_ms <= ADDED_P95_MS,
            ),
        ],
    )


def _let_everybody_be_told(ours: Ours) -> None:
    """Wait for the letters of the journeys that led here: those came at full load, and are no part of half of it."""
    time.sleep(2 * EVERY_S)  # the worker looks for what happened, then for what is due
    due = "SELECT EXISTS (SELECT FROM notice WHERE due_at IS NOT NULL)"
    with ours.database() as connection:
        wait_until(lambda: connection.execute(due).fetchone() == (False,), "the worker keeps up")


def journeys_through(ours: Ours, wanted: int) -> list[Journey]:
    """As many journeys, up to their tokens."""
    target = ours.target
    journeys: list[Journey] = []
    with pump_to(target, 8) as pump:
        while len(journeys) < wanted:
            journeys += Driver(target.provider, pump, Meter({})).run(next(target.groups), userinfo=False)
    return journeys[:wanted]


def _paced(url: str, ready: Sequence[bytes], per_s: float) -> list[Answer]:
    parts = urlsplit(url)
    with closing(Pump(parts.hostname or "", parts.port or 0, CONNECTIONS)) as pump:
        answers = pump.send_paced(ready, per_s)
    for answer in answers:
        if answer.status != 503 and (answer.status != 200 or abs(answer.size_bytes - SMALL_BYTES) > 4):
            raise UnexpectedAnswer("fetch 1 KB at half load", answer)
    return answers


def _ms(answers: Sequence[Answer], percent: int) -> float:
    return 1000 * percentile([answer.latency_s if answer.status == 200 else math.inf for answer in answers], percent)
