"""Statements and commits per request, as PostgreSQL itself saw them: from its log, after the measured rounds."""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from client_examples.sandbox.postgres import PostgresServer
from tests.bench.journey import Driver
from tests.bench.meter import Figures, Meter
from tests.bench.ours import Ours
from tests.bench.rounds import pump_to

_LOGGED = re.compile(rb"^bench LOG:  (?:statement|execute [^:]*): *(\w+)", re.MULTILINE)
_FRAME = frozenset({b"BEGIN", b"COMMIT", b"ROLLBACK"})
_TRIALS = 4
_LATE_S = 0.1  # what follows an answer, such as the ROLLBACK of a connection that goes back to its pool


@dataclass
class Seen:
    """What one kind of operation did to the database, summed over `operations`."""

    statements: int = 0
    commits: int = 0
    rollbacks: int = 0


class StatementMeter(Meter):
    """Books the log of the database instead of CPU."""

    def __init__(self, postgres: PostgresServer) -> None:
        super().__init__({})
        self.seen: dict[str, Seen] = {}
        self._log = postgres.log_file

    @contextmanager
    def measuring(self, kind: str) -> Iterator[Figures]:
        start = self._log.stat().st_size
        with super().measuring(kind) as figures:
            yield figures
        time.sleep(_LATE_S)
        words = _LOGGED.findall(self._log.read_bytes()[start:])
        seen = self.seen.setdefault(kind, Seen())
        seen.statements += sum(word.upper() not in _FRAME for word in words)
        seen.commits += words.count(b"COMMIT")
        seen.rollbacks += words.count(b"ROLLBACK")


def count(ours: Ours) -> dict[str, tuple[float, float, float]]:
    """Statements, commits and rollbacks per operation of each kind. The worker is stopped for good.

    The least of some trials: once a second some request also looks whether the registry of clients has changed.
    """
    ours.sandbox.processes["worker"].stop()
    with ours.postgres.connect() as connection:
        connection.execute("ALTER SYSTEM SET log_statement = 'all'")
        connection.execute("ALTER SYSTEM SET log_line_prefix = 'bench '")
        connection.execute("SELECT pg_reload_conf()")
    time.sleep(_LATE_S)
    trials = [_trial(ours) for _ in range(_TRIALS)]
    return {kind: min(trial[kind] for trial in trials if kind in trial) for kind in trials[0]}


def _trial(ours: Ours) -> dict[str, tuple[float, float, float]]:
    target = ours.target
    meter = StatementMeter(ours.postgres)
    with pump_to(target, 1) as pump:
        # Two journeys: the token of one is exchanged directly, that of the other through the proxy.
        journeys = Driver(target.provider, pump, meter).run(next(target.groups)[:2])
        if target.afterwards is not None:
            target.afterwards.run(journeys, meter, pump)
    operations = {kind: meter.of(kind).operations for kind in meter.seen}
    return {
        kind: (seen.statements / operations[kind], seen.commits / operations[kind], seen.rollbacks / operations[kind])
        for kind, seen in meter.seen.items()
        if operations[kind]
    }
