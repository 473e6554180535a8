"""A TCP relay in front of a server that can hold what passes, request by request: how tests stop time at an edge.

A request is read completely before any of it goes on, so a server whose request is held knows nothing of it. An answer
is held before the first (or a later) byte of it goes on, so a server whose answer is held has done what it was asked.
"""

import contextlib
import re
import selectors
import socket
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Literal, Self

from tests.support.waiting import wait_until

CHUNK_BYTES = 64 * 1024
# Else the kernel takes in what a server sends while its answer is held, all of it where it may take 32 MiB.
BUFFER_BYTES = 256 * 1024
LIMIT_S = 60
CONTENT_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)
ON_THE_WAY = (ConnectionError, OSError)


@dataclass
class Hold:
    """One thing to hold: the first request that has all the marks, or its answer after so many bytes."""

    marks: Sequence[bytes]
    at: Literal["request", "answer"]
    after_bytes: int = 0
    reached: threading.Event = field(default_factory=threading.Event)
    _released: threading.Event = field(default_factory=threading.Event)
    _drop: bool = False

    def wait_until_reached(self, by: Future[Any] | None = None) -> None:
        """Return when it is held.  Raises: AssertionError if that never happens, or `by` ends without it."""
        what = f"something comes by with {self.marks}"
        wait_until(lambda: self.reached.is_set() or (by and by.done()), what, limit_s=LIMIT_S)
        assert by is None or self.reached.is_set(), f"nothing came by with {self.marks}; it ended with {by.result()}"

    def release(self, *, drop: bool = False) -> None:
        """Let it go on, or close the connection instead."""
        self._drop = drop
        self._released.set()

    def fits(self, request: bytes) -> bool:
        return not self.reached.is_set() and all(mark in request for mark in self.marks)

    def hold(self) -> None:
        """Stand still.  Raises: ConnectionAbortedError if the connection is to be closed."""
        self.reached.set()
        if not self._released.wait(LIMIT_S) or self._drop:
            raise ConnectionAbortedError


class Relay:
    """Listens on a port of loopback and forwards to another; `with Relay(...)` ends all its connections."""

    def __init__(self, port: int, target: int) -> None:
        self._target = ("127.0.0.1", target)
        self._listener = socket.create_server(("127.0.0.1", port), backlog=128)
        self._holds: list[Hold] = []
        self._threads: list[threading.Thread] = []
        self._stop_reader, self._stop_writer = socket.socketpair()

    def hold(self, *marks: bytes, at: Literal["request", "answer"], after_bytes: int = 0) -> Hold:
        """Hold the next request that has all these marks, or its answer."""
        hold = Hold(marks, at, after_bytes)
        self._holds.append(hold)
        return hold

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for hold in self._holds:
            hold.release(drop=True)
        self._stop_writer.close()  # wakes everybody who waits for a socket
        self._threads[0].join(LIMIT_S)
        for thread in self._threads[1:]:
            thread.join(LIMIT_S)
        self._listener.close()
        self._stop_reader.close()

    def _start(self, run: Callable[..., None], *arguments: socket.socket) -> None:
        thread = threading.Thread(target=run, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while self._readable(self._listener) is self._listener:
            connection, _ = self._listener.accept()
            self._start(self._serve, connection)

    def _serve(self, client: socket.socket) -> None:
        """Forward one connection until an end of it closes, or a hold drops it."""
        with client, contextlib.suppress(*ON_THE_WAY), socket.create_connection(self._target) as server:
            server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
            while (request := self._read_request(client)) and self._forward(request, client, server):
                pass

    def _forward(self, request: bytes, client: socket.socket, server: socket.socket) -> bool:
        """One request and its answer; whether there may be another."""
        hold = next((hold for hold in self._holds if hold.fits(request)), None)
        if hold is not None and hold.at == "request":
            hold.hold()
        server.sendall(request)
        passed = 0
        while (ready := self._readable(server, client)) is server:
            part = server.recv(CHUNK_BYTES)
            if not part:
                return False
            if hold is not None and hold.at == "answer" and not hold.reached.is_set() and passed >= hold.after_bytes:
                hold.hold()
            client.sendall(part)
            passed += len(part)
        return ready is client  # the next request of a connection that is kept, or its end

    def _read_request(self, client: socket.socket) -> bytes:
        """A whole request; empty if there is none any more."""
        request = b""
        while not _is_whole(request):
            if self._readable(client) is not client or not (part := client.recv(CHUNK_BYTES)):
                return b""
            request += part
        return request

    def _readable(self, *sockets: socket.socket) -> socket.socket | None:
        """The first of the sockets that has something to read (or has ended); None when the relay is to stop."""
        with selectors.DefaultSelector() as selector:
            for one in (self._stop_reader, *sockets):
                selector.register(one, selectors.EVENT_READ)
            ready = {key.fileobj for key, _ in selector.select()}
        return None if self._stop_reader in ready else next(one for one in sockets if one in ready)


def _is_whole(request: bytes) -> bool:
    head, end, body = request.partition(b"\r\n\r\n")
    length = CONTENT_LENGTH.search(head + b"\r\n")
    return bool(end) and len(body) >= (int(length[1]) if length else 0)
