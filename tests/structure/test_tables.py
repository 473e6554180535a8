"""Every table has a line that says how long it keeps its rows."""

import authz_server.app  # noqa: F401 - it imports every model
from authz_server import retention
from authz_server.database import Base


def test_every_table_has_a_retention_rule() -> None:
    assert set(retention.tables()) == set(Base.metadata.tables)


def test_each_rule_names_a_column_of_its_table() -> None:
    for name, keep in retention.tables().items():
        assert keep.column is None or keep.column in keep.table.c, name


def test_every_row_that_goes_by_time_is_found_by_an_index() -> None:
    for name, keep in retention.tables().items():
        if keep.column is None:
            continue
        leading = {next(iter(index.columns)).name for index in keep.table.indexes}
        assert keep.column in leading | {column.name for column in keep.table.primary_key}, name
