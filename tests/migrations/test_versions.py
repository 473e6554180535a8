"""Each version up and down on both databases; at the newest one, nothing is left to generate."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, column, insert, inspect, select, table, text
from sqlalchemy.exc import DatabaseError
from sqlalchemy.orm import Session

from authz_server import retention, schema
from authz_server.audit.models import AuditEntry
from authz_server.database import Base, UtcDateTime, is_of, new_engine, table_of
from authz_server.identity.models import Citizen
from authz_server.notices.models import Notice
from authz_server.single_use import identifiers
from authz_server.single_use.models import USED_IDENTIFIERS
from tests.support import postgres


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database without tables."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'empty.sqlite3'}"
    else:
        with postgres.copied() as url:
            yield url


def tables(url: str) -> set[str]:
    """The tables in the database of this URL."""
    with opened(url) as engine:
        return set(inspect(engine).get_table_names())


@contextmanager
def opened(url: str) -> Iterator[Engine]:
    """An engine for the database of this URL."""
    engine = new_engine(url)
    try:
        yield engine
    finally:
        engine.dispose()


def test_migrations_make_what_the_models_say(empty_url: str) -> None:
    schema.migrate(empty_url)
    engine = new_engine(empty_url)
    with engine.connect() as connection:
        opts = {"compare_type": True, "include_object": is_of(engine.dialect.name)}
        context = MigrationContext.configure(connection, opts=opts)
        assert compare_metadata(context, Base.metadata) == []
    engine.dispose()


def test_migrations_go_down_to_nothing_and_up_again(empty_url: str) -> None:
    schema.migrate(empty_url)
    made = tables(empty_url)
    assert made == {"alembic_version", *retention.tables()}
    schema.migrate(empty_url, back_to="base")
    assert tables(empty_url) == {"alembic_version"}
    schema.migrate(empty_url)
    assert tables(empty_url) == made


def test_the_newest_is_told_by_the_name_of_its_file() -> None:
    (head,) = ScriptDirectory(str(schema.MIGRATIONS)).get_heads()
    assert schema.newest() == head


def test_migrating_a_second_time_changes_nothing(empty_url: str) -> None:
    schema.migrate(empty_url)
    made = tables(empty_url)
    schema.migrate(empty_url)
    assert tables(empty_url) == made


@pytest.mark.parametrize(("version", "steps"), [("0026", ["0027", "0028", "undone:"]), ("0028", [])])
def test_steps_before_one_that_fails_are_undone_and_told_to_be(empty_url: str, version: str, steps: list[str]) -> None:
    schema.migrate(empty_url)
    schema.migrate(empty_url, back_to=version)
    with opened(empty_url) as engine, engine.begin() as connection:
        connection.execute(text("CREATE TABLE installation (in_the_way INTEGER)"))  # step 0029 makes it
    made = tables(empty_url)
    told: list[str] = []
    with pytest.raises(DatabaseError):
        schema.migrate(empty_url, tell=told.append)
    assert [line.partition(" ")[0] for line in told] == steps
    assert tables(empty_url) == made
    with opened(empty_url) as engine, engine.connect() as connection:
        assert connection.scalar(text("SELECT version_num FROM alembic_version")) == version


def test_no_language_is_taken_for_a_choice_that_nobody_made(empty_url: str) -> None:
    schema.migrate(empty_url)
    schema.migrate(empty_url, back_to="0027")
    chosen = select(Citizen.locale).order_by(Citizen.username)
    with opened(empty_url) as engine:
        with Session(engine) as session, session.begin():
            for name, locale in (("a", "en"), ("b", "zh-TW")):
                about = {"username": name, "name": name, "national_id": name, "birthdate": date.min, "locale": locale}
                session.add(Citizen(**about, created_at=datetime.now(UTC)))  # type: ignore[arg-type]
        for version, expected in ((None, ["en", ""]), ("0027", ["en", "zh-TW"])):
            schema.migrate(empty_url, back_to=version)
            with engine.connect() as connection:
                assert connection.scalars(chosen).all() == expected


def test_the_language_of_who_has_left_stays_with_the_last_message_alone(empty_url: str) -> None:
    schema.migrate(empty_url)
    schema.migrate(empty_url, back_to="0029")
    now = datetime.now(UTC)
    notice = table("notice", *map(column, ("audit_entry_id", "channel", "citizen_id", "attempts", "address")))
    notice.append_column(column("created_at", UtcDateTime()))
    with opened(empty_url) as engine:
        with Session(engine) as session, session.begin():
            for name, left_at in (("left", now), ("there", None)):
                person: Any = {"username": name, "name": "", "national_id": name, "birthdate": date.min, "locale": "en"}
                session.add(Citizen(**person, created_at=now, left_at=left_at))
            session.flush()
            for number, name in session.execute(select(Citizen.id, Citizen.username)).all():
                told = AuditEntry(at=now, event="x", success=True, actor="citizen", citizen_id=number)
                session.add(told)
                session.flush()
                about = {"audit_entry_id": told.id, "channel": "sms", "citizen_id": number, "address": name}
                session.execute(insert(notice), about | {"attempts": 0, "created_at": now})
        schema.migrate(empty_url)
        with Session(engine) as session:
            assert dict(session.execute(select(Notice.address, Notice.locale)).all()) == {"left": "en", "there": None}
            assert dict(session.execute(select(Citizen.username, Citizen.locale)).all()) == {"left": "", "there": "en"}


def test_what_was_used_stays_used_when_identifiers_move_into_a_ring_of_tables_and_shrink(empty_url: str) -> None:
    schema.migrate(empty_url)
    schema.migrate(empty_url, back_to="0003")
    soon = datetime.now(UTC) + timedelta(minutes=1)
    used = table("used_identifier", column("kind"), column("digest"), column("expires_at", UtcDateTime()))
    whole = hashlib.sha256(b"seen").digest()
    seen = identifiers.dpop_proof(whole, expires_at=soon)
    with opened(empty_url) as engine:
        with engine.begin() as connection:
            connection.execute(insert(used), {"kind": "dpop_proof", "digest": whole, "expires_at": soon})
        schema.migrate(empty_url)
        with engine.connect() as connection:
            for model in USED_IDENTIFIERS:
                assert connection.execute(select(table_of(model))).all() == [(seen.digest, seen.kind)]
        schema.migrate(empty_url, back_to="0026")
        with engine.connect() as connection:
            for model in USED_IDENTIFIERS:
                elder = table(model.__tablename__, column("kind"), column("digest"))
                assert connection.execute(select(elder)).all() == []
