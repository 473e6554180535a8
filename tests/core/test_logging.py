"""Log lines: JSON, listed identifiers, no values. Class of vulnerability: 25 (secrets in logs)."""

import json
import logging
import sys
from collections.abc import Callable, Iterator
from contextvars import copy_context
from io import StringIO
from typing import Any

import pytest

from authz_server.core import logging as log
from authz_server.core import secrets

Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[Lines]:
    """Configure as in production; calling it returns the lines written since. Puts everything back."""
    stream = StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(log, "_strict", True)  # restored after the test, whatever configure makes of it
    root = logging.getLogger()
    levels = {name: logging.getLogger(name).level for name in ("", "authlib", "urllib3")}
    handlers = root.handlers[:]
    log.configure("DEBUG")
    log.set_trace_id(None)  # a request that another test made in this thread has left its own

    def written() -> list[dict[str, Any]]:
        text = stream.getvalue()
        stream.seek(0)
        stream.truncate()
        return [json.loads(line) for line in text.splitlines()]

    yield written
    root.handlers[:] = handlers
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


def test_an_event_is_one_json_line(lines: Lines) -> None:
    log.event("token.leased", dataset_id="ris.personal", attempt=1, reason=None)
    (line,) = lines()
    assert line.pop("at").endswith("+00:00")
    assert line == {"level": "INFO", "event": "token.leased", "dataset_id": "ris.personal", "attempt": 1}


def test_the_line_carries_the_trace_id_of_its_request(lines: Lines) -> None:
    def request() -> None:
        log.set_trace_id("c770aef3-6784-41f7-8e0e-ff5f97bddb3a")
        assert log.current_trace_id() == "c770aef3-6784-41f7-8e0e-ff5f97bddb3a"
        log.event("one")

    copy_context().run(request)
    log.event("two")
    one, two = lines()
    assert one["trace_id"] == "c770aef3-6784-41f7-8e0e-ff5f97bddb3a"
    assert "trace_id" not in two


def test_an_unlisted_identifier_raises_in_tests_and_development() -> None:
    with pytest.raises(ValueError, match="national_id"):
        log.event("citizen.added", national_id="A123456789")


def test_in_production_it_is_left_out_and_named(lines: Lines) -> None:
    log.event("citizen.added", citizen_id=7, national_id="A123456789")
    (line,) = lines()
    assert line["citizen_id"] == 7
    assert line["dropped"] == "national_id"
    assert "A123456789" not in json.dumps(line)


@pytest.mark.parametrize("prefix", ["mdc_", "mda_", "mdt_", "mdl_", "mds_"])
def test_a_secret_never_reaches_a_line(lines: Lines, prefix: str) -> None:
    secret = secrets.new_secret(prefix)
    log.event("token.refused", detail=f"unknown {secret}")
    logging.getLogger("some.library").warning("got %s", secret)
    assert secret not in json.dumps(lines())


def test_neither_does_a_jwt_or_a_request_uri(lines: Lines) -> None:
    log.event("x", detail="eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl urn:ietf:params:oauth:request_uri:abc")
    (line,) = lines()
    assert line["detail"] == "[secret] [secret]"


def test_a_message_cannot_forge_a_line(lines: Lines) -> None:
    log.event("x", detail='a"}\n{"event":"forged"}')
    assert [line["event"] for line in lines()] == ["x"]


def test_an_exception_is_logged_by_type_and_place_without_its_message(lines: Lines) -> None:
    try:
        raise LookupError("王小明 A123456789")
    except LookupError:
        logging.getLogger("authz_server").exception("failed")
    (line,) = lines()
    assert line["exception"] == "builtins.LookupError"
    assert line["frames"][-1].endswith(":test_an_exception_is_logged_by_type_and_place_without_its_message")
    assert "A123456789" not in json.dumps(line)


@pytest.mark.parametrize("library", ["authlib", "authlib.oauth2", "urllib3", "urllib3.connectionpool"])
def test_authlib_and_urllib3_never_go_below_info(lines: Lines, library: str) -> None:
    logging.getLogger(library).debug("the token is secret")
    logging.getLogger("other").debug("harmless")
    assert [line["event"] for line in lines()] == ["harmless"]


def test_a_line_below_the_level_is_not_written(lines: Lines) -> None:
    logging.getLogger().setLevel(logging.WARNING)
    log.event("quiet")
    log.event("loud", level=logging.WARNING)
    assert [line["event"] for line in lines()] == ["loud"]


def test_a_long_text_is_cut(lines: Lines) -> None:
    log.event("x", detail="d" * 10000)
    assert len(lines()[0]["detail"]) == 300
