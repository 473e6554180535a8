"""Statements of the hot path: written with SQLAlchemy Core, compiled once, run by the driver itself on PostgreSQL.

What SQLAlchemy does around a statement (session, pool, result objects) costs four times what psycopg needs for it,
and a request of the protocol is little more than its statements. There each of them is its own transaction, on a
connection in autocommit mode: no BEGIN, no COMMIT. On SQLite, where one decision is several statements, they run
through SQLAlchemy in one immediate transaction.
"""

from collections import deque, namedtuple
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import psycopg
from sqlalchemy import Connection, Engine, Select, event
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.orm import Session
from sqlalchemy.sql.dml import ReturningDelete, ReturningInsert, ReturningUpdate

from authz_server.database import db, reading

Statement = Select[Any] | ReturningInsert[Any] | ReturningUpdate[Any] | ReturningDelete[Any]
Cursor = psycopg.RawCursor[tuple[Any, ...]]  # it sends a statement as it is, with PostgreSQL's own placeholders
# Whoever runs a statement: a session or a connection, whose transaction the caller commits, or a cursor of
# `lone_connection`, where each statement is its own transaction and nothing is left to commit.
Executor = Session | Connection | Cursor


class _Compiled(NamedTuple):
    text: str
    names: Sequence[str]  # of the parameters, in the order of their numbers
    constants: dict[str, Any]
    processors: Sequence[tuple[str, Callable[[Any], Any]]]  # of the values that the driver does not take as they are


class Prepared:
    """A statement that returns rows. Built once, when its module is imported; run any number of times."""

    def __init__(self, statement: Statement) -> None:
        self.statement = statement
        self._compiled: _Compiled | None = None
        self._row: Any = None

    def run(self, executor: Executor, parameters: dict[str, Any]) -> Sequence[Any]:
        """The rows, each column under its name."""
        if not isinstance(executor, psycopg.RawCursor):
            return connection_of(executor).execute(self.statement, parameters).all()
        if self._compiled is None:
            self._compiled = _compile(self.statement)
        text, names, constants, processors = self._compiled
        values = constants | parameters
        for name, process in processors:
            values[name] = process(values[name])
        found = executor.execute(text, [values[name] for name in names]).fetchall()
        if self._row is None:
            self._row = _row_of(executor)
        return list(map(self._row, found))


def _row_of(cursor: Cursor) -> Callable[[Sequence[Any]], Any]:
    names = [column.name for column in cursor.description or ()]
    row: Any = namedtuple("_row", names)  # type: ignore[misc]  # the names are the statement's
    made: Callable[[Sequence[Any]], Any] = row._make
    return made


def _compile(statement: Statement) -> _Compiled:
    dialect = PGDialect_psycopg(paramstyle="numeric_dollar")  # type: ignore[no-untyped-call]  # it has no annotations
    compiled = statement.compile(dialect=dialect)
    named = {name: bound for bound, name in compiled.bind_names.items()}
    made = {name: bound.type.dialect_impl(dialect).bind_processor(dialect) for name, bound in named.items()}
    constants = {name: value for name, value in compiled.params.items() if not named[name].required}
    processors = [(name, process) for name, process in made.items() if process]
    return _Compiled(compiled.string, compiled.positiontup or (), constants, processors)


def connection_of(executor: Session | Connection) -> Connection:
    """The connection itself, or that of the session's transaction."""
    return executor if isinstance(executor, Connection) else executor.connection()


def is_sqlite(executor: Executor) -> bool:
    """Whether a decision has to be taken in several statements."""
    return not isinstance(executor, psycopg.RawCursor) and connection_of(executor).dialect.name == "sqlite"


@contextmanager
def lone_connection(engine: Engine | None = None, *, read_only: bool = False) -> Iterator[Connection | Cursor]:
    """For a request that takes decisions, each of which is its own transaction, or only reads.

    An exception that leaves the block undoes it on SQLite. On PostgreSQL each statement stands, so that there the
    identifiers of a request that is refused after its decision are spent as well.
    Args: engine: the application's, unless given; read_only: nothing is written, so that SQLite need not wait its turn.
    """
    engine = engine or db.engine
    if engine.dialect.name == "postgresql":
        idle = _idle(engine)
        cursor = idle.take(engine)
        try:
            yield cursor
        finally:
            idle.give_back(cursor)
    else:
        with (reading(engine) if read_only else engine).begin() as connection:
            yield connection


class _Idle:
    """Connections of the driver that nobody uses at the moment, the last one used on top.

    There are never more than there were requests at once, which the server's threads bound.
    """

    def __init__(self, engine: Engine) -> None:
        self._cursors: deque[Cursor] = deque()  # its two ends are safe for all threads
        event.listen(engine, "engine_disposed", self._close_all)

    def take(self, engine: Engine) -> Cursor:
        try:
            return self._cursors.pop()
        except IndexError:
            return _open(engine)

    def give_back(self, cursor: Cursor) -> None:
        if not cursor.connection.closed:
            self._cursors.append(cursor)
        else:
            # The server has gone or come anew: what is idle will be of no use either.
            self._close_all()

    def _close_all(self, _engine: object = None) -> None:
        while self._cursors:
            self._cursors.pop().connection.close()


def _open(engine: Engine) -> Cursor:
    made = engine.raw_connection()  # with everything that the engine does to a new one
    connection: psycopg.Connection[tuple[Any, ...]] = made.driver_connection  # type: ignore[assignment]
    made.detach()
    connection.autocommit = True
    connection.prepare_threshold = 0  # every statement comes over and over: prepare it the first time
    return psycopg.RawCursor(connection)


_IDLE: WeakKeyDictionary[Engine, _Idle] = WeakKeyDictionary()


def _idle(engine: Engine) -> _Idle:
    found = _IDLE.get(engine)
    return found if found is not None else _IDLE.setdefault(engine, _Idle(engine))
