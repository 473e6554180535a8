"""Two server processes on two cores against one on one, on a machine whose load takes part of the second core."""

import statistics
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import astuple, dataclass
from urllib.parse import urlsplit

from tests.bench import cpu, ours, report
from tests.bench.budgets import Budget, Section
from tests.bench.http_pump import Pump
from tests.bench.steps import Journey, Steps

CONNECTIONS = 24
REQUESTS = 800  # twice a round
ROUNDS = 9
AT_LEAST = 1.8
_COUNT = """
import time
count = 0
while time.process_time() < 1:
    count += sum(range(2000)) > 0
print(count)
"""


@dataclass(frozen=True)
class Run:
    """One round: requests per second, and what the cores did meanwhile, in seconds per second."""

    per_s: float
    server: float
    database: float
    free: float  # cores that the servers used or could have used: neither the load's nor somebody else's

    @property
    def per_core(self) -> float:
        """Requests per second of one core that is there for the servers alone."""
        return self.per_s / self.free


def measure() -> Section:
    """The same pushed requests against one process bound to one core, and against two that have both."""
    ceiling = statistics.median(_ceiling() for _ in range(ROUNDS))
    one, two = _runs()
    times = 2 * statistics.median(run.per_core for run in two) / statistics.median(run.per_core for run in one)
    rows = [
        [
            name,
            *(
                f"{statistics.median(values):.{digits}f}"
                for digits, values in (
                    (0, [run.per_s for run in runs]),
                    (2, [run.server for run in runs]),
                    (2, [run.database for run in runs]),
                    (2, [run.free for run in runs]),
                    (0, [run.per_core for run in runs]),
                )
            ),
        ]
        for name, runs in (("one process, one core", one), ("two processes, two cores", two))
    ]
    measured = f"{times:.2f} (counting alone: {ceiling:.2f})"
    text = f"""## Two processes on two cores

{2 * REQUESTS} pushed requests, made beforehand and sent over {CONNECTIONS} connections as cheaply as Python can;
medians of {ROUNDS} rounds, of one and of two in turn. Each process stays on a core of its own (`bind_cores`). This
machine has two cores, and the load needs a part of one, so the bare quotient of requests per second would be about the
load. Counted is what the servers made of the cores that were there for them: "free" is what they and their database
used, and what was left idle. One of two processes has the load on its core, and a request costs more where two programs
share a core's caches, however many processes there are; so the one process has it there in half of each round. Two
cores then give {times:.2f} times what one gives.

Two cores need not be twice one: two processes that only count, and share nothing, get {ceiling:.2f} times one here.

It shows what two processes lose to each other: waiting for locks and commits, and caches they share. It does not show
more than two processes, nor a database on another host, where a round trip costs more and its core is free.

{report.table(["", "per s", "server cores", "database cores", "free cores", "per s and free core"], rows)}"""
    return Section(
        text, [Budget("two processes on two cores, times one", f">= {AT_LEAST:g}", measured, times >= AT_LEAST)]
    )


def _ceiling() -> float:
    """What two processes count in a second of CPU each, times what one counts while the other core rests."""
    (alone,) = _count(cpu.SERVER_CORE)
    return sum(_count(cpu.SERVER_CORE, cpu.LOAD_CORE)) / alone


def _count(*cores: int) -> list[int]:
    counting = []
    for core in cores:
        with cpu.on_core(core):
            counting.append(subprocess.Popen([sys.executable, "-c", _COUNT], stdout=subprocess.PIPE, text=True))
    return [int(process.communicate()[0]) for process in counting]


def _runs() -> tuple[list[Run], list[Run]]:
    """Rounds of one process and of two, in turn: whatever else the machine does meanwhile troubles both alike."""
    with ours.running(1, workers=1) as one, ours.running(1, workers=2) as two:
        # The first round warms up.
        rounds = [(_round(one, cores=1), _round(two, cores=2)) for _ in range(ROUNDS + 1)][1:]
    return [first for first, _ in rounds], [second for _, second in rounds]


def _round(running: ours.Ours, cores: int) -> Run:
    """Half of it with the load on the one core, half with it on the other."""
    halves = []
    for core in (cpu.SERVER_CORE, cpu.LOAD_CORE):
        with cpu.on_core(core):
            halves.append(astuple(_run(running, cores)))
    return Run(*map(statistics.mean, zip(*halves, strict=True)))


def _run(running: ours.Ours, cores: int) -> Run:
    steps, journey = Steps(running.target.provider), Journey(next(running.target.groups)[0])
    ready = [steps.push(journey) for _ in range(REQUESTS)]
    parts = urlsplit(running.target.provider.issuer)
    with closing(Pump(parts.hostname or "", parts.port or 0, CONNECTIONS)) as pump:
        server, database = (cpu.used_s(running.target.parts[name]) for name in ("server", "database"))
        idle, start = cpu.idle_s(cores), time.perf_counter()
        pump.send(ready)
        wall = time.perf_counter() - start
    used = [
        cpu.used_s(running.target.parts[name]) - before for name, before in (("server", server), ("database", database))
    ]
    return Run(REQUESTS / wall, used[0] / wall, used[1] / wall, (sum(used) + cpu.idle_s(cores) - idle) / wall)
