"""Far more at once than can be served: what is let in, how soon the others are told, and that they lost nothing."""

from collections.abc import Sequence
from contextlib import closing
from urllib.parse import urlsplit

from tests.bench import report
from tests.bench.budgets import Budget, Section
from tests.bench.http_pump import Answer, Pump
from tests.bench.meter import percentile
from tests.bench.ours import Ours
from tests.bench.steps import Journey, Steps

CONNECTIONS = 600
TIMES = 4  # what the server can do
SECONDS = 4.0
CALIBRATING = 600
ADMITTED_P99_MS = 1000.0


def measure(ours: Ours) -> Section:
    """Pushed requests in an open loop at several times the rate that a closed loop reaches."""
    capacity = _capacity(ours)
    before = _count(ours)
    answers = _flood(ours, _pushes(ours, int(TIMES * capacity * SECONDS)), TIMES * capacity)
    created = _count(ours) - before
    admitted, refused = ([answer for answer in answers if answer.status == status] for status in (201, 503))
    others = len(answers) - len(admitted) - len(refused)
    told = sum(answer.header("retry-after") is not None and b'"error"' in answer.body for answer in refused)
    rows = [
        [name, str(len(group)), *(f"{_ms(group, percent):.0f}" for percent in (50, 99, 100))]
        for name, group in (("admitted: 201", admitted), ("refused: 503", refused))
    ]
    p99_ms = _ms(admitted, 99)
    text = f"""## Overload

Pushed requests for {SECONDS:g} s at {TIMES} times the {capacity:.0f} per second that {CONNECTIONS // 100 * 4} busy
connections get, over {CONNECTIONS} connections that never wait for each other. Every one is counted from when it was
due. Of the {len(refused)} refused {told} had Retry-After and an OAuth error; {others} answers were anything else.
The database holds {created} new requests, {len(admitted)} were admitted: a refused one left nothing behind.

{report.table(["answer", "requests", "p50 ms", "p99 ms", "longest ms"], rows)}

Meanwhile {len(admitted) / SECONDS:.0f} per second were served."""
    sound = bool(refused) and told == len(refused) and not others and created == len(admitted)
    return Section(
        text,
        [
            Budget("overload: p99 of what is admitted, ms", f"< {ADMITTED_P99_MS:g}", f"{p99_ms:.0f}", p99_ms < 1000),
            Budget(
                "overload: refused early, with Retry-After, and nothing lost",
                "all",
                f"{told} of {len(refused)}",
                sound,
            ),
        ],
    )


def _capacity(ours: Ours) -> float:
    """Pushed requests per second of a closed loop."""
    ready = _pushes(ours, CALIBRATING)
    parts = urlsplit(ours.target.provider.issuer)
    with closing(Pump(parts.hostname or "", parts.port or 0, CONNECTIONS // 100 * 4)) as pump:
        answers = pump.send(ready[: CALIBRATING // 3])
        answers = pump.send(ready[CALIBRATING // 3 :])
    return pump.connections * len(answers) / sum(answer.latency_s for answer in answers)


def _pushes(ours: Ours, count: int) -> list[bytes]:
    steps = Steps(ours.target.provider)
    journey = Journey(next(ours.target.groups)[0])
    return [steps.push(journey) for _ in range(count)]


def _flood(ours: Ours, ready: Sequence[bytes], per_s: float) -> list[Answer]:
    parts = urlsplit(ours.target.provider.issuer)
    with closing(Pump(parts.hostname or "", parts.port or 0, CONNECTIONS)) as pump:
        return pump.send_paced(ready, per_s)


def _count(ours: Ours) -> int:
    with ours.database() as connection:
        row = connection.execute("SELECT count(*) FROM authorization_request").fetchone()
    return int(str(row[0])) if row else 0


def _ms(answers: Sequence[Answer], percent: int) -> float:
    return 1000 * percentile([answer.latency_s for answer in answers], percent)
