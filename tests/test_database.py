"""How long a database is waited for that says nothing any more, and what is left of the connections to one that did."""

from contextlib import AbstractContextManager, ExitStack
from functools import partial
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import Connection, Engine, bindparam, delete, event, false, func, literal, select, text

from authz_server.consent.errors import NoSuchConsent
from authz_server.database import GIVEN_UP_AFTER, UNREACHABLE, db, engine_options, new_engine, reading, why
from authz_server.installation import Installation
from authz_server.portal.errors import handle_domain_error
from authz_server.prepared import Executor, Lone, Prepared, lone_connection
from tests.support import postgres
from tests.support.waiting import wait_until

URL = "postgresql+psycopg://mydata@db.example.org/mydata"


def test_a_database_that_is_gone_without_a_word_is_given_up() -> None:
    arguments = engine_options(URL)["connect_args"]
    assert {name: arguments[name] for name in GIVEN_UP_AFTER} == GIVEN_UP_AFTER
    assert arguments["keepalives_idle"] + arguments["keepalives_interval"] * arguments["keepalives_count"] <= 15
    assert (arguments["connect_timeout"], arguments["tcp_user_timeout"]) == (5, 10_000)


def test_what_the_url_says_of_it_counts() -> None:
    arguments = engine_options(f"{URL}?connect_timeout=30&keepalives=0")["connect_args"]
    assert arguments.keys() & GIVEN_UP_AFTER.keys() == GIVEN_UP_AFTER.keys() - {"connect_timeout"}


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
@pytest.mark.parametrize("kind", ["the pool's", "lone"])
def test_a_database_that_came_anew_refuses_nothing_although_connections_to_it_were_idle(
    engine: Engine, kind: str
) -> None:
    def connect() -> AbstractContextManager[Connection | Executor]:
        return lone_connection(engine) if kind == "lone" else reading(engine).connect()

    with ExitStack() as stack:
        for _ in range(3):
            ask(stack.enter_context(connect()))
    assert postgres.cut_connections(str(engine.url.database)) == 3
    with ExitStack() as stack:
        for _ in range(4):
            ask(stack.enter_context(connect()))


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_database_that_goes_again_right_after_it_came_is_told_as_one_that_is_away(engine: Engine) -> None:
    """Else the answer would be 500, and the worker would end."""
    with engine.connect() as connection:
        ask(connection)

    def go(*_: object) -> None:
        postgres.cut_connections(str(engine.url.database))

    go()
    event.listen(engine, "connect", go)
    with pytest.raises(UNREACHABLE), engine.connect() as connection:
        ask(connection)


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_what_was_answered_stands_when_the_database_goes_right_after_it_was_read(app: Flask) -> None:
    with app.app_context():
        ask(db.session.connection())
        assert postgres.cut_connections(str(db.engine.url.database)) > 0
    with app.app_context():
        ask(db.session.connection())


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_refusal_is_answered_when_the_database_goes_right_after_it_was_read(app: Flask) -> None:
    with app.test_request_context("/consent/none"):
        ask(db.session.connection())
        assert postgres.cut_connections(str(db.engine.url.database)) > 0
        assert handle_domain_error(NoSuchConsent()).status_code == 400


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_database_that_ends_idle_transactions_is_told_as_one_that_is_away(engine: Engine) -> None:
    """Whoever administers it may have set that: the answer would be 500. How it hears of its end varies."""
    alive = text("SELECT count(*) FROM pg_stat_activity WHERE pid = :process")
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as other:
        for _ in range(8):
            with engine.connect() as connection:
                process = connection.scalar(text("SELECT pg_backend_pid()"))
                connection.execute(text("SET idle_in_transaction_session_timeout = 1"))
                wait_until(lambda: other.scalar(alive, {"process": process}) == 0, "it is ended")  # noqa: B023
                with pytest.raises(UNREACHABLE):
                    ask(connection)


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
@pytest.mark.parametrize("kind", ["the pool's", "lone"])
def test_no_connection_to_a_database_that_takes_no_changes_is_kept(engine: Engine, kind: str) -> None:
    """What takes over may be at the same address."""
    turn = text(f"ALTER DATABASE {engine.url.database} SET default_transaction_read_only = :to")
    change = Prepared(delete(Installation).where(false()).returning(Installation.id))
    with ExitStack() as stack:
        administrator = stack.enter_context(engine.connect().execution_options(isolation_level="AUTOCOMMIT"))
        connect = partial(lone_connection, engine) if kind == "lone" else engine.connect
        administrator.execute(turn.bindparams(bindparam("to", "on", literal_execute=True)))
        for _ in range(2):
            with pytest.raises(UNREACHABLE) as caught, connect() as connection:
                change.run(connection, {})
            assert why(caught.value) == {
                "reason": "ReadOnlySqlTransaction",
                "detail": "cannot execute DELETE in a read-only transaction",
            }
        administrator.execute(turn.bindparams(bindparam("to", "off", literal_execute=True)))
        with connect() as connection:
            change.run(connection, {})


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
@pytest.mark.parametrize("kind", ["the pool's", "lone"])
def test_a_role_that_has_lost_its_rights_is_told_as_a_database_that_is_away(engine: Engine, kind: str) -> None:
    """As after a backup that somebody else has put back. Of what is idle only the connection that was refused goes."""
    with postgres.role() as role:
        of_role = new_engine(engine.url.set(username=role).render_as_string(hide_password=False))
        connect = partial(lone_connection, of_role) if kind == "lone" else of_role.connect
        with connect() as one, connect() as other:
            before = {process(one), process(other)}
        with pytest.raises(UNREACHABLE) as caught, connect() as connection:
            Prepared(select(Installation.id)).run(connection, {})
        told = {"reason": "InsufficientPrivilege", "detail": "permission denied for table installation"}
        assert why(caught.value) == told
        with connect() as one, connect() as other:
            assert len({process(one), process(other)} & before) == 1
        with engine.begin() as owner:
            owner.execute(text(f"GRANT SELECT ON installation TO {role}"))
        with connect() as connection:
            Prepared(select(Installation.id)).run(connection, {})
        of_role.dispose()
        with engine.begin() as owner:
            owner.execute(text(f"REVOKE ALL ON installation FROM {role}"))


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_whoever_is_led_to_the_session_of_another_connection_runs_nothing_of_it(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As by a pooler that was put between while all ran: the database is as good as away."""
    one, other = (Prepared(select(literal(number).label("found"))) for number in (1, 2))
    with lone_connection(engine) as ours, lone_connection(engine) as theirs:
        assert isinstance(ours, Lone)
        assert isinstance(theirs, Lone)
        one.run(ours, {})
        other.run(theirs, {})
        with monkeypatch.context() as led:
            led.setattr(ours, "_server", theirs._server)
            with pytest.raises(UNREACHABLE) as caught:
                one.run(ours, {})
        assert why(caught.value)["reason"] == "InvalidSqlStatementName"
        assert ours.connection.closed
        assert [row.found for row in other.run(theirs, {})] == [2]


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
@pytest.mark.parametrize("kind", ["the pool's", "lone"])
def test_tables_that_are_gone_are_told_as_a_database_that_is_away(engine: Engine, kind: str) -> None:
    """As while a backup is put back; what was prepared before finds the new ones."""
    connect = partial(lone_connection, engine) if kind == "lone" else engine.connect
    statement = Prepared(select(Installation.id))
    with connect() as connection:
        statement.run(connection, {})
    with engine.begin() as administrator:
        administrator.execute(text("ALTER TABLE installation RENAME TO away"))
    with pytest.raises(UNREACHABLE) as caught, connect() as connection:
        statement.run(connection, {})
    told = why(caught.value)
    assert told["reason"] == "UndefinedTable"
    assert told["detail"].startswith('relation "installation" does not exist')
    with engine.begin() as administrator:
        administrator.execute(text("ALTER TABLE away RENAME TO installation"))
    with connect() as connection:
        statement.run(connection, {})


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_file_that_takes_no_changes_is_told_by_its_name_for_that(engine: Engine) -> None:
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA query_only = on")
        with pytest.raises(UNREACHABLE) as caught:
            connection.execute(delete(Installation))
        connection.exec_driver_sql("PRAGMA query_only = off")
    assert why(caught.value) == {"reason": "SQLITE_READONLY", "detail": "attempt to write a readonly database"}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_nothing_goes_to_a_file_that_is_gone_and_none_is_made(engine: Engine) -> None:
    """Else a token that was spent there would be good again when the file comes back, or a copy of it."""
    path = Path(str(engine.url.database))
    with engine.connect() as connection:
        ask(connection)
    away = path.rename(path.with_name("away"))
    with pytest.raises(UNREACHABLE, match="No such file"), engine.connect():
        pass
    assert not path.exists()
    path.write_bytes(b"")  # another one
    with pytest.raises(UNREACHABLE, match="no such table"), engine.connect() as connection:
        connection.execute(select(Installation.id))
    away.rename(path)
    with engine.connect() as connection:
        connection.execute(select(Installation.id))


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_nothing_goes_to_a_file_to_which_a_link_leads_no_longer(engine: Engine, tmp_path: Path) -> None:
    link, other = tmp_path / "link", tmp_path / "other"
    link.symlink_to(str(engine.url.database))
    of_link = new_engine(f"sqlite:///{link}")
    with of_link.connect() as connection:
        ask(connection)
    other.touch()
    link.unlink()
    link.symlink_to(other)
    with pytest.raises(UNREACHABLE, match="no such table"), of_link.connect() as connection:
        connection.execute(select(Installation.id))
    of_link.dispose()


def process(connection: Connection | Executor) -> int:
    """Which one serves this connection."""
    (row,) = Prepared(select(func.pg_backend_pid().label("id"))).run(connection, {})
    return int(row.id)


def ask(connection: Connection | Executor) -> None:
    """Ask for a row; an error of a dead connection passes."""
    (row,) = Prepared(select(literal(7).label("found"))).run(connection, {})
    assert row.found == 7
