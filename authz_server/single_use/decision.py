"""A decision: one statement that says what must hold, does it, records it, and spends the identifiers it came with.

On PostgreSQL a decision is a single statement, whatever belongs to it:

    WITH used_0  AS (INSERT INTO used_identifier_0 ... ON CONFLICT DO NOTHING RETURNING kind),
         decided AS (UPDATE ... WHERE <what must hold> AND (SELECT count(*) FROM used_0) = 2 RETURNING ...),
         entry   AS (INSERT INTO audit_entry SELECT ... FROM decided),
         rows_0  AS (INSERT INTO consent SELECT ... WHERE EXISTS (SELECT FROM decided))
    SELECT (SELECT string_agg(kind) FROM used_0), decided.* FROM (SELECT 1) LEFT JOIN decided ON true

Into which tables of used identifiers, `buckets` says.

SQLite has no INSERT or UPDATE inside WITH: there the same parts run one after the other, in the same transaction,
which is immediate, so nobody comes between.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, Literal

import orjson
from sqlalchemy import (
    CTE,
    Column,
    ColumnElement,
    Connection,
    Insert,
    Select,
    Table,
    and_,
    bindparam,
    exists,
    func,
    insert,
    literal_column,
    null,
    select,
    true,
    union_all,
)
from sqlalchemy import cast as cast_to
from sqlalchemy import column as sql_column
from sqlalchemy.dialects import postgresql
from sqlalchemy.sql.dml import ReturningInsert

from authz_server.audit.models import AuditEntry
from authz_server.audit.service import COLUMNS, INSERT, Entry
from authz_server.database import insert_if_absent, table_of
from authz_server.prepared import Executor, Prepared, Statement, connection_of, is_sqlite
from authz_server.single_use.buckets import tables_of
from authz_server.single_use.identifiers import Identifier, check_fresh
from authz_server.single_use.models import USED_IDENTIFIERS, UsedIdentifier

# Builds the statement with one more condition: that all identifiers were fresh.
Guarded = Callable[[ColumnElement[bool]], Statement]
Rows = Sequence[Mapping[str, Any]]

ENTRY = table_of(AuditEntry)
USED_COLUMNS = ("kind", "digest")
MADE: ColumnElement[int] = literal_column("1").label(
    "made"
)  # tells a decided row from the empty side of the outer join


class Decision:
    """Built once, when its module is imported; run any number of times.

    Args:
        statement: given one more condition, the SELECT, or the INSERT or UPDATE with RETURNING. Columns that it
            returns under the name of a column of the record go there; the others come from the entry.
        leaves: tables into which rows are inserted if anything was decided, in the order in which they point at each
            other. A row names every column but generated keys.
    """

    def __init__(self, statement: Guarded, *, leaves: Sequence[Table] = ()) -> None:
        self.statement = statement
        self.leaves = [(table, [column for column in table.columns if not _is_generated(column)]) for table in leaves]
        self.plain = statement(true())
        returned = {column.key for column in self.plain.exported_columns}
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
        Raises: AssertionReplayed, ProofReplayed; then nothing was decided.
        """
        given = {name: getattr(entry, name) for name in self.from_entry} if entry else {}
        if is_sqlite(executor):
            return self._one_by_one(connection_of(executor), given, spend, rows, parameters)  # type: ignore[arg-type]
        for name, value in given.items():
            parameters[f"entry_{name}"] = value
        for number, of_table in enumerate(rows):
            parameters[f"rows_{number}"] = orjson.dumps(of_table, default=_as_json).decode()
        tables = tables_of([identifier.expires_at for identifier in spend])
        decided = self.combined(len(spend), tables, entry is not None).run(executor, parameters | _bound(spend))
        if spend:
            check_fresh(spend, fresh=_in_each(tables, (decided[0].fresh or "").split()))
        return [] if decided[0].made is None else decided

    def _one_by_one(
        self,
        connection: Connection,
        entry: Mapping[str, Any],
        spend: Sequence[Identifier],
        rows: Sequence[Rows],
        parameters: dict[str, Any],
    ) -> Sequence[Any]:
        if spend:
            tables, bound = tables_of([identifier.expires_at for identifier in spend]), _bound(spend)
            statements = [_spending("sqlite", number, len(spend)) for number in tables]
            kinds = [kind for statement in statements for kind in connection.execute(statement, bound).scalars()]
            check_fresh(spend, fresh=_in_each(tables, kinds))
        decided = connection.execute(self.plain, parameters).all()
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
        condition: ColumnElement[bool] = true()
        fresh: ColumnElement[Any] = null()
        if identifiers:
            used = [_spending("postgresql", number, identifiers).cte(f"used_{number}") for number in tables]
            counts = [select(func.count()).select_from(each).scalar_subquery() for each in used]
            condition = and_(*(count == literal_column(str(identifiers)) for count in counts))
            kinds = union_all(*(select(each.c.kind) for each in used)).subquery("kinds")
            fresh = select(func.string_agg(kinds.c.kind, literal_column("' '"))).scalar_subquery()
        decided = _with_marker(self.statement(condition)).cte("decided")
        one = select(literal_column("1").label("one")).subquery("one")
        whole = select(fresh.label("fresh"), *decided.c).select_from(one.outerjoin(decided, true()))
        if recorded:
            whole = whole.add_cte(self._entry(decided).cte("entry"))
        for number, (table, columns) in enumerate(self.leaves):
            whole = whole.add_cte(_unfolded(number, table, columns, decided).cte(f"leaves_{number}"))
        return Prepared(whole)

    def _entry(self, decided: CTE) -> Insert:
        sources = [
            decided.c[name] if name in self.from_row else bindparam(f"entry_{name}", type_=ENTRY.c[name].type)
            for name in COLUMNS
        ]
        return insert(ENTRY).from_select(COLUMNS, select(*sources), include_defaults=False)


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
    source = select(*rows.render_derived(with_types=True).c).where(exists(select(decided.c.made)))
    return insert(table).from_select([column.name for column in columns], source, include_defaults=False)


def _is_generated(column: Column[Any]) -> bool:
    return column is column.table.autoincrement_column


def _as_json(value: object) -> str:
    if isinstance(value, bytes):
        return f"\\x{value.hex()}"  # the text form of bytea
    raise TypeError(f"no JSON form for {type(value).__name__}")


def _with_marker(statement: Statement) -> Statement:
    return statement.add_columns(MADE) if isinstance(statement, Select) else statement.returning(MADE)


@cache
def _spending(dialect: Literal["postgresql", "sqlite"], table: int, count: int) -> ReturningInsert[Any]:
    model: type[UsedIdentifier] = USED_IDENTIFIERS[table]
    used = table_of(model).c
    rows = [
        select(*(bindparam(f"{name}_{number}", type_=used[name].type) for name in USED_COLUMNS))
        for number in range(count)
    ]
    # WHERE true: else SQLite takes ON CONFLICT for a join's (https://sqlite.org/lang_upsert.html, "Parsing Ambiguity").
    source = select(union_all(*rows).subquery()).where(true())
    return insert_if_absent(dialect, model).from_select(USED_COLUMNS, source).returning(used.kind)


def _in_each(tables: tuple[int, ...], kinds: Sequence[str]) -> list[str]:
    """Of the kinds of the rows that were added to these tables, those that were new in all of them."""
    return [kind for kind in dict.fromkeys(kinds) if kinds.count(kind) == len(tables)]


def _bound(identifiers: Sequence[Identifier]) -> dict[str, Any]:
    return {
        f"{name}_{number}": getattr(identifier, name)
        for number, identifier in enumerate(identifiers)
        for name in USED_COLUMNS
    }
