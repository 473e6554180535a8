"""Overload, over real sockets: so many at work, so many in line, everybody else is told at once to come back."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection
from io import BytesIO
from select import select
from socket import SHUT_WR, create_connection, create_server, socket
from typing import Any
from uuid import uuid4

import pytest
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.wrappers import Request

from authz_server.core.admission import LARGEST_BODY_BYTES, TRACE_PLACE, Admission, ReadyAnswer, Room, give_up_turn
from tests.core.doorman import ROOM
from tests.support.ports import free_port, listens
from tests.support.waiting import wait_until

LIMIT_S = 30
FOREVER_S = 3600
ADMITTED = ROOM.at_once + ROOM.waiting
FLOOD = 20


class Door:
    """The server, and the gate at which whatever it works on stands until it is let go."""

    def __init__(self, port: int, gate: socket, stack: ExitStack, pid: int) -> None:
        self.port = port
        self.pid = pid
        self.gate = gate
        self.stack = stack

    def send(self, path: str = "/", trace_id: str = "") -> HTTPConnection:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=LIMIT_S)
        self.stack.callback(connection.close)
        connection.request("GET", path, headers={"X-FAPI-Interaction-ID": trace_id})
        return connection

    def next_at_work(self) -> tuple[socket, str]:
        """Whoever comes to the gate next, and the path of its request."""
        held, _ = self.gate.accept()
        self.stack.callback(held.close)
        held.settimeout(LIMIT_S)
        return held, held.makefile().readline().strip()

    def let_go(self) -> str:
        """Let the next one end; the path of its request."""
        held, path = self.next_at_work()
        held.sendall(b".")
        return path

    def serve(self, admitted: list[HTTPConnection], path: str = "/") -> None:
        """Let as many end as were admitted, and see that each is answered: after that, nobody holds a turn."""
        assert [self.let_go() for _ in admitted] == [path] * len(admitted)
        assert [read(connection) for connection in admitted] == [(200, b"well done.")] * len(admitted)

    def nobody_came(self) -> bool:
        """Whether nobody stands at the gate."""
        return not select([self.gate], [], [], 0)[0]

    def fill(self) -> list[HTTPConnection]:
        """Take every turn and every place in the line; those who hold them. All others were refused."""
        sent = [self.send() for _ in range(FLOOD)]
        wait_until(lambda: len(answered(sent)) == FLOOD - ADMITTED, "all but the admitted are answered")
        refused = answered(sent)
        assert {read(connection)[0] for connection in refused} == {503}
        return [connection for connection in sent if connection not in refused]


def answered(connections: list[HTTPConnection]) -> list[HTTPConnection]:
    ready = select([connection.sock for connection in connections], [], [], 0)[0]
    return [connection for connection in connections if connection.sock in ready]


def read(connection: HTTPConnection) -> tuple[int, bytes]:
    response = connection.getresponse()
    return response.status, response.read()


@contextmanager
def opened(patience_s: float) -> Iterator[Door]:
    port = free_port()
    with ExitStack() as stack:
        gate = stack.enter_context(create_server(("127.0.0.1", 0)))
        gate.settimeout(LIMIT_S)
        command = [sys.executable, "-m", "tests.core.doorman", str(port), str(gate.getsockname()[1]), str(patience_s)]
        server = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True)
        stack.callback(server.wait, LIMIT_S)
        stack.callback(os.killpg, server.pid, signal.SIGKILL)
        wait_until(lambda: listens(port), "the server listens")
        yield Door(port, gate, stack, server.pid)


@pytest.fixture(scope="module")
def door() -> Iterator[Door]:
    """A server at which nobody in line loses patience."""
    with opened(FOREVER_S) as door:
        yield door


def test_when_the_server_is_killed_no_worker_stays_behind() -> None:
    with opened(FOREVER_S) as door:
        os.kill(door.pid, signal.SIGKILL)
        wait_until(lambda: not listens(door.port), "nobody listens any more")


def test_what_is_slow_takes_no_turns_from_the_others(door: Door) -> None:
    at_work = door.send("/slow")
    slow, _ = door.next_at_work()
    others = [door.send(path) for path in ("/slow", "//slow", "/slow", "///slow")]  # for Werkzeug it is all the same
    wait_until(lambda: len(answered(others)) == len(others) - 1, "all but the one in line are answered")
    (in_line,) = (connection for connection in others if connection not in answered(others))
    quick = [door.send() for _ in range(ROOM.at_once)]
    door.serve(quick)
    slow.sendall(b".")
    assert door.let_go() == "/slow"
    assert [read(connection)[0] for connection in (at_work, in_line)] == [200, 200]


def test_what_is_too_much_is_refused_while_all_turns_are_taken_and_the_others_are_served(door: Door) -> None:
    admitted = door.fill()
    assert len(admitted) == ADMITTED
    door.serve(admitted)
    assert door.nobody_came()  # the application saw none of those that were refused


def test_whoever_was_refused_is_let_in_later_on_the_same_connection(door: Door) -> None:
    admitted = door.fill()
    late = door.send()
    assert read(late)[0] == 503
    door.serve(admitted)
    late.request("GET", "/again")
    assert door.let_go() == "/again"
    assert read(late)[0] == 200


def test_a_refusal_has_the_trace_id_of_its_request(door: Door) -> None:
    admitted = door.fill()
    trace_id = str(uuid4())
    assert read(door.send(trace_id=trace_id)) == (503, trace_id.encode())
    door.serve(admitted)


def test_what_ends_other_work_needs_no_turn(door: Door) -> None:
    admitted = door.fill()
    held = [door.next_at_work()[0] for _ in range(ROOM.at_once)]
    essential = door.send("/essential")
    assert door.let_go() == "/essential"
    assert read(essential)[0] == 200
    for connection in held:
        connection.sendall(b".")
    assert [door.let_go() for _ in range(ROOM.waiting)] == ["/"] * ROOM.waiting
    assert {read(connection)[0] for connection in admitted} == {200}


def test_an_answer_keeps_its_turn_until_its_last_byte(door: Door) -> None:
    streams = [door.send("/stream") for _ in range(ROOM.at_once)]
    held = [door.next_at_work()[0] for _ in streams]
    others = [door.send("/next") for _ in range(FLOOD)]
    wait_until(lambda: len(answered(others)) == FLOOD - ROOM.waiting, "all but those in line are refused")
    refused = answered(others)
    assert door.nobody_came()
    for connection in held:
        connection.sendall(b".")
    assert [read(connection)[1] for connection in streams] == [b"begunended"] * len(streams)
    door.serve([connection for connection in others if connection not in refused], "/next")


def test_a_client_that_hangs_up_gives_its_turn_back(door: Door) -> None:
    for _ in range(ROOM.at_once + 1):
        leaving = door.send("/stream")
        held, _ = door.next_at_work()
        leaving.close()
        held.sendall(b".")
    staying = door.send()
    assert door.let_go() == "/"
    assert read(staying)[0] == 200


def post(door: Door, announced_bytes: int, sent: bytes) -> socket:
    """Begin to send a body."""
    connection = create_connection(("127.0.0.1", door.port), timeout=LIMIT_S)
    door.stack.callback(connection.close)
    head = f"POST /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {announced_bytes}\r\n\r\n"
    connection.sendall(head.encode() + sent)
    return connection


def read_all(connection: socket) -> bytes:
    with connection.makefile("rb") as file:
        return file.read()


def test_whoever_sends_slowly_holds_no_turn_and_leaves_room_for_who_sends_nothing(door: Door) -> None:
    slow = [post(door, 3, b"a") for _ in range(FLOOD)]
    wait_until(lambda: len(select(slow, [], [], 0)[0]) == FLOOD - ADMITTED, "all but those with a place are refused")
    refused = select(slow, [], [], 0)[0]
    assert all(read_all(connection).startswith(b"HTTP/1.1 503") for connection in refused)
    quick = door.send()
    assert door.let_go() == "/"
    assert read(quick)[0] == 200
    for connection in [connection for connection in slow if connection not in refused]:
        connection.sendall(b"bc")
        assert read_all(connection).endswith(b"\r\n\r\nabc")


def test_half_a_body_is_not_taken_for_a_whole_one(door: Door) -> None:
    leaving = post(door, 4, b"abc")
    leaving.shutdown(SHUT_WR)
    assert read_all(leaving).endswith(b"\r\n\r\n")
    assert read_all(post(door, 3, b"abc")).endswith(b"\r\n\r\nabc")


def test_no_more_of_a_body_is_taken_in_than_shows_that_it_is_too_long(door: Door) -> None:
    answer = read_all(post(door, 2 * LARGEST_BODY_BYTES, bytes(LARGEST_BODY_BYTES + 1)))
    assert len(answer.partition(b"\r\n\r\n")[2]) == LARGEST_BODY_BYTES + 1


def test_whoever_loses_patience_is_refused_and_leaves_the_line() -> None:
    with opened(patience_s=0.05) as door:
        sent = [door.send() for _ in range(ADMITTED)]
        held = [door.next_at_work()[0] for _ in range(ROOM.at_once)]
        wait_until(lambda: len(answered(sent)) == ROOM.waiting, "those in line are answered")
        refused = answered(sent)
        assert {read(connection)[0] for connection in refused} == {503}
        for connection in held:
            connection.sendall(b".")
        assert {read(connection)[0] for connection in sent if connection not in refused} == {200}
        assert door.nobody_came()


def nothing(*_: object) -> Any:
    """A `start_response` that nobody listens to."""


def failing(_environ: Any, _start_response: Any) -> Iterable[bytes]:
    raise ZeroDivisionError


def reading(environ: Any, _start_response: Any) -> Iterable[bytes]:
    request = Request(environ)
    request.max_content_length = LARGEST_BODY_BYTES
    return [request.get_data()]


def test_chunks_that_are_too_long_are_not_cut_off_where_they_become_so() -> None:
    guarded = Admission(reading, room=Room(at_once=2, waiting=0), refusal=ReadyAnswer((), b""))
    chunked = {"PATH_INFO": "/", "HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True}
    whole = bytes(LARGEST_BODY_BYTES)
    assert list(guarded(chunked | {"wsgi.input": BytesIO(whole)}, nothing)) == [whole]
    with pytest.raises(RequestEntityTooLarge):
        guarded(chunked | {"wsgi.input": BytesIO(whole + b"x")}, nothing)


def test_a_room_is_for_paths_by_how_they_begin_or_end() -> None:
    room = Room(at_once=1, waiting=0, paths=("/slow",), endings=(".pdf",))
    assert [room.is_for(path) for path in ("/slow/x", "/x/y.pdf", "/x.pdf/y", "/")] == [True, True, False, False]
    assert not Room(at_once=1, waiting=0, paths=("/slow",)).is_for("/x/y.pdf")


def test_an_application_that_fails_gives_its_turn_back() -> None:
    guarded = Admission(failing, room=Room(at_once=1, waiting=0), refusal=ReadyAnswer((), b""))
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            guarded({"PATH_INFO": "/"}, nothing)


def test_an_answer_that_is_closed_twice_gives_one_turn_back() -> None:
    guarded = Admission(lambda *_: iter([b"ok"]), room=Room(at_once=1, waiting=0), refusal=ReadyAnswer((), b"busy"))
    first: Any = guarded({"PATH_INFO": "/"}, nothing)
    assert list(guarded({"PATH_INFO": "/"}, nothing)) == [b"busy"]
    first.close()
    first.close()
    assert list(guarded({"PATH_INFO": "/"}, nothing)) == [b"ok"]
    assert list(guarded({"PATH_INFO": "/"}, nothing)) == [b"busy"]


def test_an_answer_that_is_there_as_a_whole_keeps_nobody_waiting() -> None:
    guarded = Admission(lambda *_: [b"ok"], room=Room(at_once=1, waiting=0), refusal=ReadyAnswer((), b"busy"))
    answers = [guarded({"PATH_INFO": "/"}, nothing) for _ in range(2)]
    assert answers == [[b"ok"]] * 2


def test_whoever_only_waits_lets_another_work_and_gives_one_turn_back() -> None:
    def waiting(environ: dict[str, Any], _start: object) -> Iterator[bytes]:
        if not given_back:
            give_up_turn(environ)
        return iter([b"ok"])

    given_back: list[bool] = []
    guarded = Admission(waiting, room=Room(at_once=1, waiting=0), refusal=ReadyAnswer((), b"busy"))
    answers: list[Any] = [guarded({"PATH_INFO": "/"}, nothing) for _ in range(3)]
    assert [list(answer) for answer in answers] == [[b"ok"]] * 3
    for answer in answers:
        answer.close()
    given_back.append(True)
    answers = [guarded({"PATH_INFO": "/"}, nothing) for _ in range(2)]
    assert [list(answer) for answer in answers] == [[b"ok"], [b"busy"]]


def test_a_ready_answer_makes_up_a_trace_id_for_whoever_sent_none() -> None:
    said: dict[str, str] = {}
    answer = ReadyAnswer((("X-Trace", TRACE_PLACE),), TRACE_PLACE.encode())

    def start(_status: str, headers: list[tuple[str, str]]) -> None:
        said.update(headers)

    (body,) = answer({"PATH_INFO": "/"}, start)  # type: ignore[arg-type]
    assert body.decode() == said["X-Trace"] != TRACE_PLACE
