"""Whoever uses the sandbox comes again where a server has no room."""

import socket
import threading

import pytest

from client_examples.sandbox.browser import LONGEST_PAUSE_S, Browser
from tests.core.servers import serving

BUSY = b"HTTP/1.1 503 Busy\r\nRetry-After: 0\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
PAGE = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 17\r\nConnection: close\r\n\r\n<title>in</title>"
FORM = b"<form method=post><button id=go name=go value=1></button></form>"


def test_a_button_is_pressed_again_until_there_is_room() -> None:
    form = PAGE.replace(b"17", b"%d" % len(FORM)).replace(b"<title>in</title>", FORM)
    answers = [form, BUSY, BUSY, PAGE]

    def answer(connection: socket.socket, _: threading.Event) -> None:
        connection.sendall(answers.pop(0))

    with serving(answer) as server:
        browser = Browser()
        assert browser.submit(browser.open(f"http://127.0.0.1:{server.port}/"), "go").title == "in"
    pressed = [request for request in server.requests if request.startswith(b"POST")]
    assert len(pressed) == 3
    assert {request.rpartition(b"\r\n\r\n")[2] for request in pressed} == {b"go=1"}


def test_nobody_is_waited_for_longer_than_a_person_would(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("time.sleep", pauses.append)
    answers = [BUSY.replace(b"After: 0", b"After: 86400"), PAGE]
    with serving(lambda connection, _: connection.sendall(answers.pop(0))) as server:
        assert Browser().open(f"http://127.0.0.1:{server.port}/").title == "in"
    assert LONGEST_PAUSE_S in pauses
    assert max(pauses) == LONGEST_PAUSE_S


@pytest.mark.parametrize("most_busy", [0, 2])
def test_who_says_nothing_else_is_believed_in_the_end(most_busy: int) -> None:
    with serving(lambda connection, _: connection.sendall(BUSY)) as server:
        assert Browser(most_busy=most_busy).open(f"http://127.0.0.1:{server.port}/").status == 503
    assert len(server.requests) == 1 + most_busy
