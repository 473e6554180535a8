"""Statements of the hot path: written with SQLAlchemy Core, compiled once, run by the driver itself on PostgreSQL.

What SQLAlchemy does around a statement (session, pool, result objects) costs four times what psycopg needs for it,
and a request of the protocol is little more than its statements. There each of them is its own transaction, on a
connection in autocommit mode: no BEGIN, no COMMIT. Of what is left, a third is psycopg's cursors, which can also be
cancelled, pipelined and streamed; so statements go to its lower layer, `psycopg.pq`. On SQLite, where one decision
is several statements, they run through SQLAlchemy in one immediate transaction.
"""

import contextlib
from collections import deque, namedtuple
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from secrets import token_hex
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import psycopg
from psycopg.adapt import PyFormat, Transformer
from psycopg.pq import ConnStatus, DiagnosticField, ExecStatus
from psycopg.pq.abc import PGresult
from sqlalchemy import Connection, Engine, LargeBinary, Select, event
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.orm import Session
from sqlalchemy.sql.dml import ReturningDelete, ReturningInsert, ReturningUpdate

from authz_server.database import LOCKED, UNWILLING, db, has_ended, reading

SHARED = "connections share sessions of PostgreSQL; between, PgBouncer must have pool_mode = session"
_BYTEA = psycopg.adapters.types["bytea"].oid
Statement = Select[Any] | ReturningInsert[Any] | ReturningUpdate[Any] | ReturningDelete[Any]


class Lone:
    """A connection to PostgreSQL on which each statement is its own transaction. One thread at a time."""

    def __init__(self, connection: psycopg.Connection[tuple[Any, ...]]) -> None:
        """Args: connection: nobody else's, in autocommit mode."""
        self.connection = connection
        self._server = connection.pgconn
        self._adapt = Transformer(connection)
        # Of this connection alone: whoever is led to the session of another one finds nothing there to run.
        self._prefix = f"mydata_{token_hex(8)}_"
        self._names: dict[str, bytes] = {}
        self.is_locked = False

    def run(self, text: str, types: Sequence[int], values: Sequence[Any]) -> PGresult:
        """Run a statement that returns rows, with PostgreSQL's own placeholders.

        Args: types: of the values, 0 where the statement says it.  Raises: psycopg.Error.
        """
        name = self._names.get(text) or self._prepare(text, types)
        # All as texts: a binary number would have to be of the very size that the statement takes it for.
        sent = self._adapt.dump_sequence(values, [PyFormat.TEXT] * len(values))
        return self._checked(self._server.exec_prepared(name, sent), ExecStatus.TUPLES_OK)  # type: ignore[arg-type]

    def rows(self, result: PGresult, make: Callable[[Sequence[Any]], Any]) -> list[Any]:
        """What a statement returned. Args: make: a row of its values."""
        self._adapt.set_pgresult(result)
        return self._adapt.load_rows(0, result.ntuples, make)

    def _prepare(self, text: str, types: Sequence[int]) -> bytes:
        name = f"{self._prefix}{len(self._names)}".encode()
        self._checked(self._server.prepare(name, text.encode(), types), ExecStatus.COMMAND_OK)
        self._names[text] = name
        return name

    def _checked(self, result: PGresult, wanted: ExecStatus) -> PGresult:
        if result.status == wanted:
            return result
        # An error without SQLSTATE is the driver's own: it lost the server, and the status may say so only later.
        lost = result.status == ExecStatus.FATAL_ERROR and not result.error_field(DiagnosticField.SQLSTATE)
        if lost or self._server.status == ConnStatus.BAD:
            self.connection.close()
            told = result.error_message.decode(errors="replace").strip()
            raise psycopg.OperationalError(f"the connection is lost: {told}")
        error = psycopg.errors.error_from_result(result)
        if isinstance(error, UNWILLING):
            self.connection.close()
        self.is_locked = isinstance(error, LOCKED)
        raise error


# Whoever runs a statement: a session or a connection, whose transaction the caller commits, or a lone connection, where
# nothing is left to commit.
Executor = Session | Connection | Lone


