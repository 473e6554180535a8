"""kill -9 of a PostgreSQL backend, which makes the whole database start again, at each edge of a token's life."""

import os
import signal
from typing import Literal

import pytest
from sqlalchemy import func, select
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from authz_server.identity.models import CITIZEN
from client_examples.sandbox import promises
from client_examples.sandbox.browser import Browser, Page
from client_examples.sandbox.checker import LARGE
from client_examples.sandbox.citizens import Citizen
from client_examples.sandbox.sandbox import DATABASE
from tests.crashes.relay import Hold
from tests.crashes.world import ENTRY, SMALL, World, until

pytestmark = pytest.mark.race
EDGES = {
    "exchange": (SMALL, b"token-exchange"),
    "gate": (LARGE, b"outcome=delivering"),
    "large delivery": (LARGE, b"outcome=delivered"),
    "small delivery": (SMALL, b"outcome=delivered"),
}


@pytest.mark.parametrize("world", ["postgresql"], indirect=True)
@pytest.mark.parametrize("at", ["request", "answer"])
def test_a_database_that_is_killed_forgets_nothing_and_doubles_nothing(
    world: World, at: Literal["request", "answer"]
) -> None:
    fresh = world.pairs(2)
    of_kind = {kind: [token for token in fresh if token.dataset == kind] for kind in (LARGE, SMALL)}
    led = {edge: of_kind[kind].pop() for edge, (kind, _) in EDGES.items()}
    holds = [world.relays["server"].hold(led[edge].mark, mark, at=at) for edge, (_, mark) in EDGES.items()]
    fetches = [world.begin_fetch(token) for token in led.values()]
    for hold in holds:
        hold.wait_until_reached()
    answered = {edge: world.record(token) for edge, token in led.items()}

    kill_a_backend(world)
    for hold in holds:
        hold.release()
    for fetch in fetches:
        fetch.result()
    until(lambda: database_answers(world), "PostgreSQL does not come back")
    world.let_leases_run_out()
    for edge, token in led.items():
        assert answered[edge] <= world.record(token), "what was answered is on the record"
        assert world.fetch(token) in {200, 401}, "it is spent now, or was before; connections of before refuse nobody"
        told = world.record(token)
        assert token.complete <= told["delivered"]
        assert told["delivered"] + told["spent_unknown"] == 1, told
        assert told["leased"] == 1 + told["failed"], told


@pytest.mark.parametrize("world", ["postgresql"], indirect=True)
def test_a_database_that_is_killed_at_a_sign_in_takes_a_code_once(world: World) -> None:
    asking, answered = (SignIn(world, citizen) for citizen in world.sandbox.citizens[1:3])
    holds = [asking.hold("request"), answered.hold("answer")]
    first = [world.pool.submit(one.send, one.browser) for one in (asking, answered)]
    for hold in holds:
        hold.wait_until_reached()
    kill_a_backend(world)
    for hold in holds:
        hold.release()
    # After the answer the browser goes on to a page, for which there may be no database yet.
    assert {page.result().status for page in first} <= {200, 503}
    until(lambda: database_answers(world), "PostgreSQL does not come back")
    assert answered.is_in(answered.browser), "what was answered holds"
    for one in (asking, answered):
        for _ in range(2):
            one.send(Browser("en"))
        assert one.times() == 1, "the code works, and once"
        one.code = one.citizen.one_time_code()
        one.send(later := Browser("en"))
        assert one.is_in(later), "nothing is locked"


class SignIn:
    """A citizen, and the one-time code that is sent until the database is back."""

    def __init__(self, world: World, citizen: Citizen) -> None:
        # It does not come back after the half minute that a server says whose database is away.
        self.world, self.citizen, self.browser = world, citizen, Browser("en", most_busy=0)
        self.code = citizen.one_time_code()
        self.before = self._times()

    def hold(self, at: Literal["request", "answer"]) -> Hold:
        """Hold the next one at the server."""
        return self.world.relays["server"].hold(b"POST /sign-in", f"username={self.citizen.username}&".encode(), at=at)

    def send(self, browser: Browser) -> Page:
        """Send name, password and code."""
        page = browser.open(f"{self.world.sandbox.issuer}/sign-in?method=password_totp&return_to=/account/sessions")
        fields = {"username": self.citizen.username, "password": self.citizen.password, "one_time_code": self.code}
        return browser.submit(page, "login-submit", fields=fields)

    def is_in(self, browser: Browser) -> bool:
        """Whether this browser is signed in."""
        page = browser.open(f"{self.world.sandbox.issuer}/account/sessions")
        return page.status == 200 and not promises.asked_to_sign_in(page)

    def times(self) -> int:
        """How often the record says that the citizen has signed in since."""
        return self._times() - self.before

    def _times(self) -> int:
        whose = select(CITIZEN.c.id).where(CITIZEN.c.username == self.citizen.username).scalar_subquery()
        told = select(func.count()).where(ENTRY.c.event == "sign_in.succeeded", ENTRY.c.citizen_id == whose)
        with Session(self.world.engine) as session:
            return session.scalar(told) or 0


def kill_a_backend(world: World) -> None:
    """Kill a process that serves the authorization server; the postmaster then ends all others and recovers."""
    assert world.sandbox.postgres is not None
    with world.sandbox.postgres.connect() as connection:
        backends = connection.execute("SELECT pid FROM pg_stat_activity WHERE datname = %s", [DATABASE]).fetchall()
    (pid, *_) = backends[0]
    assert isinstance(pid, int)
    os.kill(pid, signal.SIGKILL)


def database_answers(world: World) -> bool:
    try:
        with Session(world.engine) as session:
            session.execute(select(ENTRY.c.id).limit(1))
    except OperationalError:
        return False
    return True
