"""A client's endpoint for Security Event Tokens (RFC 8935): a real HTTP server that answers what a test has it say."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from authz_server.core import jose
from tests.core.servers import Server, serving


@dataclass
class Receiver:
    """What it was sent, oldest first. `answers`: one for each push, then `taken`; `holding`: it answers nobody."""

    answers: list[bytes] = field(default_factory=list)
    taken: bytes = b"202 Accepted"
    holding: bool = False
    server: Server = field(init=False)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server.port}"

    @property
    def url(self) -> str:
        return f"http://{self.address}/events"

    @property
    def tokens(self) -> list[str]:
        return [request.partition(b"\r\n\r\n")[2].decode() for request in self.server.requests]

    @property
    def claims(self) -> list[dict[str, Any]]:
        return [jose.unverified(token).claims for token in self.tokens]


@contextmanager
def receiving() -> Iterator[Receiver]:
    """Serve on a free loopback port."""
    receiver = Receiver()

    def answer(connection: socket.socket, over: threading.Event) -> None:
        if receiver.holding:
            over.wait(30)
            return
        status, _, body = (receiver.answers.pop(0) if receiver.answers else receiver.taken).partition(b"\n")
        head = b"HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % (status, len(body))
        connection.sendall(head + body)

    with serving(answer) as server:
        receiver.server = server
        yield receiver
