"""How long a database is waited for that says nothing any more."""

from authz_server.database import GIVEN_UP_AFTER, engine_options

URL = "postgresql+psycopg://mydata@db.example.org/mydata"


def test_a_database_that_is_gone_without_a_word_is_given_up() -> None:
    arguments = engine_options(URL)["connect_args"]
    assert {name: arguments[name] for name in GIVEN_UP_AFTER} == GIVEN_UP_AFTER
    assert arguments["keepalives_idle"] + arguments["keepalives_interval"] * arguments["keepalives_count"] <= 15
    assert (arguments["connect_timeout"], arguments["tcp_user_timeout"]) == (5, 10_000)


def test_what_the_url_says_of_it_counts() -> None:
    arguments = engine_options(f"{URL}?connect_timeout=30&keepalives=0")["connect_args"]
    assert arguments.keys() & GIVEN_UP_AFTER.keys() == GIVEN_UP_AFTER.keys() - {"connect_timeout"}
