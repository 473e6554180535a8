"""kill -9 at each edge of a dataset token's life.

Fetches are led to their edges and held there by the relays; then, while all stand still, a server is killed. Promised
are never two complete deliveries, and a record that tells all that was answered; a lease that nobody can end any more
runs out and is then on the record as spent with unknown outcome.
"""

from collections import Counter
from dataclasses import dataclass
from typing import Literal

import pytest

from client_examples.sandbox.checker import LARGE
from tests.crashes.relay import Hold
from tests.crashes.world import SMALL, Token, World

pytestmark = pytest.mark.race
MID_STREAM_BYTES = 5_000_000


@dataclass(frozen=True)
class Edge:
    """Where a fetch is held, and what the record must say after `token.issued` once its server was killed there."""

    name: str
    dataset: str
    link: Literal["server", "proxy", "agency"]
    mark: bytes
    at: Literal["request", "answer"]
    record: tuple[str, ...]
    after_bytes: int = 0

    def hold(self, world: World, token: Token) -> Hold:
        return world.relays[self.link].hold(token.mark, self.mark, at=self.at, after_bytes=self.after_bytes)


UNKNOWN = ("leased", "spent_unknown")
BEGUN = ("leased", "delivering", "spent_unknown")
EXCHANGE, GATE, DONE = b"token-exchange", b"outcome=delivering", b"outcome=delivered"
EDGES = (
    Edge("before the exchange", SMALL, "server", EXCHANGE, "request", ()),
    Edge("exchange not answered", SMALL, "server", EXCHANGE, "answer", UNKNOWN),
    Edge("agency not asked yet", SMALL, "agency", b"GET /ris/datasets", "request", UNKNOWN),
    Edge("agency answers", SMALL, "agency", b"GET /ris/datasets", "answer", UNKNOWN),
    Edge("before the gate", LARGE, "server", GATE, "request", UNKNOWN),
    Edge("gate not answered", LARGE, "server", GATE, "answer", BEGUN),
    Edge("mid-stream", LARGE, "proxy", b"GET /data", "answer", BEGUN, MID_STREAM_BYTES),
    Edge("last chunk held back", LARGE, "server", DONE, "request", BEGUN),
    Edge("large delivery not answered", LARGE, "server", DONE, "answer", ("leased", "delivering", "delivered")),
    Edge("small one held back", SMALL, "server", DONE, "request", UNKNOWN),
    Edge("small delivery not answered", SMALL, "server", DONE, "answer", ("leased", "delivered")),
)


@pytest.mark.parametrize("victim", ["proxy", "server"])
def test_no_crash_makes_two_deliveries_or_loses_an_entry(world: World, victim: str) -> None:
    fresh = world.pairs(1 + sum(edge.dataset == SMALL for edge in EDGES))
    of_kind = {kind: [token for token in fresh if token.dataset == kind] for kind in (LARGE, SMALL)}
    finished = of_kind[SMALL].pop()
    assert world.fetch(finished) == 200
    led = {edge: of_kind[edge.dataset].pop() for edge in EDGES}
    holds = {edge: edge.hold(world, token) for edge, token in led.items()}
    fetches = {edge: world.begin_fetch(token) for edge, token in led.items()}
    for edge, hold in holds.items():
        hold.wait_until_reached(by=fetches[edge])

    world.sandbox.kill(victim)
    for edge, hold in holds.items():
        # What a dead proxy was about to send is gone with it; an agency or a client that still lives goes on.
        hold.release(drop=victim == "proxy" or edge.link == "server")
    first = {edge.name: fetch.result() for edge, fetch in fetches.items()}
    world.sandbox.restart(victim)
    assert 200 not in first.values(), first
    world.let_leases_run_out()

    told = {edge.name: world.record(token) for edge, token in led.items()}
    assert told == {edge.name: Counter(("issued", *edge.record)) for edge in EDGES}
    again = {edge.name: world.fetch(token) for edge, token in led.items()}
    assert again == {edge.name: 401 if edge.record else 200 for edge in EDGES}
    assert world.fetch(finished) == 401
    complete = {edge.name: token.complete for edge, token in led.items()}
    assert complete == {edge.name: 0 if edge.record else 1 for edge in EDGES}
    assert world.record(finished) == Counter(("issued", "leased", "delivered"))
