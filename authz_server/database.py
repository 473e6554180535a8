"""The database: base of all models, column types, and how an engine of each kind is set up.

Two statements must never disagree about what is durable: SQLite runs in WAL mode with ``synchronous=FULL`` and
PostgreSQL with synchronous commits, else a crash could revive a spent token.
"""

import select
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import orjson
import psycopg
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    DateTime,
    Dialect,
    Engine,
    ExceptionContext,
    ForeignKeyConstraint,
    Integer,
    MetaData,
    Table,
    create_engine,
    event,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, InvalidatePoolError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import DeclarativeBase, MappedAsDataclass, Session
from sqlalchemy.pool import ConnectionPoolEntry
from sqlalchemy.types import TypeDecorator

from authz_server.config import Settings

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}

# In the `info` of a constraint: the one dialect that has it.
ONLY_ON = "only_on"
# In the `info` of a pool's entry, which is empty again with each connection that is opened for it.
_WAS_TAKEN = "was_taken"
_FILE = "file"  # likewise: which one it leads to
# It takes no changes, as a standby does, or is another session than ours. To what takes over leads a new connection.
UNWILLING = (psycopg.errors.ReadOnlySqlTransaction, psycopg.errors.InvalidSqlStatementName)
# A table is closed to our role, or gone since the start. What is idle is as good as before; should it be closed for
# what has taken over, one connection after the other comes to lead there.
LOCKED = (psycopg.errors.InsufficientPrivilege, psycopg.errors.UndefinedTable)
# The database is away or unwilling, or all its connections are taken: by whichever way the statement went.
UNREACHABLE = (OperationalError, psycopg.OperationalError, *UNWILLING, *LOCKED, PoolTimeout)
# What PostgreSQL does not class with these, but is no fault of the statement either.
_AS_GOOD_AS_AWAY = (*UNWILLING, *LOCKED, psycopg.errors.IdleInTransactionSessionTimeout)
BigKey = BigInteger().with_variant(Integer, "sqlite")  # SQLite numbers rows only in a column of type INTEGER


class UtcDateTime(TypeDecorator[datetime]):
    """An aware UTC time; SQLite, which has no zone, keeps it as UTC and gets it back aware."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a zone")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Base(MappedAsDataclass, DeclarativeBase, kw_only=True):
    """All models: typed, keyword-only, secrets hidden from ``repr``."""

    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map = {datetime: UtcDateTime()}  # noqa: RUF012 - SQLAlchemy reads it once, as a class attribute


def table_of(model: type[Base]) -> Table:
    """The model's table, for statements that are built once and return plain rows."""
    return cast(Table, model.__table__)


def references(column: str, target: str) -> ForeignKeyConstraint:
    """A foreign key of a table of the hot path, which SQLite checks, and PostgreSQL need not.

    For PostgreSQL it is a query more for each row that is inserted, and a lock on the row that it points at, which for
    a client is the same one for all of its requests. So it is only for what the very statement that writes the row has
    found or written as well, and what is kept longer than the row. SQLite, on which all tests run too, shows that it
    holds.
    """
    return ForeignKeyConstraint([column], [target], info={ONLY_ON: "sqlite"}).ddl_if(dialect="sqlite")


def is_of(dialect: str) -> Callable[..., bool]:
    """For Alembic: whether this dialect has something that the models name."""
    return lambda named, *_: getattr(named, "info", {}).get(ONLY_ON, dialect) == dialect


def unindexed(column: ColumnElement[int]) -> ColumnElement[int]:
    """The column in a form that no index is used for: for a condition that only checks what another one has found.

    SQLite else reads all that a citizen has, and not the few rows that the reference number in the same query names.
    """
    return column + 0


db = SQLAlchemy(metadata=Base.metadata)
# When a host is gone without a word, TCP waits a quarter of an hour for an acknowledgement, and for ever for an answer.
# Meanwhile every turn would be taken, although another database has taken over. The URL may say otherwise.
GIVEN_UP_AFTER = {
    "connect_timeout": 5,
    "tcp_user_timeout": 10_000,
    "keepalives_idle": 5,
    "keepalives_interval": 5,
    "keepalives_count": 2,
}


def engine_options(url: str, *, program: str = "mydata") -> dict[str, Any]:
    """Options of `create_engine` for this URL; the same for the servers, the worker, migrations and tests.

    Args: program: whose connections they are, as PostgreSQL's `pg_stat_activity` shows it.
    """
    options: dict[str, Any] = {
        "json_serializer": lambda value: orjson.dumps(value).decode(),
        "json_deserializer": orjson.loads,
        "hide_parameters": True,  # a database error must not quote a citizen
    }
    parsed = make_url(url)
    if parsed.get_backend_name() == "postgresql":
        # No pre-ping, which costs every request a round trip: see `has_ended`.
        # Statements find rows by key: one plan serves all values, and planning costs more than running.
        session = "-c plan_cache_mode=force_generic_plan -c jit=off -c timezone=UTC"
        given_up = {name: value for name, value in GIVEN_UP_AFTER.items() if name not in parsed.query}
        options |= {
            "connect_args": {"options": session, "fallback_application_name": program, **given_up},
            "pool_size": 8,
            "max_overflow": 8,
            "pool_timeout": 5,
        }
    else:
        options |= {"connect_args": {"timeout": 30}}
    return options


def close_session(_error: BaseException | None = None) -> None:
    """Close the session of a request, if it had one.

    A database that goes before it hears that something is undone undoes it as well: what was answered stands.
    """
    if db.session.registry.has():
        with suppress(*UNREACHABLE):
            db.session.close()


