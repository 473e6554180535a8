"""Small real servers for the guard of outgoing requests: what it meets is sockets, not mocks."""

import re
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from socket import SHUT_RDWR, create_server, socket

Answer = Callable[[socket, threading.Event], None]
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


@dataclass
class Server:
    """A listening server: its port, the requests it read, and an event that is set when the test is over."""

    port: int
    requests: list[bytes] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    @property
    def allowed(self) -> frozenset[str]:
        return frozenset({f"127.0.0.1:{self.port}", f"localhost:{self.port}"})


def say(*parts: bytes) -> Answer:
    """Answer with these octets and hang up."""

    def answer(connection: socket, _: threading.Event) -> None:
        for part in parts:
            connection.sendall(part)

    return answer


def drip(head: bytes, drop: bytes) -> Answer:
    """Answer with `head`, then with a drop every 20 ms until the test is over or the other side has gone."""

    def answer(connection: socket, over: threading.Event) -> None:
        connection.sendall(head)
        while not over.wait(0.02):
            connection.sendall(drop)

    return answer


@contextmanager
def serving(answer: Answer, *, tls: ssl.SSLContext | None = None, read: bool = True) -> Iterator[Server]:
    """Serve one answer to each connection on a free loopback port until the block ends."""
    listener = create_server(("127.0.0.1", 0))
    server = Server(listener.getsockname()[1])

    def one(raw: socket) -> None:
        try:
            with tls.wrap_socket(raw, server_side=True) if tls else raw as connection:
                if read:
                    server.requests.append(_request(connection))
                answer(connection, server.over)
        except OSError:
            return  # the client hung up, as it should on most of what is served here

    def accept() -> None:
        while True:
            try:
                raw, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=one, args=(raw,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield server
    finally:
        server.over.set()
        listener.shutdown(SHUT_RDWR)
        listener.close()


def _request(connection: socket) -> bytes:
    """Read one request: the head, and as much of a body as it announces; a client may send them apart."""
    request = connection.recv(65536)
    head, _, body = request.partition(b"\r\n\r\n")
    announced = re.search(rb"\r\ncontent-length: (\d+)", head.lower())
    while announced and len(body) < int(announced[1]) and (piece := connection.recv(65536)):
        request, body = request + piece, body + piece
    return request
