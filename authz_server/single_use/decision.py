"""A decision: one statement that says what must hold, does it, records it, and spends the identifiers it came with.

On PostgreSQL a decision is a single statement, whatever belongs to it:

    WITH decided AS (UPDATE ... WHERE <what must hold> RETURNING ...),
         used_0  AS (INSERT INTO used_identifier_0 ...),
         entry   AS (INSERT INTO audit_entry SELECT ... FROM decided),
         rows_0  AS (INSERT INTO consent SELECT ... WHERE EXISTS (SELECT FROM decided))
    SELECT decided.* FROM decided

An identifier that was seen before violates the key of its table, and so nothing of the statement has happened, although
PostgreSQL does the decision first and then undoes it. One that was not is spent, whether anything was decided or not.
Into which tables they go, `buckets` says.

SQLite has no INSERT or UPDATE inside WITH: there the same parts run one after the other, in the same transaction,
which is immediate, so nobody comes between.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, TypeVar

import orjson
import psycopg
from sqlalchemy import (
    CTE,
    Column,
    ColumnElement,
    Connection,
    Insert,
    Table,
    bindparam,
    exists,
    func,
    insert,
    literal_column,
    select,
    true,
    union_all,
)
from sqlalchemy import cast as cast_to
from sqlalchemy import column as sql_column
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import IntegrityError

from authz_server.audit.models import AUDIT_ENTRY
from authz_server.audit.service import COLUMNS, INSERT, Entry
from authz_server.database import insert_if_absent, table_of
from authz_server.prepared import Executor, Prepared, Statement, connection_of, is_sqlite
from authz_server.single_use.buckets import tables_of
from authz_server.single_use.identifiers import Identifier, replay_of
from authz_server.single_use.models import USED_IDENTIFIERS

Rows = Sequence[Mapping[str, Any]]
InsertOf = TypeVar("InsertOf", bound=Insert)

USED = tuple(table_of(model) for model in USED_IDENTIFIERS)
USED_COLUMNS = ("digest", "kind")


class Decision:
    """Built once, when its module is imported; run any number of times.

    Args:
        statement: the SELECT, or the INSERT, UPDATE or DELETE with RETURNING. Columns that it returns under the name of
            a column of the record go there; the others come from the entry.
        leaves: tables into which rows are inserted if anything was decided, in the order in which they point at each
            other. A row names every column but generated keys.
    """

    def __init__(self, statement: Statement, *, leaves: Sequence[Table] = ()) -> None:
        self.statement = statement
        self.leaves = [(table, [column for column in table.columns if not _is_generated(column)]) for table in leaves]
        returned = {column.key for column in statement.exported_columns}
        self.from_row = tuple(name for name in COLUMNS if name in returned)
        self.from_entry = tuple(name for name in COLUMNS if name not in returned)
        self.combined = cache(self._combined)  # by number of identifiers, their tables, and whether there is an entry

    def run(
        self,
        executor: Executor,
        *,
        entry: Entry | None = None,
        spend: Sequence[Identifier] = (),
        rows: Sequence[Rows] = (),
        **parameters: Any,
    ) -> Sequence[Any]:
        """Decide; the rows that qualified (none: nothing happened). Committed by the caller, unless it is lone.

        Args: entry: what the record says of each decided row; spend: identifiers that must not have been seen; rows:
            for each table of `leaves` the rows that it gets.
        Raises: AssertionReplayed, ProofReplayed; then nothing was decided, and the transaction can only be undone.
        """
        given = {name: getattr(entry, name) for name in self.from_entry} if entry else {}
        tables = tables_of([identifier.expires_at for identifier in spend])
        if is_sqlite(executor):
            connection = connection_of(executor)  # type: ignore[arg-type]
            _spend_on_sqlite(connection, tables, spend)
            return self._one_by_one(connection, given, rows, parameters)
        for name, value in given.items():
            parameters[f"entry_{name}"] = value
        for number, of_table in enumerate(rows):
            parameters[f"rows_{number}"] = orjson.dumps(of_table, default=_as_json).decode()
        try:
            return self.combined(len(spend), tables, entry is not None).run(executor, parameters | _bound(spend))
        except (psycopg.errors.UniqueViolation, IntegrityError) as error:
            if seen := _seen(error, spend):
                raise replay_of(seen) from error
            raise

    def _one_by_one(
        self, connection: Connection, entry: Mapping[str, Any], rows: Sequence[Rows], parameters: dict[str, Any]
    ) -> Sequence[Any]:
        decided = connection.execute(self.statement, parameters).all()
        if decided and entry:
            connection.execute(
                INSERT, [{**entry, **{name: row._mapping[name] for name in self.from_row}} for row in decided]
            )
        if decided:
            for (table, _), of_table in zip(self.leaves, rows, strict=True):
                if of_table:
                    connection.execute(insert(table), [dict(row) for row in of_table])
        return decided

    def _combined(self, identifiers: int, tables: tuple[int, ...], recorded: bool) -> Prepared:
        decided = self.statement.cte("decided")
        whole = select(*decided.c)
        for number in tables:
            whole = whole.add_cte(_adding(insert(USED[number]), identifiers).cte(f"used_{number}"))
        if recorded:
            whole = whole.add_cte(self._entry(decided).cte("entry"))
        for number, (table, columns) in enumerate(self.leaves):
            whole = whole.add_cte(_unfolded(number, table, columns, decided).cte(f"leaves_{number}"))
        return Prepared(whole)

    def _entry(self, decided: CTE) -> Insert:
        sources = [
            decided.c[name] if name in self.from_row else bindparam(f"entry_{name}", type_=AUDIT_ENTRY.c[name].type)
            for name in COLUMNS
        ]
        return insert(AUDIT_ENTRY).from_select(COLUMNS, select(*sources), include_defaults=False)


def looked_up(column: Column[Any], *, where: Column[Any], equals: Column[Any]) -> ColumnElement[Any]:
    """A column of another table's row, for RETURNING, under its own name: that of the row whose `where` is `equals`.

    Written out with both tables' names: SQLAlchemy leaves them off in SQLite's RETURNING, where `client_id = client_id`
    would then compare a column with itself.
    """
    named: list[ColumnElement[Any]] = [literal_column(f"{side.table.name}.{side.name}") for side in (where, equals)]
    return select(column).where(named[0] == named[1]).scalar_subquery().label(column.name)


def _unfolded(number: int, table: Table, columns: Sequence[Column[Any]], decided: CTE) -> Insert:
    """Rows from one JSON parameter, whatever their number, so that the statement's text stays the same."""
    rows = func.json_to_recordset(cast_to(bindparam(f"rows_{number}"), postgresql.JSON)).table_valued(
        *(sql_column(column.name, column.type) for column in columns), name=f"row_{number}"
    )
    anything = exists(select(literal_column("1")).select_from(decided))
    source = select(*rows.render_derived(with_types=True).c).where(anything)
    return insert(table).from_select([column.name for column in columns], source, include_defaults=False)


