"""What is measured: a running provider, its processes and the people signed in to it."""

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

    parts: "server", "database", ... -> the roots of its process trees. browsers: signed in, one per journey of a batch,
    because journeys of one session that overlap would end each other in some providers.
    """

    name: str
    provider: Provider
    parts: dict[str, tuple[int, ...]]
    browsers: list[Browser]
    afterwards: Afterwards | None = None