def new_engine(url: str, *, program: str = "mydata", **more: Any) -> Engine:
    """An engine set up like the server's own, for commands and the worker."""
    engine = create_engine(url, **engine_options(url, program=program) | more)
    prepare_engine(engine)
    return engine


def prepare_engine(engine: Engine) -> None:
    """Make SQLite durable and serial, and take no dead connection from PostgreSQL's pool.

    Effective for connections opened from now on.
    """
    if engine.dialect.name == "postgresql":
        event.listen(engine, "checkout", _refuse_what_has_ended)
        event.listen(engine, "handle_error", _take_for_away, retval=True)
    else:
        event.listen(engine, "do_connect", _find_file)
        event.listen(engine, "connect", _configure_sqlite)
        event.listen(engine, "checkout", _refuse_another_file)
        event.listen(engine, "begin", _begin_sqlite)


def why(error: Exception) -> dict[str, str]:
    """What a log says of one of `UNREACHABLE`: what the database calls it, and its words.

    Of these errors they tell of hosts, files and limits, never of what is in a row; what may follow them does.
    """
    cause = (isinstance(error, DBAPIError) and error.orig) or error
    name = getattr(cause, "sqlite_errorname", None) or type(cause).__name__
    return {"reason": name, "detail": (str(cause).splitlines() or [""])[0]}


def _take_for_away(context: ExceptionContext) -> OperationalError | None:
    """Let a server that is unwilling, or has hung up, be one that is away, and none of its connections be kept."""
    error = context.original_exception
    if not isinstance(error, _AS_GOOD_AS_AWAY):
        return None
    context.is_disconnect = True
    context.invalidate_pool_on_disconnect = not isinstance(error, LOCKED)
    return OperationalError(context.statement, None, error, hide_parameters=True, connection_invalidated=True)


def has_ended(connection: psycopg.Connection[Any]) -> bool:
    """Whether PostgreSQL has closed this idle connection, as far as this host has heard: nobody is asked.

    Nobody here listens for notifications, so what can be read between two statements is a farewell or the end itself;
    at worst it was some notice, and a connection is opened that need not be.
    """
    if connection.closed:
        return True
    heard = select.poll()
    heard.register(connection.fileno(), select.POLLIN)
    return bool(heard.poll(0))


def _refuse_what_has_ended(connection: psycopg.Connection[Any], entry: ConnectionPoolEntry, _proxy: object) -> None:
    # Of one that was just opened the statement tells: of a second refusal the pool makes an error of the program's.
    was_idle, entry.info[_WAS_TAKEN] = entry.info.get(_WAS_TAKEN, False), True
    if was_idle and has_ended(connection):
        raise InvalidatePoolError  # the pool opens another one, and trusts none of the same age


def _file_of(path: str) -> tuple[int, int]:
    found = Path(path).stat()
    return found.st_dev, found.st_ino


def _find_file(_dialect: Dialect, entry: ConnectionPoolEntry, arguments: list[Any], _options: object) -> None:
    """SQLite would make an empty one, which nobody could tell from the lost one when that comes back.

    By the name in the settings, which may be a link that leads to another file later, and before it is opened: should
    another file come in its place meanwhile, the connection is none to the one that is remembered.
    """
    try:
        entry.info[_FILE] = arguments[0], _file_of(arguments[0])
    except OSError as error:
        raise sqlite3.OperationalError(f"{error.strerror}: {arguments[0]}") from None


def _refuse_another_file(connection: sqlite3.Connection, entry: ConnectionPoolEntry, _proxy: object) -> None:
    # A file that was deleted or moved away is still written to by whoever has it open: what is spent there would be
    # known to none of the others, nor after a restart.
    path, file = entry.info[_FILE]
    with suppress(OSError):
        if _file_of(path) == file:
            return
    raise InvalidatePoolError


def _configure_sqlite(connection: Any, _entry: ConnectionPoolEntry) -> None:
    connection.isolation_level = None  # the driver's own, implicit BEGIN would be a deferred one
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=30000"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    # A deferred transaction that reads and then writes fails when another wrote in between; an immediate one waits.
    # One that is said to only read waits for nobody, not even for its own thread's open transaction.
    read_only = connection.get_execution_options().get("read_only", False)
    connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")


def reading(engine: Engine) -> Engine:
    """The same engine for what only reads: a transaction that nobody waits for, and on PostgreSQL none at all.

    There a transaction that is rolled back costs more than its two commands: psycopg takes that for a reason to forget
    what it has prepared on this connection, so that all of it is parsed and planned anew.
    """
    if engine.dialect.name == "postgresql":
        return engine.execution_options(isolation_level="AUTOCOMMIT")
    return engine.execution_options(read_only=True)


@contextmanager
def session_for(settings: Settings) -> Iterator[Session]:
    """A command's session on the database of the settings: committed if all went well, and nothing of it stays open."""
    engine = new_engine(settings.database_url)
    try:
        with Session(engine) as session, session.begin():
            yield session
    finally:
        engine.dispose()


def insert_if_absent(dialect: str, model: type[Base]) -> postgresql.Insert | sqlite.Insert:
    """An INSERT for this dialect that leaves a row alone whose key is taken: of racers, one inserts it."""
    kind = postgresql if dialect == "postgresql" else sqlite
    return kind.insert(table_of(model)).on_conflict_do_nothing()  # type: ignore[no-any-return]
