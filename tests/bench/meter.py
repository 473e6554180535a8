"""Counts, CPU and latencies per kind of request, of one round or of many."""

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.bench import cpu


@dataclass
class Figures:
    """What one kind of operation cost in one round."""

    operations: int = 0
    requests: int = 0
    errors: int = 0
    first_failure: str | None = None
    wall_s: float = 0.0
    cpu_s: dict[str, float] = field(default_factory=dict)
    latencies_s: list[float] = field(default_factory=list)
    first_bytes_s: list[float] = field(default_factory=list)

    def cpu_us(self, part: str) -> float:
        """CPU microseconds of that part of the target per operation."""
        return 1e6 * self.cpu_s.get(part, 0.0) / max(self.operations, 1)

    def total_us(self) -> float:
        return sum(self.cpu_us(part) for part in self.cpu_s)


class Meter:
    """Reads the CPU clocks of a target's processes around what is measured.

    Args: parts: name of a part ("server", "database", ...) -> the roots of its process trees. A root of one part is
        booked there alone, whichever part's process has started it.
    """

    def __init__(self, parts: dict[str, tuple[int, ...]]) -> None:
        self.parts = parts
        self._roots = frozenset(pid for pids in parts.values() for pid in pids)
        self.figures: dict[str, Figures] = {}

    def of(self, kind: str) -> Figures:
        return self.figures.setdefault(kind, Figures(cpu_s=dict.fromkeys(self.parts, 0.0)))

    @contextmanager
    def measuring(self, kind: str) -> Iterator[Figures]:
        figures = self.of(kind)
        before = {part: cpu.used_s(pids, others=self._roots) for part, pids in self.parts.items()}
        started = time.perf_counter()
        yield figures
        figures.wall_s += time.perf_counter() - started
        for part, pids in self.parts.items():
            figures.cpu_s[part] += cpu.used_s(pids, others=self._roots) - before[part]


@dataclass
class Rounds:
    """All the rounds of one target: medians of costs over the rounds, percentiles over every latency."""

    rounds: list[dict[str, Figures]] = field(default_factory=list)

    def kinds(self) -> list[str]:
        return list(dict.fromkeys(kind for figures in self.rounds for kind in figures))

    def median(self, kind: str, of: Callable[[Figures], float]) -> float:
        values = [of(figures[kind]) for figures in self.rounds if kind in figures and figures[kind].operations]
        return statistics.median(values) if values else float("nan")

    def percentile_ms(self, kind: str, percent: int, *, first_byte: bool = False) -> float:
        values: list[float] = []
        for figures in self.rounds:
            if kind in figures:
                values += figures[kind].first_bytes_s if first_byte else figures[kind].latencies_s
        return 1000 * percentile(values, percent)

    def errors(self) -> int:
        return sum(figures.errors for each in self.rounds for figures in each.values())


def percentile(values: Sequence[float], percent: int) -> float:
    """Nearest rank."""
    if not values:
        return float("nan")
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]
