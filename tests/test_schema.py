"""Whether the tables are those of this release: whatever else is found is told so that it can be mended."""

import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from typing import Literal

import pytest
from sqlalchemy import Engine, insert, literal, select, text
from sqlalchemy.exc import OperationalError

from authz_server import schema
from authz_server.audit.models import AuditEntry
from authz_server.core import clock
from authz_server.core.settings import SettingsError
from authz_server.database import UNREACHABLE, new_engine
from authz_server.prepared import Prepared, lone_connection
from tests.support import pgbouncer, postgres
from tests.support.templates import Templates


def test_tables_of_this_release_are_good(database_url: str) -> None:
    schema.check(database_url)


def test_tables_of_another_release_are_told_with_the_command_that_mends_it(database_url: str) -> None:
    schema.migrate(database_url, back_to="0001")
    with pytest.raises(SettingsError, match=r"tables of version 0001, wanted .*: mydata migrate"):
        schema.check(database_url)


def test_a_database_without_tables_is_told() -> None:
    with postgres.copied() as url, pytest.raises(SettingsError, match="no tables"):
        schema.check(url)


def test_whoever_is_writing_keeps_no_server_from_starting(database_url: str, engine: Engine) -> None:
    """On SQLite there is one at a time, and it may take longer than a start has patience."""
    with ThreadPoolExecutor(1) as pool, engine.connect() as writer:
        writer.execute(insert(AuditEntry).values(event="x", at=clock.now(), success=True, actor="operator"))
        pool.submit(schema.check, database_url).result(20)
        writer.rollback()


def test_a_database_that_is_not_there_yet_is_waited_for_by_requests() -> None:
    schema.check("postgresql+psycopg://nobody@/nothing?host=/nonexistent")


@pytest.mark.parametrize(
    ("right", "told"),
    [
        ("USAGE ON SCHEMA public", "no tables, or the role has no USAGE on their schema"),
        ("SELECT ON TABLE alembic_version", "permission denied for table alembic_version"),
    ],
)
def test_a_role_without_rights_is_told_of_them(templates: Templates, tmp_path: Path, right: str, told: str) -> None:
    with templates.copied("postgresql", tmp_path, populated=False) as url, postgres.role() as role:
        as_owner(url, "GRANT SELECT ON ALL TABLES IN SCHEMA public TO PUBLIC", f"REVOKE {right} FROM PUBLIC")
        with pytest.raises(SettingsError, match=f"^database_url: {told}"):
            schema.check(url.replace("postgres@", f"{role}@"))


def test_of_two_versions_none_is_taken(database_url: str) -> None:
    as_owner(database_url, "INSERT INTO alembic_version VALUES ('0001')")
    with pytest.raises(SettingsError) as told:
        schema.check(database_url)
    expected = f"database_url: alembic_version has 2 rows, and only one can be true: 0001, {schema.newest()}"
    assert told.value.problems == [expected]
    with pytest.raises(SettingsError, match="0001"):
        schema.migrate(database_url)


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_no_server_starts_where_its_connections_share_sessions(database_url: str) -> None:
    """What one has prepared under a name is there for the other, whose statement of that name is another one."""
    with pgbouncer.in_front_of(database_url, mode="session") as url:
        schema.check(url)
    told = "^database_url: connections share sessions of PostgreSQL"
    shared = pgbouncer.in_front_of(database_url, mode="transaction")
    with shared as url, pytest.raises(SettingsError, match=told):
        schema.check(url)


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
@pytest.mark.parametrize("mode", ["session", "transaction"])
def test_whoever_comes_to_share_a_session_later_takes_the_database_for_away(
    database_url: str, mode: Literal["session", "transaction"]
) -> None:
    """What is put between while all run is found by the first connection that gets what another one has used."""
    statement = Prepared(select(literal(7).label("found")))
    refused = pytest.raises(UNREACHABLE, match="share sessions") if mode == "transaction" else nullcontext()
    with pgbouncer.in_front_of(database_url, mode=mode) as url:
        engine = new_engine(url)
        with lone_connection(engine) as first:
            statement.run(first, {})
            with refused, lone_connection(engine) as second:
                statement.run(second, {})
        engine.dispose()


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
@pytest.mark.parametrize("name", ["PGBOUNCER_1", "mydata_0", "Xpg3X0"])
def test_a_session_in_which_somebody_else_has_prepared_is_taken_for_a_shared_one(engine: Engine, name: str) -> None:
    """PgBouncer names statements by itself from 1.21 on, where it shares sessions."""
    with engine.begin() as connection:
        connection.exec_driver_sql(f'PREPARE "{name}" AS SELECT 7')
    with pytest.raises(UNREACHABLE, match="share sessions"), lone_connection(engine):
        pass


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_connection_on_which_the_driver_prepares_by_itself_is_not_taken_for_a_shared_one(engine: Engine) -> None:
    with engine.begin() as connection:
        for _ in range(10):
            connection.execute(select(literal(7)))
        assert connection.exec_driver_sql("SELECT name FROM pg_prepared_statements").rowcount > 0
    with lone_connection(engine) as lone:
        assert Prepared(select(literal(7).label("found"))).run(lone, {})


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_tables_of_another_release_are_told_also_where_there_is_no_second_connection(database_url: str) -> None:
    with postgres.role() as role:
        as_owner(
            database_url,
            "GRANT SELECT ON alembic_version TO PUBLIC",
            "UPDATE alembic_version SET version_num = '0001'",
            f"ALTER ROLE {role} CONNECTION LIMIT 1",
        )
        with pytest.raises(SettingsError, match="tables of version 0001"):
            schema.check(database_url.replace("postgres@", f"{role}@"))


def test_a_database_in_memory_is_no_file_of_any_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OperationalError, match="No such file"):
        schema.migrate("sqlite://")
    assert not list(tmp_path.iterdir())


def test_nobody_else_may_write_to_a_file_of_sqlite_that_is_made_however_lax_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        schema.migrate(f"sqlite:///{tmp_path / 'new.db'}")
    finally:
        os.umask(before)
    assert (tmp_path / "new.db").stat().st_mode & 0o777 == 0o644


def as_owner(url: str, *statements: str) -> None:
    """Change a database as who owns it."""
    engine = new_engine(url)
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))
    engine.dispose()
