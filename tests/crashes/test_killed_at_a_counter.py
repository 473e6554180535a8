"""kill -9 of server, proxy, desk and database around the redemption of a barcode, and on to the end of the fetch.

Visits are led to their edges and held there by the relays; then, while all stand still, one of them is killed.
Promised are never two complete deliveries, a record that tells all that was answered, and a barcode that stays used.
"""

import re
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Literal

import pytest
import requests

from client_examples.sandbox import promises
from client_examples.sandbox.browser import Browser, Page
from client_examples.sandbox.citizens import OFFICE
from tests.crashes.relay import Hold
from tests.crashes.test_database_killed import database_answers, kill_a_backend
from tests.crashes.world import World, until

pytestmark = pytest.mark.race
DONE = 'data-status="done"'
ENDS = ("delivered", "failed", "no_record", "preparing", "revoked", "spent_unknown")


@dataclass(frozen=True)
class Edge:
    """Where a visit is held; without a mark the clerk has not looked yet. `redeemed`: whether its barcode was."""

    name: str
    victims: str
    link: Literal["server", "proxy", "agency"] = "server"
    mark: bytes = b""
    at: Literal["request", "answer"] = "answer"
    redeemed: bool = True

    @property
    def redeeming(self) -> bool:
        return b"pre-authorized" in self.mark


GRANT, EXCHANGE = b"grant-type%3Apre-authorized_code", b"grant-type%3Atoken-exchange"
EDGES = (
    Edge("not redeemed yet", "server desk", mark=GRANT, at="request", redeemed=False),
    Edge("redemption not answered", "server desk", mark=GRANT),
    Edge("redeemed, not fetched", "server proxy desk"),
    Edge("before the exchange", "proxy desk", mark=EXCHANGE, at="request"),
    Edge("exchange not answered", "proxy", mark=EXCHANGE),
    Edge("agency answers", "proxy desk", "agency", b"GET /ris/datasets"),
    Edge("delivery not answered", "server", mark=b"outcome=delivered"),
)


@dataclass
class Visit:
    """A citizen and a clerk; `page`: the clerk's."""

    reference: str
    barcode: str
    code: str
    clerk: Browser
    page: Page
    started: Future[Page] | None = field(default=None)


@pytest.mark.parametrize("victim", ["server", "proxy", "desk"])
def test_no_crash_at_a_counter_makes_two_deliveries_or_a_barcode_good_again(world: World, victim: str) -> None:
    edges = [edge for edge in EDGES if victim in edge.victims]
    visits, holds = lead(world, edges)
    world.sandbox.kill(victim)
    for edge, hold in holds:
        # What was on its way to or from the dead is gone; the others go on.
        hold.release(drop=victim == "proxy" or edge.redeeming or (victim == "server" and edge.link == "server"))
    for visit in visits.values():
        if visit.started is not None and not isinstance(visit.started.exception(), requests.RequestException | None):
            visit.started.result()
    world.sandbox.restart(victim)
    world.let_leases_run_out()

    assert {edge.name: told(world, visit)["redeemed"] for edge, visit in visits.items()} == {
        edge.name: int(edge.redeemed) for edge in edges
    }
    for edge, visit in visits.items():
        seen = look(world, visit).html.count(DONE)  # with what a desk that lived on has in hand
        page = present(world, visit)
        if edge.redeemed:
            assert (page.status, "can’t be used here now" in page.text) == (400, True), edge.name
        else:
            visit.page = page
            redeem(world, visit)
            seen += look(world, visit).html.count(DONE)
            assert seen == 1, edge.name
        record = told(world, visit)
        assert record["redeemed"] == record["issued"] == 1, (edge.name, record)
        assert record["leased"] == sum(record[end] for end in ENDS), (edge.name, record)
        assert seen <= record["delivered"] <= 1, (edge.name, record)
        if edge.name == "redeemed, not fetched":
            assert seen == (victim != "desk"), "what was not fetched yet can still be, by a desk that has the token"


