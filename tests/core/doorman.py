"""A server whose requests stay at work until the test lets them go: `python -m tests.core.doorman PORT GATE PATIENCE`.

Each request at work holds a connection to the test's GATE; one byte from there lets it end.
"""

import socket
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from unittest import mock

from authz_server.core import admission
from authz_server.core.serving import Served, serve

ROOM = admission.Room(at_once=2, waiting=3, essential=("/essential",))
SLOW = admission.Room(at_once=1, waiting=1, paths=("/slow",))


def application(environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
    """Hold until let go: before the answer, or for /stream in the middle of it."""

    def hold() -> None:
        with socket.create_connection(("127.0.0.1", GATE)) as gate:
            gate.sendall(environ["PATH_INFO"].encode() + b"\n")
            gate.recv(1)

    def stream() -> Iterator[bytes]:
        yield b"begun"
        hold()
        yield b"ended"

    if environ["PATH_INFO"] == "/echo":
        body = environ["wsgi.input"].read()
        start_response("200 OK", [("Content-Length", str(len(body)))])
        return [body]
    start_response("200 OK", [("Content-Length", "10")])
    if environ["PATH_INFO"] == "/stream":
        return stream()
    hold()
    return [b"well done."]


def made() -> Served:
    return Served(application, admission.ReadyAnswer((("Content-Length", "36"),), admission.TRACE_PLACE.encode()))


if __name__ == "__main__":
    port, GATE, patience_s = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    with mock.patch.object(admission, "PATIENCE_S", patience_s):
        serve("doorman", made, bind=f"127.0.0.1:{port}", workers=1, rooms=[SLOW, ROOM])
