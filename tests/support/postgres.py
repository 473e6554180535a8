"""One real PostgreSQL server for a whole test run, and a fresh database for whoever asks.

The process that was started by hand owns the server: with pytest-xdist that is the controller (`start_for_workers`),
and the workers find it by an environment variable. Without xdist it starts when first asked for. It ends with its
owner.
"""

import atexit
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import psycopg
from psycopg import sql

from client_examples.sandbox.postgres import PostgresServer
from tests.support.memory import memory
from tests.support.waiting import wait_until

_ENVIRONMENT = "MYDATA_TEST_POSTGRES"
_TEMPLATE_LOCK = 7_001
_CONNECTIONS = 100  # of one process and its racers; 41 were seen


def start_for_workers(count: int) -> None:
    """Start the server now and let so many child processes find it; for the controller of pytest-xdist."""
    os.environ[_ENVIRONMENT] = str(_own_server(count).directory)


def create(name: str, *, template: str = "template1") -> str:
    """Create a database as a copy of another; its SQLAlchemy URL."""
    # Copying files is the quicker way for small templates when fsync is off.
    statement = sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy")
    _administrator().execute(statement.format(sql.Identifier(name), sql.Identifier(template)))
    return _url(name)


@contextmanager
def copied(template: str = "template1") -> Iterator[str]:
    """The SQLAlchemy URL of a new database, dropped at the end (connections still open are cut).

    Args: template: what it is a copy of; by default a database without tables.
    """
    name = f"t_{secrets.token_hex(6)}"
    url = create(name, template=template)
    try:
        yield url
    finally:
        _administrator().execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@contextmanager
def role() -> Iterator[str]:
    """The name of a new role that may sign in and nothing else, dropped at the end."""
    name = f"r_{secrets.token_hex(6)}"
    _administrator().execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(name)))
    try:
        yield name
    finally:
        _administrator().execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))


def cut_connections(database: str) -> int:
    """End all connections to it as a restart does, and return how many there were once their servers are gone."""
    found = "FROM pg_stat_activity WHERE datname = %s"
    cut = _administrator().execute(f"SELECT pg_terminate_backend(pid) {found}", [database]).rowcount
    wait_until(lambda: not _administrator().execute(f"SELECT 1 {found}", [database]).rowcount, f"{database} is used")
    return cut


def shared_template(name: str, make: Callable[[str], object]) -> str:
    """The name again of a database that is made once per run. Args: make: fills the empty database of a given URL."""
    with _connect() as connection:
        # The workers of one run share it; the first one makes it while the others wait.
        connection.execute("SELECT pg_advisory_lock(%s)", [_TEMPLATE_LOCK])
        if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone() is None:
            building = f"{name}_building"
            make(create(building))
            connection.execute(
                sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(building), sql.Identifier(name))
            )
    return name


@cache
def _own_server(processes: int = 1) -> PostgresServer:
    # A database is some hundred files, and more than a thousand come and go in a run: a file system on a disk can spend
    # a quarter of the run on that. What a crash leaves is tested on servers of the tests' own.
    settings = {"max_connections": str(_CONNECTIONS * processes)}
    server = PostgresServer(settings=settings, place=memory()).start()
    atexit.register(server.stop)
    return server


def _directory() -> Path:
    return Path(os.environ[_ENVIRONMENT]) if _ENVIRONMENT in os.environ else _own_server().directory


def _url(database: str) -> str:
    return f"postgresql+psycopg://postgres@/{database}?host={_directory()}"


@cache
def _administrator() -> psycopg.Connection[tuple[object, ...]]:
    """One connection for all that this process makes and drops: a new one each time costs a third of that."""
    connection = _connect()
    atexit.register(connection.close)
    return connection


def _connect() -> psycopg.Connection[tuple[object, ...]]:
    return psycopg.connect(host=str(_directory()), user="postgres", dbname="postgres", autocommit=True)
