"""Log lines: JSON, listed identifiers, no values. Class of vulnerability: 25 (secrets in logs)."""

import contextlib
import errno
import fcntl
import json
import logging
import os
import select
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from pathlib import Path
from typing import Any, TextIO
from unittest.mock import Mock

import pytest

from authz_server.core import logging as log
from authz_server.core import secrets

Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Lines]:
    """Configure as in production; calling it returns the lines written since. Puts everything back."""
    stream = (tmp_path / "log").open("a+")
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(log, "_strict", True)  # restored after the test, whatever configure makes of it
    root = logging.getLogger()
    levels = {name: logging.getLogger(name).level for name in ("", "authlib", "urllib3")}
    handlers = root.handlers[:]
    log.configure("DEBUG")
    log.set_trace_id(None)  # a request that another test made in this thread has left its own

    def written() -> list[dict[str, Any]]:
        text = (tmp_path / "log").read_text()
        stream.truncate(0)
        return [json.loads(line) for line in text.splitlines()]

    with stream:
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


@pytest.fixture
def pipe(lines: Lines) -> Iterator[tuple[int, TextIO]]:
    """The two ends of a log that nobody reads yet."""
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as stream:
        sys.stderr = stream
        log.configure()
        yield reading, stream
    with contextlib.suppress(OSError):  # a test may have closed it
        os.close(reading)


def test_a_log_that_nobody_reads_holds_up_nobody_and_tells_later_what_was_lost(pipe: tuple[int, TextIO]) -> None:
    reading, _ = pipe
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda number: log.event("request.refused", count=number), range(5000)))
    taken = os.read(reading, 2**20).splitlines()
    assert all(json.loads(line)["event"] == "request.refused" for line in taken)
    log.event("server.busy")
    lost, last = map(json.loads, os.read(reading, 2**20).splitlines())
    assert (lost["event"], lost["count"]) == ("log.lost", 5000 - len(taken))
    assert last["event"] == "server.busy"


def test_room_that_another_process_takes_first_holds_up_nobody(
    pipe: tuple[int, TextIO], monkeypatch: pytest.MonkeyPatch
) -> None:
    reading, stream = pipe
    size = fcntl.fcntl(stream.fileno(), fcntl.F_GETPIPE_SZ)
    assert os.write(stream.fileno(), b"\n" * size) == size
    monkeypatch.setattr(select, "poll", lambda: Mock(poll=lambda _: [1]))  # there was, a moment ago
    writer = threading.Thread(target=log.event, args=["request.refused"])
    writer.start()
    writer.join(20)
    held_up = writer.is_alive()
    os.read(reading, size)
    writer.join()
    assert not held_up
    assert os.get_blocking(stream.fileno()), "nobody else who writes there is told not to wait"
    log.event("server.busy")
    lost, last = map(json.loads, os.read(reading, 2**20).splitlines())
    assert (lost["event"], lost["count"], last["event"]) == ("log.lost", 1, "server.busy")


def test_a_line_that_was_taken_in_part_does_not_run_into_the_next(pipe: tuple[int, TextIO]) -> None:
    reading, stream = pipe
    fill = b"x" * 4095 + b"\n"
    size = fcntl.fcntl(stream.fileno(), fcntl.F_SETPIPE_SZ, 2 * len(fill))
    assert os.write(stream.fileno(), fill) + len(fill) == size
    logging.getLogger("authlib").error("\x00" * 300, extra={"identifiers": {str(n): "\x00" * 300 for n in range(9)}})
    assert os.read(reading, len(fill)) == fill
    log.event("server.busy")
    torn, lost, last = os.read(reading, 2**20).splitlines()
    assert torn.startswith(b'{"at"')
    assert (json.loads(lost)["count"], json.loads(last)["event"]) == (1, "server.busy")


def test_a_log_whose_reader_is_gone_stops_nobody(pipe: tuple[int, TextIO], capfd: pytest.CaptureFixture[str]) -> None:
    reading, _ = pipe
    os.close(reading)
    for _ in range(2):
        log.event("server.busy")
    assert capfd.readouterr().err == ""


def test_a_line_of_a_library_that_can_not_be_made_takes_no_request_down_and_is_counted(lines: Lines) -> None:
    own = logging.getLogger().handlers[0]  # not pytest's, which may raise
    own.handle(logging.LogRecord("some.library", logging.WARNING, "", 0, "got %d", ("no number",), None))
    log.event("server.busy")
    lost, last = lines()
    assert (lost["event"], lost["count"], last["event"]) == ("log.lost", 1, "server.busy")


def test_a_line_of_which_a_full_disk_takes_a_part_does_not_run_into_the_next(
    lines: Lines, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    write, room = os.write, [10]

    def full(target: int, octets: bytes) -> int:
        if not room:
            raise OSError(errno.ENOSPC, "full")
        return write(target, octets[: room.pop()])

    monkeypatch.setattr(os, "write", full)
    log.event("request.refused")
    monkeypatch.undo()
    log.event("server.busy")
    torn, lost, last = (tmp_path / "log").read_text().splitlines()
    assert len(torn) == 10
    assert (json.loads(lost)["count"], json.loads(last)["event"]) == (1, "server.busy")
