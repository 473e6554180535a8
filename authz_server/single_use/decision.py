"""A decision: one statement that says what must hold, does it, records it, and spends the identifiers it came with.

On PostgreSQL a decision is a single statement, whatever belongs to it:

    WITH used    AS (INSERT INTO used_identifier ... ON CONFLICT DO NOTHING RETURNING kind),
         decided AS (UPDATE ... WHERE <what must hold> AND (SELECT count(*) FROM used) = 2 RETURNING ...),
         entry   AS (INSERT INTO audit_entry SELECT ... FROM decided)
    SELECT (SELECT string_agg(kind) FROM used), decided.* FROM (SELECT 1) LEFT JOIN decided ON true

SQLite has no INSERT or UPDATE inside WITH: there the same parts run one after the other, in the same transaction,
which is immediate, so nobody comes between.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, Literal

from sqlalchemy import (
    CTE,
    Column,
    ColumnElement,
    Connection,
    Insert,
    Row,
    Select,
    bindparam,
    func,
    insert,
    literal_column,
    null,
    select,
    true,
    union_all,
)
from sqlalchemy.sql.dml import ReturningDelete, ReturningInsert, ReturningUpdate

from authz_server.audit.models import AuditEntry
from authz_server.audit.service import COLUMNS, INSERT, Entry
from authz_server.database import Executor, connection_of, insert_if_absent, table_of
from authz_server.single_use.identifiers import Identifier, check_fresh
from authz_server.single_use.models import UsedIdentifier

Statement = Select[Any] | ReturningInsert[Any] | ReturningUpdate[Any] | ReturningDelete[Any]
# Builds the statement with one more condition: that all identifiers were fresh.
Guarded = Callable[[ColumnElement[bool]], Statement]

ENTRY = table_of(AuditEntry)
USED = table_of(UsedIdentifier)
MADE: ColumnElement[int] = literal_column("1").label(
    "made"
)  # tells a decided row from the empty side of the outer join


class Decision:
    """Built once, when its module is imported; run any number of times.

    Args:
        statement: given one more condition, the SELECT, or the INSERT or UPDATE with RETURNING. Columns that it
            returns under the name of a column of the record go there; the others come from the entry.
    """

    def __init__(self, statement: Guarded) -> None:
        self.statement = statement
        self.plain = statement(true())
        returned = {column.key for column in self.plain.exported_columns}
        self.from_row = tuple(name for name in COLUMNS if name in returned)
        self.from_entry = tuple(name for name in COLUMNS if name not in returned)
        self.combined = cache(self._combined)  # by number of identifiers, and whether there is an entry

    def run(
        self, executor: Executor, *, entry: Entry | None = None, spend: Sequence[Identifier] = (), **parameters: Any
    ) -> Sequence[Row[Any]]:
        """Decide; the rows that qualified (none: nothing happened). The caller commits.

        Args: entry: what the record says of each decided row; spend: identifiers that must not have been seen.
        Raises: AssertionReplayed, ProofReplayed; then nothing was decided.
        """
        given = {name: getattr(entry, name) for name in self.from_entry} if entry else {}
        connection = connection_of(executor)
        if connection.dialect.name != "postgresql":
            return self._one_by_one(connection, given, spend, parameters)
        named = {f"entry_{name}": value for name, value in given.items()}
        combined = self.combined(len(spend), entry is not None)
        rows = connection.execute(combined, parameters | named | _bound(spend)).all()
        check_fresh(spend, fresh=(rows[0].fresh or "").split())
        return [] if rows[0].made is None else rows

    def _one_by_one(
        self, connection: Connection, entry: Mapping[str, Any], spend: Sequence[Identifier], parameters: dict[str, Any]
    ) -> Sequence[Row[Any]]:
        if spend:
            used = connection.execute(_spending("sqlite", len(spend)), _bound(spend)).all()
            check_fresh(spend, fresh=[row.kind for row in used])
        rows = connection.execute(self.plain, parameters).all()
        if rows and entry:
            connection.execute(
                INSERT, [{**entry, **{name: row._mapping[name] for name in self.from_row}} for row in rows]
            )
        return rows

    def _combined(self, identifiers: int, recorded: bool) -> Select[Any]:
        condition: ColumnElement[bool] = true()
        fresh: ColumnElement[Any] = null()
        if identifiers:
            used = _spending("postgresql", identifiers).cte("used")
            condition = select(func.count()).select_from(used).scalar_subquery() == literal_column(str(identifiers))
            fresh = select(func.string_agg(used.c.kind, literal_column("' '"))).scalar_subquery()
        decided = _with_marker(self.statement(condition)).cte("decided")
        one = select(literal_column("1").label("one")).subquery("one")
        whole = select(fresh.label("fresh"), *decided.c).select_from(one.outerjoin(decided, true()))
        return whole.add_cte(self._entry(decided).cte("entry")) if recorded else whole

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


def _with_marker(statement: Statement) -> Statement:
    return statement.add_columns(MADE) if isinstance(statement, Select) else statement.returning(MADE)


@cache
def _spending(dialect: Literal["postgresql", "sqlite"], count: int) -> ReturningInsert[Any]:
    names = [column.name for column in USED.columns]
    rows = [
        select(*(bindparam(f"{name}_{number}", type_=USED.c[name].type) for name in names)) for number in range(count)
    ]
    # WHERE true: else SQLite takes ON CONFLICT for a join's (https://sqlite.org/lang_upsert.html, "Parsing Ambiguity").
    source = select(union_all(*rows).subquery()).where(true())
    return insert_if_absent(dialect, UsedIdentifier).from_select(names, source).returning(USED.c.kind)


def _bound(identifiers: Sequence[Identifier]) -> dict[str, Any]:
    return {
        f"{name}_{number}": value
        for number, identifier in enumerate(identifiers)
        for name, value in identifier._asdict().items()
    }
