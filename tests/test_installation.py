"""A database and its secret file belong together, on every host and after every restore."""

import errno
import os
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from click.testing import CliRunner, Result
from flask import Flask
from sqlalchemy import Engine, event, select, text, update
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from authz_server import installation, schema, worker
from authz_server.app import create_app
from authz_server.audit.models import AuditEntry
from authz_server.cli import cli
from authz_server.config import Settings
from authz_server.core import clock
from authz_server.core.secrets import derive
from authz_server.core.settings import SettingsError
from authz_server.database import db, new_engine
from authz_server.identity import recovery, service, totp
from authz_server.identity.models import CITIZEN
from authz_server.installation import Installation
from authz_server.server import check_secret
from tests.support.commands import refused, settings_file
from tests.support.platform import Platform

OTHER = bytes(31) + b"x"
ADD = ["citizen", "add", "new", "--name", "新來者", "--national-id", "A223456781"]
ADD += ["--birthdate", "1990-01-02", "--password", "a long pass phrase"]


def test_the_first_secret_is_the_one_and_no_other_starts_a_server(settings: Settings) -> None:
    check_secret(settings)
    check_secret(settings)
    settings.secret_file.write_bytes(OTHER)
    with pytest.raises(SettingsError, match="secret_file: this database was used with another one"):
        check_secret(settings)


@pytest.mark.parametrize("program", ["serve", "worker"])
def test_neither_server_nor_worker_starts_with_another_one(settings: Settings, tmp_path: Path, program: str) -> None:
    check_secret(settings)
    settings.secret_file.write_bytes(OTHER)
    told = refused(program, MYDATA_SETTINGS=str(settings_file(settings, tmp_path)))
    assert "mydata: secret_file: this database was used with another one" in told


