"""Every table has a line that says how long it keeps its rows, and what becomes of them when their citizen leaves."""

import authz_server.app  # noqa: F401 - it imports every model
from authz_server import retention
from authz_server.database import Base
from authz_server.retention import Leaving


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


def test_every_table_that_knows_a_citizen_says_what_becomes_of_it_when_they_leave() -> None:
    for name, keep in retention.tables().items():
        points_there = any(key.column.table.name == "citizen" for key in keep.table.foreign_keys)
        of_citizens = name == "citizen" or points_there or "citizen_id" in keep.table.c
        assert of_citizens == (keep.leaving is not Leaving.OF_NOBODY), name
        assert keep.leaving is not Leaving.ERASED or "citizen_id" in keep.table.c, name


def test_rows_that_stay_point_at_none_that_go() -> None:
    erased = {name for name, keep in retention.tables().items() if keep.leaving is Leaving.ERASED}
    for name, keep in retention.tables().items():
        if name not in erased:
            assert not erased & {key.column.table.name for key in keep.table.foreign_keys}, name
