"""kill -9 of a PostgreSQL backend, which makes the whole database start again, at each edge of a token's life."""

import os
import signal
from functools import partial
from typing import Literal

import pytest
from sqlalchemy import select
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from client_examples.sandbox.checker import LARGE
from client_examples.sandbox.sandbox import DATABASE
from tests.crashes.world import ENTRY, SMALL, Token, World, until

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
        until(partial(is_over, world, token), "the servers do not come back")
        told = world.record(token)
        assert token.complete <= told["delivered"]
        assert told["delivered"] + told["spent_unknown"] == 1, told
        assert told["leased"] == 1 + told["failed"], told
    # A worker of it that was idle still holds dead connections, each of which would refuse one request.
    world.sandbox.restart("server")


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


def is_over(world: World, token: Token) -> bool:
    """Whether the token is spent, with this use or before."""
    return world.fetch(token) in {200, 401}