@pytest.mark.parametrize("world", ["postgresql"], indirect=True)
def test_a_database_that_is_killed_at_a_counter_takes_a_barcode_once(world: World) -> None:
    visits, holds = lead(world, EDGES)
    answered = {edge: told(world, visit) for edge, visit in visits.items()}
    kill_a_backend(world)
    for _, hold in holds:
        hold.release()
    statuses = {visit.started.result().status for visit in visits.values() if visit.started is not None}
    assert statuses <= {200, 303, 400}, "the desk tells the clerk what to do"
    until(lambda: database_answers(world), "PostgreSQL does not come back")
    world.let_leases_run_out()
    for edge, visit in visits.items():
        assert answered[edge] <= told(world, visit), "what was answered is on the record"
        seen = look(world, visit).html.count(DONE)
        visit.page = present(world, visit)
        if visit.page.status == 200:
            visit.page = redeem(world, visit)
            seen += look(world, visit).html.count(DONE)
        record = told(world, visit)
        assert record["redeemed"] == record["issued"] == 1, (edge.name, record, visit.page.text)
        assert record["leased"] == sum(record[end] for end in ENDS), (edge.name, record, visit.page.text)
        assert seen <= record["delivered"] <= 1, (edge.name, record, visit.page.text)


def lead(world: World, edges: Sequence[Edge]) -> tuple[dict[Edge, Visit], list[tuple[Edge, Hold]]]:
    """Lead a visit to each edge, and hold it there."""
    visits, holds = {edge: begin(world) for edge in edges}, list[tuple[Edge, Hold]]()
    for edge, visit in visits.items():
        if not edge.redeeming:
            redeem(world, visit)
        if edge.mark:
            hold = world.relays[edge.link].hold(edge.mark, at=edge.at)
            holds.append((edge, hold))
            act = redeem if edge.redeeming else look
            visit.started = world.pool.submit(act, world, visit)
            hold.wait_until_reached()
    return visits, holds


def begin(world: World) -> Visit:
    """Agree to a visit, show the barcode, let the clerk announce it; the code is told."""
    browser, citizen, say = world.browser, world.sandbox.citizens[0], lambda _step: None
    page = browser.open(f"{world.sandbox.issuer}/counter/offices/{OFFICE}/proof-of-address?lang=en")
    page = promises.sign_in(browser, page, citizen, say) if promises.asked_to_sign_in(page) else page
    page = browser.submit(page, "continue")
    page = promises.sign_in(browser, page, citizen, say) if promises.asked_to_sign_in(page) else page
    page = browser.submit(browser.submit(page, "consent-approve"), "show")
    typed = re.search(r'id="typed">([^<]+)<', page.html)
    assert typed is not None, page.text
    visit = Visit(
        page.url.rpartition("/")[2], typed[1], "", Browser("en", stop_at=f"{world.sandbox.desk_url}/data"), page
    )
    visit.page = present(world, visit)
    code = re.search(r'id="code">([0-9]{6})<', browser.open(page.url).html)
    assert code is not None
    visit.code = code[1]
    return visit


def present(world: World, visit: Visit) -> Page:
    """The clerk types the barcode."""
    start = visit.clerk.open(f"{world.sandbox.desk_url}/?lang=en")
    return visit.clerk.submit(start, "barcode", fields={"barcode": visit.barcode})


def redeem(world: World, visit: Visit) -> Page:
    """The clerk enters the code; the data is not looked at yet."""
    del world
    return visit.clerk.submit(visit.page, "redeem", fields={"code": visit.code, "same": "1"})


def look(world: World, visit: Visit) -> Page:
    """The clerk looks at the data, which fetches what is there."""
    return visit.clerk.open(f"{world.sandbox.desk_url}/data")


def told(world: World, visit: Visit) -> Counter[str]:
    """What the record says of the visit's redemption and its only dataset."""
    events = world.events(visit.reference)
    kept = {
        event: count for event, count in events.items() if event.startswith("token.") or event == "counter.redeemed"
    }
    return Counter({event.partition(".")[2]: count for event, count in kept.items()})
