"""How long a database is waited for that says nothing any more, and what is left of the connections to one that did."""

from contextlib import AbstractContextManager, ExitStack

import pytest
from flask import Flask
from sqlalchemy import Connection, Engine, event, literal, select

from authz_server.consent.errors import NoSuchConsent
from authz_server.database import GIVEN_UP_AFTER, UNREACHABLE, db, engine_options, reading
from authz_server.portal.errors import handle_domain_error
from authz_server.prepared import Executor, Prepared, lone_connection
from tests.support import postgres

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


def ask(connection: Connection | Executor) -> None:
    """Ask for a row; an error of a dead connection passes."""
    (row,) = Prepared(select(literal(7).label("found"))).run(connection, {})
    assert row.found == 7
