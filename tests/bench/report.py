"""The figures as Markdown tables: one text for the terminal and for docs/performance.md."""

import math
from collections.abc import Mapping, Sequence

from tests.bench.journey import JOURNEY
from tests.bench.meter import Figures, Rounds

COUNTED = ("server", "proxy", "database")  # parts whose CPU a request costs; the worker is shown on its own
_BEYOND = ("exchange", "outcome", "fetch 1 KB", "fetch 20 MB")


def cost_us(figures: Figures) -> float:
    """CPU microseconds per operation of everything the request waits for."""
    return sum(figures.cpu_us(part) for part in COUNTED)


def journey_us(rounds: Rounds) -> float:
    return sum(rounds.median(kind, cost_us) for kind in JOURNEY)


def journey_table(results: Mapping[str, Rounds]) -> str:
    """One row per target: the journey's cost, its parts, speed and errors."""
    head = ["server", "journey", "app / db", "least–most", "journeys/s", "p50 / p99 ms", *JOURNEY, "userinfo", "errors"]
    rows = []
    for name, rounds in results.items():
        app, database = (_sum(rounds, part) for part in ("server", "database"))
        least, most = _spread(rounds)
        wall_s = sum(rounds.median(kind, lambda figures: figures.wall_s / figures.operations) for kind in JOURNEY)
        rows.append(
            [
                name,
                _us(journey_us(rounds)),
                f"{_us(app)} / {_us(database)}",
                f"{_us(least)}–{_us(most)}",
                f"{1 / wall_s:.0f}",
                f"{rounds.percentile_ms('journey', 50):.1f} / {rounds.percentile_ms('journey', 99):.1f}",
                *(_us(rounds.median(kind, cost_us)) for kind in JOURNEY),
                _us(rounds.median("userinfo", cost_us)),
                str(rounds.errors()),
            ]
        )
    return table(head, rows)


def fetch_table(rounds: Rounds) -> str:
    """What the dataset token's use costs, part by part."""
    head = ["operation", "CPU in all", "server", "proxy", "database", "per s", "p50 / p99 ms", "first byte p50 ms"]
    rows = []
    for kind in _BEYOND:
        per_s = rounds.median(kind, lambda figures: figures.operations / figures.wall_s)
        rows.append(
            [
                kind,
                _us(rounds.median(kind, cost_us)),
                *(
                    _us(rounds.median(kind, lambda figures, part=part: figures.cpu_us(part)))  # type: ignore[misc]
                    for part in ("server", "proxy", "database")
                ),
                f"{per_s:.0f}",
                f"{rounds.percentile_ms(kind, 50):.1f} / {rounds.percentile_ms(kind, 99):.1f}",
                f"{rounds.percentile_ms(kind, 50, first_byte=True):.1f}",
            ]
        )
    return table(head, rows)


def statement_table(seen: Mapping[str, tuple[float, float, float]]) -> str:
    head = ["request", "statements", "commits", "rollbacks"]
    return table(head, [[kind, *(f"{value:g}" for value in values)] for kind, values in seen.items()])


def worker_us(rounds: Rounds) -> float:
    """The worker's CPU per journey, wherever in the journey it fell."""
    kinds = (*JOURNEY, "userinfo", *_BEYOND)
    total = sum(
        figures[kind].cpu_s.get("worker", 0.0) for figures in rounds.rounds for kind in kinds if kind in figures
    )
    journeys = sum(figures["journey"].operations for figures in rounds.rounds)
    return 1e6 * total / max(journeys, 1)


def failures(results: Mapping[str, Rounds]) -> list[str]:
    """The first failure of each kind of request, of each target."""
    return [
        f"{name}, {kind}: {figures.errors} errors, the first: {figures.first_failure}"
        for name, rounds in results.items()
        for each in rounds.rounds
        for kind, figures in each.items()
        if figures.errors
    ]


def _sum(rounds: Rounds, part: str) -> float:
    return sum(rounds.median(kind, lambda figures: figures.cpu_us(part)) for kind in JOURNEY)


def _spread(rounds: Rounds) -> tuple[float, float]:
    totals = [sum(cost_us(figures[kind]) for kind in JOURNEY) for figures in rounds.rounds]
    return min(totals), max(totals)


def _us(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.0f}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table whose columns line up in a terminal too."""
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]

    def line(cells: Sequence[str]) -> str:
        first, *others = cells
        padded = [first.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True))]
        return f"| {' | '.join(padded)} |"

    rule = "|" + "|".join(["-" * (widths[0] + 2), *("-" * (width + 1) + ":" for width in widths[1:])]) + "|"
    return "\n".join([line(head), rule, *map(line, rows)])
