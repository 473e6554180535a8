"""Real sockets for what the proxy talks to: a peer that says exactly the octets a test wants, also wrong ones."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import orjson

Say = Callable[[socket.socket], None]


@dataclass
class Request:
    """What a peer was asked; header names in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


def reply(status: int, body: bytes = b"", **headers: str) -> bytes:
    """A complete answer with its Content-Length; `content_type` becomes Content-Type."""
    lines = [f"HTTP/1.1 {status} Said", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


def json_reply(status: int, document: Any, **headers: str) -> bytes:
    return reply(status, orjson.dumps(document), content_type="application/json", **headers)


@dataclass
class Peer:
    """A server whose `answer` a test sets: octets, or a function that says them itself and is hung up on."""

    answer: Callable[[Request], bytes | Say | None] = lambda _request: reply(500)
    tls: ssl.SSLContext | None = None
    requests: list[Request] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._accepting = threading.Thread(target=self._accept)
        self._accepting.start()

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    @property
    def url(self) -> str:
        return f"http{'s' if self.tls else ''}://127.0.0.1:{self.port}"

    @property
    def connections(self) -> int:
        """How many were made to it so far."""
        return len(self._threads)

    def stop(self) -> None:
        """Close everything and wait for the threads."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._accepting.join()
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(connection,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
            if self.tls is not None:
                connection = self._handshake(connection)
            stack.callback(connection.close)
            stack.callback(self._open.discard, connection)
            self._open.add(connection)
            reader = stack.enter_context(connection.makefile("rb"))
            while (request := _read(reader)) is not None:
                self.requests.append(request)
                said = self.answer(request)
                if not isinstance(said, bytes):
                    if said is not None:
                        said(connection)
                    return
                connection.sendall(said)

    def _handshake(self, connection: socket.socket) -> socket.socket:
        assert self.tls is not None
        with connection:  # the wrapped one takes it over, or the handshake failed
            return self.tls.wrap_socket(connection, server_side=True)


def _read(reader: Any) -> Request | None:
    line = reader.readline()
    if not line:
        return None
    method, path, _ = line.decode().split(" ")
    headers = {}
    while (line := reader.readline().strip()) != b"":
        name, _, value = line.decode().partition(":")
        headers[name.lower()] = value.strip()
    return Request(method, path, headers, reader.read(int(headers.get("content-length", 0))))
