"""One real PostgreSQL server for a whole test run, and a fresh migrated database for whoever asks.

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

_ENVIRONMENT = "MYDATA_TEST_POSTGRES"
_TEMPLATE = "mydata_template"
_TEMPLATE_LOCK = 7_001


def start_for_workers() -> None:
    """Start the server now and let child processes find it; for the controller of pytest-xdist."""
    os.environ[_ENVIRONMENT] = str(_own_server().directory)


@contextmanager
def fresh_database(migrate: Callable[[str], object]) -> Iterator[str]:
    """The SQLAlchemy URL of a new migrated database, dropped at the end (connections still open are cut).

    Args: migrate: brings the database of a given URL to the newest version; called once per run, for a template.
    """
    _ensure_template(migrate)
    name = f"t_{secrets.token_hex(6)}"
    with _connect() as connection:
        # Copying files is the quicker way for small templates when fsync is off.
        connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy").format(
                sql.Identifier(name), sql.Identifier(_TEMPLATE)
            )
        )
    try:
        yield _url(name)
    finally:
        with _connect() as connection:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@contextmanager
def empty_database() -> Iterator[str]:
    """The SQLAlchemy URL of a new database without tables, for the tests of the migrations; dropped at the end."""
    name = f"t_{secrets.token_hex(6)}"
    with _connect() as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    try:
        yield _url(name)
    finally:
        with _connect() as connection:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@cache
def _own_server() -> PostgresServer:
    server = PostgresServer().start()
    atexit.register(server.stop)
    return server


def _directory() -> Path:
    return Path(os.environ[_ENVIRONMENT]) if _ENVIRONMENT in os.environ else _own_server().directory


def _url(database: str) -> str:
    return f"postgresql+psycopg://postgres@/{database}?host={_directory()}"


def _connect() -> psycopg.Connection[tuple[object, ...]]:
    return psycopg.connect(host=str(_directory()), user="postgres", dbname="postgres", autocommit=True)


@cache
def _ensure_template(migrate: Callable[[str], object]) -> None:
    with _connect() as connection:
        # The workers of one run share the template; the first one makes it while the others wait.
        connection.execute("SELECT pg_advisory_lock(%s)", [_TEMPLATE_LOCK])
        known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [_TEMPLATE]).fetchone()
        if known is None:
            building = f"{_TEMPLATE}_building"
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(building)))
            migrate(_url(building))
            connection.execute(
                sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(building), sql.Identifier(_TEMPLATE))
            )
