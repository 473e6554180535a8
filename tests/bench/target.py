"""What is measured: a running provider, its processes and the people signed in to it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from tests.bench.browser import Browser
from tests.bench.http_pump import Pump
from tests.bench.meter import Meter
from tests.bench.steps import Journey, Provider


class Afterwards(Protocol):
    """What a target can do beyond the common journey, measured after each batch of journeys."""

    def run(self, journeys: list[Journey], meter: Meter, pump: Pump) -> None: ...


@dataclass(frozen=True)
class Target:
    """A running provider.

    parts: "server", "database", ... -> the roots of its process trees. groups: of browsers that are signed in, one for
    each journey of a batch, because journeys of one session that overlap would end each other in some providers; the
    next batch is the next group's, without end.
    """

    name: str
    provider: Provider
    parts: dict[str, tuple[int, ...]]
    groups: Iterator[list[Browser]]
    afterwards: Afterwards | None = None