def _is_generated(column: Column[Any]) -> bool:
    return column is column.table.autoincrement_column


def _as_json(value: object) -> str:
    if isinstance(value, bytes):
        return f"\\x{value.hex()}"  # the text form of bytea
    raise TypeError(f"no JSON form for {type(value).__name__}")


def _adding(into: InsertOf, identifiers: int) -> InsertOf:
    """From a SELECT: SQLAlchemy would compile several rows of VALUES anew each time."""
    columns = USED[0].c
    rows = [
        select(*(bindparam(f"{name}_{number}", type_=columns[name].type) for name in USED_COLUMNS))
        for number in range(identifiers)
    ]
    # WHERE true: else SQLite takes ON CONFLICT for a join's (https://sqlite.org/lang_upsert.html, "Parsing Ambiguity").
    return into.from_select(USED_COLUMNS, select(union_all(*rows).subquery()).where(true()))


def _bound(identifiers: Sequence[Identifier]) -> dict[str, Any]:
    return {
        f"{name}_{number}": getattr(identifier, name)
        for number, identifier in enumerate(identifiers)
        for name in USED_COLUMNS
    }


def _seen(error: psycopg.Error | IntegrityError, presented: Sequence[Identifier]) -> list[Identifier]:
    """Which identifiers the violated key may be of; none, if it is another table's key."""
    cause = error.orig if isinstance(error, IntegrityError) else error
    if not isinstance(cause, psycopg.errors.UniqueViolation) or cause.diag.table_name not in {
        table.name for table in USED
    }:
        return []
    # PostgreSQL tells the row that was there before, in whatever language: "Key (digest, kind)=(\x0123, d) already ..."
    told = cause.diag.message_detail or ""
    named = [identifier for identifier in presented if f"{identifier.digest.hex()}, {identifier.kind})" in told]
    return named or list(presented)  # a database may be set up to write octets in another way


def _spend_on_sqlite(connection: Connection, tables: Sequence[int], presented: Sequence[Identifier]) -> None:
    for number in tables:
        added = connection.execute(_adding_on_sqlite(number, len(presented)), _bound(presented)).scalars().all()
        if seen := [identifier for identifier in presented if identifier.kind not in added]:
            raise replay_of(seen)


@cache
def _adding_on_sqlite(table: int, identifiers: int) -> Any:
    return _adding(insert_if_absent("sqlite", USED_IDENTIFIERS[table]), identifiers).returning(USED[table].c.kind)
