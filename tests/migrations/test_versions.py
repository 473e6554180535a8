"""Each version up and down on both databases; at the newest one, nothing is left to generate."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect

from authz_server import retention
from authz_server.cli import migrate_database
from authz_server.database import Base, new_engine
from tests.support import postgres


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database without tables."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'empty.sqlite3'}"
    else:
        with postgres.empty_database() as url:
            yield url


def tables(url: str) -> set[str]:
    """The tables in the database of this URL."""
    engine = new_engine(url)
    try:
        return set(inspect(engine).get_table_names())
    finally:
        engine.dispose()


def test_migrations_make_what_the_models_say(empty_url: str) -> None:
    migrate_database(empty_url)
    engine = new_engine(empty_url)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []
    engine.dispose()


def test_migrations_go_down_to_nothing_and_up_again(empty_url: str) -> None:
    migrate_database(empty_url)
    made = tables(empty_url)
    assert made == {"alembic_version", *retention.tables()}
    migrate_database(empty_url, back_to="base")
    assert tables(empty_url) == {"alembic_version"}
    migrate_database(empty_url)
    assert tables(empty_url) == made


def test_migrating_a_second_time_changes_nothing(empty_url: str) -> None:
    migrate_database(empty_url)
    made = tables(empty_url)
    migrate_database(empty_url)
    assert tables(empty_url) == made