def test_no_credentials_are_given_out_under_another_one(
    settings: Settings, session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MYDATA_SETTINGS", str(settings_file(settings, tmp_path)))
    check_secret(settings)
    (tmp_path / "secret").write_bytes(OTHER)
    for command in (ADD, ["citizen", "reset", "new", "--password", "a long pass phrase"]):
        assert isinstance(CliRunner().invoke(cli, command).exception, SettingsError)
    assert session.execute(select(CITIZEN)).all() == []


def test_of_two_hosts_that_start_first_in_one_moment_one_is_right(settings: Settings, session: Session) -> None:
    secrets = [bytes([number]) * 32 for number in range(8)]

    def start(secret: bytes) -> bool:
        engine = new_engine(settings.database_url)
        try:
            with Session(engine) as own, own.begin():
                installation.check_secret(own, secret)
        except SettingsError:
            return False
        finally:
            engine.dispose()
        return True

    with ThreadPoolExecutor(len(secrets)) as pool:
        right = [secret for secret, done in zip(secrets, pool.map(start, secrets), strict=True) if done]
    assert len(right) == 1
    assert session.scalars(select(Installation.secret_check)).all() == [derive(right[0], "installation")]


@pytest.fixture
def rotate(own_platform: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Result]:
    """Run `mydata rotate-secret` with the settings of the platform's server."""
    monkeypatch.setenv("MYDATA_SETTINGS", str(settings_file(own_platform.settings, tmp_path)))
    return lambda: CliRunner().invoke(cli, ["rotate-secret", "--yes"])


def test_after_a_new_secret_authenticators_go_on_and_what_derived_from_it_ends(
    own_platform: Platform, rotate: Callable[[], Result]
) -> None:
    file, before = own_platform.settings.secret_file, own_platform.settings.secret_file.read_bytes()
    with Session(own_platform.engine) as session, session.begin():
        (code, *_) = recovery.renew(session, 1, server_secret=before, now=clock.now())
        plain = "".join(code.split())
        assert recovery.find(session, 1, plain, server_secret=before)
    result = rotate()
    assert (result.exit_code, result.output) == (0, "rotated; copy the file to the other hosts and start the servers\n")
    after = file.read_bytes()
    assert (len(after), after != before, file.stat().st_mode & 0o777) == (32, True, 0o600)
    check_secret(own_platform.settings)
    with Session(own_platform.engine) as session:
        last = session.scalars(select(AuditEntry).order_by(AuditEntry.id.desc()).limit(1)).one()
        assert (last.event, last.actor, last.citizen_id) == ("platform.secret_rotated", "operator", None)
        assert {recovery.find(session, 1, plain, server_secret=secret) for secret in (before, after)} == {None}
    app = create_app(own_platform.settings, catalogue=own_platform.catalogue)
    with Platform(app, own_platform.settings, own_platform.catalogue, own_platform.totp_secrets) as anew:
        assert anew.citizen(signed_in=False).sign_in().status_code == 303
        assert 'href="/account"' in anew.citizen().client.get("/record").text
    with app.app_context():
        db.engine.dispose()


def test_a_new_secret_takes_a_statement_for_many_citizens(
    own_platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One for each was a minute for a hundred thousand on the database's own host, and a round trip each elsewhere."""
    batches: list[int] = []
    before = own_platform.settings.secret_file.read_bytes()
    with Session(own_platform.engine) as session, session.begin():
        numbers = session.scalars(select(CITIZEN.c.id)).all()

        @event.listens_for(own_platform.engine, "before_cursor_execute")
        def count(_1: object, _2: object, statement: str, parameters: Any, _3: object, executemany: bool) -> None:
            if statement.startswith("UPDATE citizen"):
                batches.append(len(parameters) if executemany else 1)

        monkeypatch.setattr(service, "BATCH", 2)
        service.change_secret(session, before, OTHER, now=clock.now())
        event.remove(own_platform.engine, "before_cursor_execute", count)
        sealed = session.execute(select(CITIZEN.c.id, CITIZEN.c.totp_secret_encrypted)).all()
    assert sorted(batches, reverse=True) == [2] * (len(numbers) // 2) + [1] * (len(numbers) % 2)
    assert {totp.decrypt(stored, OTHER, number) for number, stored in sealed} == set(own_platform.totp_secrets.values())


def test_a_rotation_that_breaks_off_leaves_the_right_file_beside_and_says_so(
    own_platform: Platform, rotate: Callable[[], Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = own_platform.settings.secret_file
    before = file.read_bytes()

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", killed)
        assert rotate().exit_code != 0
    assert file.read_bytes() == before
    assert isinstance(rotate().exception, SettingsError), "a second try must not write over the only copy"
    with pytest.raises(SettingsError, match=r"\.<name>\.new"):
        check_secret(own_platform.settings)
    file.with_name(f".{file.name}.new").replace(file)
    check_secret(own_platform.settings)
    assert rotate().exit_code == 0


def test_a_rotation_that_fails_before_changes_nothing(own_platform: Platform, rotate: Callable[[], Result]) -> None:
    file = own_platform.settings.secret_file
    before = file.read_bytes()
    with Session(own_platform.engine) as session, session.begin():
        stored = session.execute(select(CITIZEN).order_by(CITIZEN.c.id)).all()
        session.execute(update(CITIZEN).where(CITIZEN.c.id == 2).values(totp_secret_encrypted=bytes(60)))
        altered = session.execute(select(CITIZEN).order_by(CITIZEN.c.id)).all()
    assert str(rotate().exception).startswith("citizen number 2: ")
    assert altered != stored
    with Session(own_platform.engine) as session:
        assert session.execute(select(CITIZEN).order_by(CITIZEN.c.id)).all() == altered
    assert file.read_bytes() == before
    check_secret(own_platform.settings)


def set_version(engine: Engine, version: str) -> None:
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = :version"), {"version": version})


AWAY = "postgresql+psycopg://nobody@/nothing?host=/nonexistent"


def test_a_database_that_is_not_there_yet_is_waited_for_by_requests(settings: Settings) -> None:
    assert not check_secret(replace(settings, database_url=AWAY))
    assert check_secret(settings)


def test_whoever_watches_is_told_soon_that_somebody_holds_the_lock(
    app: Flask, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(installation, "SOON_MS", 100)
    browser = app.test_client()
    with ThreadPoolExecutor(1) as pool, engine.connect() as holder:
        if engine.dialect.name == "postgresql":
            holder.execute(text("LOCK TABLE installation"))
        else:
            holder.execute(select(Installation.id))  # whatever begins, writes
        assert pool.submit(browser.get, "/health").result(20).status_code == 503
    assert browser.get("/health").status_code == 200


def test_nobody_else_gives_up_as_soon_as_whoever_watches(app: Flask, engine: Engine) -> None:
    assert app.test_client().get("/health").status_code == 200
    limits = {"postgresql": ("SHOW lock_timeout", "0"), "sqlite": ("PRAGMA busy_timeout", 30_000)}
    asked, usual = limits[engine.dialect.name]
    with app.app_context(), db.engine.connect() as the_next:
        assert the_next.exec_driver_sql(asked).scalar_one() == usual


@pytest.mark.parametrize("own", [True, False])
def test_a_server_that_started_without_its_database_answers_nothing_under_another_secret(
    settings: Settings, engine: Engine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, own: bool
) -> None:
    check_secret(settings)
    if not own:
        settings.secret_file.write_bytes(OTHER)
    app = create_app(settings, secret_held=False)
    try:
        with monkeypatch.context() as patch:
            patch.setattr(installation, "check_secret", Mock(side_effect=OperationalError("", {}, Exception())))
            assert [app.test_client().get(path).status_code for path in ("/health", "/jwks")] == [503, 503]
        assert "database.of_another_release" not in caplog.messages
        set_version(engine, "0001")  # it is back, with the tables of another release
        assert [app.test_client().get(path).status_code for path in ("/health", "/jwks")] == [503, 503]
        assert "database.of_another_release" in caplog.messages
        set_version(engine, schema.newest())
        assert "secret.of_another_database" not in caplog.messages
        caplog.clear()
        seen = Mock(side_effect=installation.check_secret)
        monkeypatch.setattr(installation, "check_secret", seen)
        answers = [app.test_client().get(path).status_code for path in ("/health", "/jwks", "/sign-in")]
        assert answers == ([200] * 3 if own else [503] * 3)
        assert seen.call_count == (1 if own else 3), "once it is known, no request asks again"
    finally:
        with app.app_context():
            db.engine.dispose()
    assert ("secret.of_another_database" in caplog.messages) is not own


def test_a_worker_waits_for_its_database_and_ends_under_another_secret(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_secret(settings)
    monkeypatch.setattr(worker, "EVERY_S", 0)
    engine = new_engine(settings.database_url)
    turns: list[str] = []

    def first(session: Session) -> None:
        turns.append("first")
        if len(turns) < 3:
            raise OperationalError("", {}, Exception())
        installation.check_secret(session, OTHER)

    monkeypatch.setattr(worker, "_listen", lambda _: None)
    monkeypatch.setattr(worker, "_keep_watch", lambda *_, **__: turns.append("work"))
    with pytest.raises(SettingsError):
        worker.run(engine, limits=settings.limits, channels=(), first=first)
    assert turns == ["first"] * 3
    engine.dispose()


def test_a_worker_that_started_without_its_database_does_nothing_in_tables_of_another_release(
    settings: Settings, engine: Engine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MYDATA_SETTINGS", str(settings_file(settings, tmp_path)))
    monkeypatch.setattr("authz_server.cli.give_way", lambda _: None)
    monkeypatch.setattr(worker, "run", run := Mock())
    assert CliRunner().invoke(cli, ["worker"], catch_exceptions=False).exit_code == 0
    set_version(engine, "0001")
    with Session(engine) as session, pytest.raises(SettingsError, match="tables of version 0001"):
        run.call_args.kwargs["first"](session)
    if file := engine.url.database if engine.dialect.name == "sqlite" else None:
        away = Path(file).rename(tmp_path / "away")
        with Session(engine) as session, pytest.raises(OperationalError):  # which is waited for
            run.call_args.kwargs["first"](session)
        away.rename(file)
    set_version(engine, schema.newest())
    with Session(engine) as session:
        run.call_args.kwargs["first"](session)


def test_of_two_rotations_at_once_one_is_refused_and_its_secret_written_nowhere(
    own_platform: Platform, rotate: Callable[[], Result]
) -> None:
    file = own_platform.settings.secret_file
    before = file.read_bytes()
    check_secret(own_platform.settings)
    with ThreadPoolExecutor(1) as pool:
        with Session(own_platform.engine) as other, other.begin():
            installation.check_secret(other, before)
            waiting = pool.submit(rotate)
            with pytest.raises(TimeoutError):
                waiting.result(timeout=2)
            installation.set_secret(other, OTHER)
        assert isinstance(waiting.result().exception, SettingsError)
    assert file.read_bytes() == before
    assert not file.with_name(f".{file.name}.new").exists()


def test_a_secret_that_can_not_be_put_into_place_is_told_where_it_is(
    own_platform: Platform, rotate: Callable[[], Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where the file is mounted by itself, which no rename replaces."""
    file = own_platform.settings.secret_file
    beside = file.with_name(f".{file.name}.new")

    def busy(*_: object) -> None:
        raise OSError(errno.EBUSY, "Device or resource busy")

    monkeypatch.setattr(Path, "replace", busy)
    result = rotate()
    assert isinstance(result.exception, SettingsError)
    assert f"{beside} is what holds from now on: put it there by hand" in str(result.exception)
    with Session(own_platform.engine) as session:
        installation.check_secret(session, beside.read_bytes())


def test_a_file_that_lay_there_readable_by_all_is_not_so_any_more(
    own_platform: Platform, rotate: Callable[[], Result]
) -> None:
    file = own_platform.settings.secret_file
    beside = file.with_name(f".{file.name}.new")
    beside.write_bytes(b"")
    beside.chmod(0o644)
    assert rotate().exit_code == 0
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_secret_behind_a_link_is_replaced_where_it_is(own_platform: Platform, rotate: Callable[[], Result]) -> None:
    file = own_platform.settings.secret_file
    behind = file.with_name("behind")
    behind.mkdir()
    before = file.read_bytes()
    file.rename(behind / "itself")
    file.symlink_to(Path("behind", "itself"))
    assert rotate().exit_code == 0
    assert file.is_symlink()
    assert (behind / "itself").read_bytes() != before
    check_secret(own_platform.settings)
    assert [path.name for path in behind.iterdir()] == ["itself"]


def test_the_name_of_the_new_file_is_on_the_disk_before_the_database_goes_by_it(
    own_platform: Platform, rotate: Callable[[], Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a power failure after the commit could leave neither name nor secret, and no authenticator to be read."""
    synced: list[bool] = []

    def fsync(descriptor: int) -> None:
        synced.append(stat.S_ISDIR(os.fstat(descriptor).st_mode))

    def renamed(*_: object) -> None:
        raise KeyboardInterrupt  # so that what was synced is what was before

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(Path, "replace", renamed)
    rotate()
    assert synced == [False, True]


def test_a_folder_that_can_not_be_written_to_is_told_and_nothing_changed(
    own_platform: Platform, rotate: Callable[[], Result]
) -> None:
    file = own_platform.settings.secret_file
    file.with_name(f".{file.name}.new").mkdir()
    problem = rotate().exception
    assert isinstance(problem, SettingsError)
    assert f"{file} can't be replaced: " in str(problem)
    check_secret(own_platform.settings)
