"""The database: base of all models, column types, and how an engine of each kind is set up.

Two statements must never disagree about what is durable: SQLite runs in WAL mode with ``synchronous=FULL`` and
PostgreSQL with synchronous commits, else a crash could revive a spent token.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, cast

import orjson
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    DateTime,
    Dialect,
    Engine,
    Insert,
    Integer,
    MetaData,
    Table,
    bindparam,
    create_engine,
    event,
    func,
    insert,
    select,
)
from sqlalchemy import cast as cast_to
from sqlalchemy import column as sql_column
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import make_url
from sqlalchemy.orm import DeclarativeBase, MappedAsDataclass, Session
from sqlalchemy.types import TypeDecorator

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


# Whoever runs a decision: a session, whose transaction the caller commits, or a connection of `lone_connection`.
Executor = Session | Connection
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


db = SQLAlchemy(metadata=Base.metadata)


def engine_options(url: str) -> dict[str, Any]:
    """Options of `create_engine` for this URL; the same for the servers, the worker, migrations and tests."""
    options: dict[str, Any] = {
        "json_serializer": lambda value: orjson.dumps(value).decode(),
        "json_deserializer": orjson.loads,
        "hide_parameters": True,  # a database error must not quote a citizen
    }
    if make_url(url).get_backend_name() == "postgresql":
        # Every statement of the hot path is sent over and over: prepare it the first time. No pre-ping: a dead
        # connection surfaces as one refused request, a ping costs every request a round trip.
        # Statements find rows by key: one plan serves all values, and planning costs more than running.
        session = "-c plan_cache_mode=force_generic_plan -c jit=off"
        options |= {
            "connect_args": {"prepare_threshold": 0, "options": session},
            "pool_size": 8,
            "max_overflow": 8,
            "pool_timeout": 5,
        }
    else:
        options |= {"connect_args": {"timeout": 30}}
    return options


def new_engine(url: str, **more: Any) -> Engine:
    """An engine set up like the server's own, for commands and the worker."""
    engine = create_engine(url, **engine_options(url) | more)
    prepare_engine(engine)
    return engine


def prepare_engine(engine: Engine) -> None:
    """Make SQLite durable and serial; PostgreSQL needs nothing. Effective for connections opened from now on."""
    if engine.dialect.name != "sqlite":
        return

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # the driver's own, implicit BEGIN would be a deferred one
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=30000"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Any) -> None:
        # A deferred transaction that reads and then writes fails when another wrote in between; an immediate one waits.
        # One that is said to only read waits for nobody, not even for its own thread's open transaction.
        read_only = connection.get_execution_options().get("read_only", False)
        connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")


def insert_if_absent(dialect: str, model: type[Base]) -> postgresql.Insert | sqlite.Insert:
    """An INSERT for this dialect that leaves a row alone whose key is taken: of racers, one inserts it."""
    kind = postgresql if dialect == "postgresql" else sqlite
    return kind.insert(table_of(model)).on_conflict_do_nothing()  # type: ignore[no-any-return]


@contextmanager
def lone_connection() -> Iterator[Connection]:
    """A connection for a request that takes one decision, which is then its own transaction: no BEGIN, no COMMIT.

    SQLite, where a decision is several statements, gets a transaction: committed at the end, undone by an exception.
    Not the session: what it does around a statement costs more than the statement.
    """
    engine = db.engine
    if engine.dialect.name == "postgresql":
        with _autocommitting(engine).connect() as connection:
            yield connection
    else:
        with engine.begin() as connection:
            yield connection


@lru_cache(maxsize=8)
def _autocommitting(engine: Engine) -> Engine:
    return engine.execution_options(isolation_level="AUTOCOMMIT")


def connection_of(executor: Executor) -> Connection:
    """What a statement runs on: the connection itself, or that of the session's transaction."""
    return executor if isinstance(executor, Connection) else executor.connection()


class Inserts:
    """Rows for several tables in one statement, so that a request stays within its round trips.

    PostgreSQL unfolds the rows from one JSON parameter per table, whatever their number, inside one WITH; SQLite, for
    which a statement costs no round trip, gets one INSERT per table. Built once, when its module is imported.

    Args: tables: in the order in which rows point at each other. A row names every column but generated keys.
    """

    def __init__(self, *tables: Table) -> None:
        self.tables = tables
        self.columns = [
            [column for column in table.columns if column is not table.autoincrement_column] for table in self.tables
        ]
        *first, last = (
            self._insert(number, table, columns)
            for number, (table, columns) in enumerate(zip(self.tables, self.columns, strict=True))
        )
        self.combined = last.add_cte(*(statement.cte(f"insert_{number}") for number, statement in enumerate(first)))

    @staticmethod
    def _insert(number: int, table: Table, columns: list[Column[Any]]) -> Insert:
        rows = func.json_to_recordset(cast_to(bindparam(f"rows_{number}"), postgresql.JSON)).table_valued(
            *(sql_column(column.name, column.type) for column in columns), name=f"row_{number}"
        )
        source = select(*rows.render_derived(with_types=True).c)
        return insert(table).from_select([column.name for column in columns], source, include_defaults=False)

    def run(self, session: Session, *rows: Sequence[Mapping[str, Any]]) -> None:
        """Insert the rows, a sequence for each table. The caller commits."""
        connection = session.connection()
        if connection.dialect.name == "postgresql":
            parameters = {
                f"rows_{number}": orjson.dumps([dict(row) for row in of_table], default=_as_json).decode()
                for number, of_table in enumerate(rows)
            }
            connection.execute(self.combined, parameters)
            return
        for table, of_table in zip(self.tables, rows, strict=True):
            if of_table:
                connection.execute(insert(table), [dict(row) for row in of_table])


def _as_json(value: object) -> str:
    if isinstance(value, bytes):
        return f"\\x{value.hex()}"  # the text form of bytea
    raise TypeError(f"no JSON form for {type(value).__name__}")