class _Compiled(NamedTuple):
    text: str
    names: Sequence[str]  # of the parameters, in the order of their numbers
    types: Sequence[int]
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
        if not isinstance(executor, Lone):
            return connection_of(executor).execute(self.statement, parameters).all()
        if self._compiled is None:
            self._compiled = _compile(self.statement)
        text, names, types, constants, processors = self._compiled
        values = constants | parameters
        for name, process in processors:
            values[name] = process(values[name])
        found = executor.run(text, types, [values[name] for name in names])
        if self._row is None:
            self._row = _row_of(found)
        return executor.rows(found, self._row)


def _row_of(result: PGresult) -> Callable[[Sequence[Any]], Any]:
    names = [(result.fname(number) or b"").decode() for number in range(result.nfields)]
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
    names = compiled.positiontup or ()
    # SQLAlchemy writes a cast around every parameter, but not around octets.
    types = [_BYTEA if isinstance(named[name].type, LargeBinary) else 0 for name in names]
    return _Compiled(compiled.string, names, types, constants, processors)


def connection_of(executor: Session | Connection) -> Connection:
    """The connection itself, or that of the session's transaction."""
    return executor if isinstance(executor, Connection) else executor.connection()


def is_sqlite(executor: Executor) -> bool:
    """Whether a decision has to be taken in several statements."""
    return not isinstance(executor, Lone) and connection_of(executor).dialect.name == "sqlite"


@contextmanager
def lone_connection(engine: Engine | None = None, *, read_only: bool = False) -> Iterator[Connection | Lone]:
    """For a request that takes decisions, each of which is its own transaction, or only reads.

    An exception that leaves the block undoes it on SQLite. On PostgreSQL each statement stands, so that there the
    identifiers of a request that is refused after its decision are spent as well, unless one of them was seen before.
    Args: engine: the application's, unless given; read_only: nothing is written, so that SQLite need not wait its turn.
    """
    engine = engine or db.engine
    if engine.dialect.name == "postgresql":
        idle = _idle(engine)
        lone = idle.take(engine)
        try:
            yield lone
        finally:
            idle.give_back(lone)
    else:
        with (reading(engine) if read_only else engine).begin() as connection:
            yield connection


class _Idle:
    """Connections of the driver that nobody uses at the moment, the last one used on top.

    There are never more than there were requests at once, which the server's threads bound.
    """

    def __init__(self, engine: Engine) -> None:
        self._free: deque[Lone] = deque()  # its two ends are safe for all threads
        event.listen(engine, "engine_disposed", self._close_all)

    def take(self, engine: Engine) -> Lone:
        with contextlib.suppress(IndexError):  # none is left
            while has_ended((lone := self._free.pop()).connection):
                lone.connection.close()
            return lone
        return _open(engine)

    def give_back(self, lone: Lone) -> None:
        if lone.connection.closed:
            # The server has gone or come anew: what is idle will be of no use either.
            self._close_all()
        elif lone.is_locked:
            lone.connection.close()
        else:
            self._free.append(lone)

    def _close_all(self, _engine: object = None) -> None:
        while self._free:
            self._free.pop().connection.close()


def _open(engine: Engine) -> Lone:
    made = engine.raw_connection()  # with everything that the engine does to a new one
    connection: psycopg.Connection[tuple[Any, ...]] = made.driver_connection  # type: ignore[assignment]
    made.detach()
    connection.autocommit = True
    # Something may have been put between since `schema.check` looked. Nothing is prepared here yet, under whatever name
    # (PgBouncer gives its own ones since 1.21), but what the driver did by itself while the pool had this connection.
    if connection.execute(r"SELECT FROM pg_prepared_statements WHERE name NOT LIKE '\_pg3\_%' LIMIT 1").rowcount:
        connection.close()
        raise psycopg.OperationalError(SHARED)
    return Lone(connection)


_IDLE: WeakKeyDictionary[Engine, _Idle] = WeakKeyDictionary()


def _idle(engine: Engine) -> _Idle:
    found = _IDLE.get(engine)
    return found if found is not None else _IDLE.setdefault(engine, _Idle(engine))
