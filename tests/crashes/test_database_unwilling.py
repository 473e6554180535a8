"""A database that is there and does nothing: everybody is told to come back, and all goes on when it is willing again.

Nothing is started anew, the worker included.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import orjson
import pytest
import requests

from client_examples.sandbox.processes import Process
from tests.crashes.world import SMALL, World, until

pytestmark = pytest.mark.race


@contextmanager
def taking_no_changes(world: World) -> Iterator[str]:
    """As a standby that somebody took for the real one: connections of before are no better."""
    assert world.sandbox.postgres is not None
    with world.sandbox.postgres.connect() as connection:
        try:
            connection.execute("ALTER SYSTEM SET default_transaction_read_only = on")
            connection.execute("SELECT pg_reload_conf()")
            yield "ReadOnlySqlTransaction"
        finally:
            connection.execute("SET default_transaction_read_only = off")
            connection.execute("ALTER SYSTEM RESET default_transaction_read_only")
            connection.execute("SELECT pg_reload_conf()")


@contextmanager
def without_tables(world: World) -> Iterator[str]:
    """As while a backup is put back."""
    with world.engine.begin() as administrator:
        administrator.exec_driver_sql("ALTER SCHEMA public RENAME TO away")
        administrator.exec_driver_sql("CREATE SCHEMA public")
    try:
        yield "UndefinedTable"
    finally:
        with world.engine.begin() as administrator:
            administrator.exec_driver_sql("DROP SCHEMA public")
            administrator.exec_driver_sql("ALTER SCHEMA away RENAME TO public")


@contextmanager
def moved_away(world: World) -> Iterator[str]:
    """The files of SQLite; whoever has them open could still write to them."""
    path = Path(str(world.engine.url.database))
    files = [found for end in ("", "-wal", "-shm") if (found := Path(f"{path}{end}")).exists()]
    away = path.with_name("away")
    away.mkdir()
    for found in files:
        found.rename(away / found.name)
    try:
        yield "OperationalError"
        assert not path.exists(), "nobody makes a new one"
    finally:
        for found in files:
            (away / found.name).rename(found)
        away.rmdir()


# Two tests, for pytest puts one among those of the same world only if nothing but the world is chosen with it.
@pytest.mark.parametrize("unwilling", [taking_no_changes, without_tables])
@pytest.mark.parametrize("world", ["postgresql"], indirect=True)
def test_who_comes_while_the_database_is_unwilling_is_told_to_come_back_and_can(
    world: World, unwilling: Callable[[World], AbstractContextManager[str]]
) -> None:
    told_to_come_back(world, unwilling)


@pytest.mark.parametrize("world", ["sqlite"], indirect=True)
def test_who_comes_while_the_file_of_the_database_is_away_is_told_to_come_back_and_can(world: World) -> None:
    told_to_come_back(world, moved_away)


def told_to_come_back(world: World, unwilling: Callable[[World], AbstractContextManager[str]]) -> None:
    health = f"{world.sandbox.issuer}/health"
    server, worker = (world.sandbox.processes[name] for name in ("server", "worker"))
    before, began = server.pid, worker.pid
    fresh = world.pairs(1)
    (led,) = world.tokens(SMALL)
    hold = world.relays["server"].hold(led.mark, b"outcome=delivered", at="request")
    under_way = world.begin_fetch(led)
    hold.wait_until_reached(by=under_way)
    with unwilling(world) as reason:
        until(lambda: requests.get(health, timeout=60).status_code == 503, "the server does not notice")
        until(lambda: reason in reasons(worker, "worker.database_unavailable"), "the worker does not say why")
        assert [world.fetch(token) for token in fresh] == [503, 503]
        hold.release()
        assert under_way.result() != 200, "what can't be recorded is not delivered"
        answer = requests.get(health, timeout=60)
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "30")
        assert reason in reasons(server, "database.unavailable")
    until(lambda: requests.get(health, timeout=60).status_code == 200, "the server does not go on")
    for token in fresh:
        assert (world.fetch(token), world.fetch(token)) == (200, 401)
        assert (token.complete, world.record(token)["delivered"]) == (1, 1)
    world.let_leases_run_out()
    told = world.record(led)
    assert told["leased"] == 1 + told["failed"], told
    assert world.fetch(led) in {200, 401}
    told = world.record(led)
    assert led.complete <= told["delivered"]
    assert told["delivered"] + told["spent_unknown"] == 1, told
    assert (server.pid, worker.pid, worker.is_running()) == (before, began, True)


def reasons(process: Process, event: str) -> set[str]:
    """Why, by each line of this event in the log of a process."""
    lines = [line for line in process.log_file.read_bytes().splitlines() if line.startswith(b"{")]
    return {told.get("reason") for told in map(orjson.loads, lines) if told["event"] == event}
