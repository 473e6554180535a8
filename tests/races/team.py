"""Sixteen racers in four processes, and rounds in which all of them start at once."""

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from random import Random
from typing import Any

import orjson

from tests.support.tree import ROOT

PROCESSES = 4
THREADS = 4
RACERS = PROCESSES * THREADS

Act = tuple[str, dict[str, Any]]


class Team:
    """Processes that wait for a start signal."""

    def __init__(self, program: subprocess.Popen[bytes]) -> None:
        self._program = program
        self._random = Random(1)

    def race(self, *acts: Act) -> Counter[str]:
        """Let the racers do these acts at once, each kind as often as any other; how many of them ended how."""
        (ended,) = self.races([acts])
        return ended

    def races(self, rounds: Sequence[Sequence[Act]]) -> list[Counter[str]]:
        """Several rounds without a pause between them: all start at once, and each does its part of every round.

        Who gets which act changes from round to round, so that none is always a little earlier.
        """
        shares: list[list[Act]] = [[] for _ in range(RACERS)]
        for acts in rounds:
            share = [acts[number % len(acts)] for number in range(RACERS)]
            self._random.shuffle(share)
            for racer, act in enumerate(share):
                shares[racer].append(act)
        assert self._program.stdin is not None
        self._program.stdin.write(orjson.dumps(shares) + b"\n")
        self._program.stdin.flush()
        ended = orjson.loads(self._line())
        return [Counter(of_racer[number] for of_racer in ended) for number in range(len(rounds))]

    def wait_until_ready(self) -> None:
        assert self._line() == b"ready"

    def _line(self) -> bytes:
        assert self._program.stdout is not None
        answer = self._program.stdout.readline().strip()
        assert answer, f"the racers ended: {self._program.wait(10)}"
        return answer


@contextmanager
def started(database_url: str) -> Iterator[Team]:
    """Start the racers on a database; they end with the block."""
    command = [sys.executable, "-m", "tests.races.racer", database_url, str(PROCESSES), str(THREADS)]
    # Leaving it closes its input, which ends it, and waits.
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as program:
        team = Team(program)
        team.wait_until_ready()
        yield team
