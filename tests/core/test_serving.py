"""How the servers listen."""

import json
import os
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from http.client import HTTPConnection, HTTPException
from multiprocessing import Value
from threading import Barrier
from types import ModuleType
from typing import Any

import pytest

from authz_server.core import serving
from authz_server.core.admission import RETRY_AFTER_S
from authz_server.core.serving import UNPACED, UNSENT_BYTES, stay_on_core
from authz_server.portal.errors import DATABASE_AWAY_S
from resource_proxy.config import ProxySettings
from resource_proxy.connectors.base import AgencyDown
from resource_proxy.connectors.http_answer import RETRY_AFTER_DEFAULT_S
from tests.core import faulty, sockets, stopped, stopped_twice
from tests.support.ports import free_port, listens
from tests.support.waiting import wait_until


def test_each_worker_stays_on_a_core_of_its_own() -> None:
    started, all_there = Value("i"), Barrier(3)

    def worker(_: int) -> set[int]:
        # To the operating system a thread is a process.
        stay_on_core(started)
        all_there.wait()
        return os.sched_getaffinity(0)

    cores = sorted(os.sched_getaffinity(0))
    with ThreadPoolExecutor(3) as threads:
        kept_to = sorted(core for kept in threads.map(worker, range(3)) for core in kept)
    assert kept_to == sorted((cores * 3)[:3])
    assert sorted(os.sched_getaffinity(0)) == cores


def test_where_answers_are_long_every_connection_is_told_so() -> None:
    port = free_port()
    with subprocess.Popen([sys.executable, "-m", sockets.__name__, str(port)]) as server:
        try:
            wait_until(lambda: listens(port), "the server listens")
            ask(port)
            # Of those that listen, and of this connection, which came later.
            assert [each for each in ask(port) if each != [UNPACED.decode(), UNSENT_BYTES]] == []
        finally:
            server.terminate()


@pytest.mark.parametrize("path", ["/at-once", "/in-the-middle"])
def test_what_an_exception_says_is_in_no_log(path: str) -> None:
    port = free_port()
    command = [sys.executable, "-m", faulty.__name__, str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as server:
        try:
            wait_until(lambda: listens(port), "the server listens")
            with closing(HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
                connection.request("GET", path)
                with suppress(HTTPException, OSError):  # how much of it comes is a matter of luck
                    assert connection.getresponse().read() != faulty.WHOLE
        finally:
            server.terminate()
        log, _ = server.communicate()
    assert faulty.QUOTED not in log
    (line,) = (json.loads(line) for line in log.splitlines() if line.startswith("{"))
    assert (line["event"], line["exception"]) == ("answer.failed", "builtins.ValueError")
    assert "faulty.py" in line["frames"][-1]


@pytest.mark.parametrize("how", [stopped, stopped_twice], ids=["once", "twice"])
def test_a_server_that_is_told_to_stop_while_it_starts_stops(how: ModuleType) -> None:
    with subprocess.Popen([sys.executable, "-m", how.__name__, str(free_port())]) as server:
        try:
            server.wait(60)
        finally:
            server.kill()


def test_nobody_is_told_to_come_back_just_when_their_connection_is_closed() -> None:
    told = {RETRY_AFTER_S, DATABASE_AWAY_S, RETRY_AFTER_DEFAULT_S}
    told |= {AgencyDown().retry_after_s or 0, ProxySettings.breaker_cool_down_s}
    assert [after_s for after_s in told if abs(after_s - serving.IDLE_S) < 2] == []


def test_a_connection_on_which_nothing_comes_is_closed() -> None:
    port = free_port()
    with subprocess.Popen([sys.executable, "-m", sockets.__name__, str(port), "1"]) as server:
        try:
            wait_until(lambda: listens(port), "the server listens")
            with socket.create_connection(("127.0.0.1", port), timeout=15) as connection:
                connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
                while connection.recv(65536):
                    pass  # as long as something comes; the time-out is an error
        finally:
            server.terminate()


ASKED: dict[bytes, int] = {
    b"GET / HTTP/1.1\r\nHost: localhost\r\n": 200,
    b"GET http://localhost/ HTTP/1.1\r\n": 200,
    b"GET / HTTP/1.0\r\n": 200,
    b"GET / HTTP/1.1\r\n": 400,
    b"GET / HTTP/1.1\r\nHost:\r\n": 400,
    b"GET / HTTP/1.1\r\nHost: a.example\r\nHost: b.example\r\n": 400,
    b"GET / HTTP/1.1\r\nHost: a.example, b.example\r\n": 400,
}


def test_http_1_1_without_one_host_is_refused() -> None:
    port, told = free_port(), {}
    with subprocess.Popen([sys.executable, "-m", sockets.__name__, str(port)]) as server:
        try:
            wait_until(lambda: listens(port), "the server listens")
            for head in ASKED:
                with socket.create_connection(("127.0.0.1", port), timeout=15) as connection:
                    connection.sendall(head + b"Connection: close\r\n\r\n")
                    told[head] = int(connection.makefile("rb").readline().split()[1])
        finally:
            server.terminate()
    assert told == ASKED


def ask(port: int) -> Any:
    """What the server says of its own sockets, asked by a new connection."""
    with closing(HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        connection.request("GET", "/", headers={"Connection": "close"})
        told = json.load(connection.getresponse())
    assert len(told) > 1
    return told
