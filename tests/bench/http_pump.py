"""Send ready-made HTTP/1.1 requests over a few kept-alive connections, as cheaply as Python can.

One thread, one selector: nothing is built or parsed while the clock runs that the next request does not need.
"""

import re
import selectors
import socket
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

_KEPT_BODY_BYTES = 1 << 20
_LENGTH = re.compile(rb"\r\ncontent-length:\s*(\d+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:\s*chunked", re.IGNORECASE)
_CLOSE = re.compile(rb"\r\nconnection:\s*close", re.IGNORECASE)
_LAST_CHUNK = b"0\r\n\r\n"
_STALLED_S = 30.0


@dataclass(slots=True)
class Answer:
    """What came back. `body` keeps the first MiB, `size_bytes` counts all of it (with its chunk headers, if any)."""

    status: int
    head: bytes
    body: bytes
    size_bytes: int
    latency_s: float
    first_byte_s: float
    first_byte_at: float  # by this machine's monotonic clock, which is the same for all processes

    def header(self, name: str) -> str | None:
        """The first header of that name."""
        return next(self.headers(name), None)

    def headers(self, name: str) -> Iterator[str]:
        """Every header of that name."""
        wanted = name.lower()
        for line in self.head.split(b"\r\n")[1:]:
            key, _, value = line.decode("latin-1").partition(":")
            if key.lower() == wanted:
                yield value.strip()


@dataclass(slots=True)
class _Connection:
    sock: socket.socket = field(init=False)
    number: int = -1
    sent_at: float = 0.0
    first_byte_at: float = 0.0
    head: bytes = b""
    body: bytearray = field(default_factory=bytearray)
    size: int = 0
    expected: int | None = None  # None: chunked


class Pump:
    """A handful of connections to one server, kept alive from one batch to the next."""

    def __init__(self, host: str, port: int, connections: int) -> None:
        self._address = (host, port)
        self._selector = selectors.EpollSelector()
        self._buffer = bytearray(1 << 18)
        self.connections = connections
        self._each = [self._connect(_Connection()) for _ in range(connections)]

    def send(self, requests: Sequence[bytes]) -> list[Answer]:
        """Answers in the order of the requests; each connection sends its next request when it has its answer."""
        answers: list[Answer | None] = [None] * len(requests)
        waiting = iter(enumerate(requests))
        busy = 0
        for connection in self._each:
            busy += self._start(connection, waiting)
        while busy:
            events = self._selector.select(_STALLED_S)
            if not events:
                raise TimeoutError(f"{busy} requests unanswered for {_STALLED_S} s")
            for key, _ in events:
                connection = key.data
                if not self._receive(connection):
                    continue
                answers[connection.number] = self._finish(connection)
                busy -= 1
                busy += self._start(connection, waiting)
        return [answer for answer in answers if answer is not None]

    def send_paced(self, requests: Sequence[bytes], per_s: float) -> list[Answer]:
        """Send each request when it is due, whatever became of those before: an open loop.

        Latency counts from when it was due, so what waits for a free connection is not left out.
        """
        answers: list[Answer | None] = [None] * len(requests)
        idle, waiting, busy = deque(self._each), deque(enumerate(requests)), 0
        start = time.perf_counter()
        while waiting or busy:
            due = start + waiting[0][0] / per_s if waiting else start
            if waiting and idle and time.perf_counter() >= due:
                connection = idle.popleft()
                self._start(connection, iter([waiting.popleft()]))
                connection.sent_at = due
                busy += 1
                continue
            # The selector sleeps for whole milliseconds: the last two before a request is due are spent awake.
            spare_s = due - time.perf_counter() - 0.002 if waiting and idle else _STALLED_S
            events = self._selector.select(max(spare_s, 0.0))
            if not events and spare_s == _STALLED_S:
                raise TimeoutError(f"{busy} requests unanswered for {_STALLED_S} s")
            for key, _ in events:
                if self._receive(key.data):
                    answers[key.data.number] = self._finish(key.data)
                    idle.append(key.data)
                    busy -= 1
        return [answer for answer in answers if answer is not None]

    def close(self) -> None:
        for connection in self._each:
            self._selector.unregister(connection.sock)
            connection.sock.close()
        self._selector.close()

    def _connect(self, connection: _Connection) -> _Connection:
        connection.sock = socket.create_connection(self._address)
        connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._selector.register(connection.sock, selectors.EVENT_READ, connection)
        return connection

    def _start(self, connection: _Connection, waiting: Iterator[tuple[int, bytes]]) -> int:
        following = next(waiting, None)
        if following is None:
            return 0
        connection.number, request = following
        connection.first_byte_at = 0.0
        connection.head = b""
        connection.body = bytearray()
        connection.size = 0
        connection.sent_at = time.perf_counter()
        connection.sock.sendall(request)
        return 1

    def _receive(self, connection: _Connection) -> bool:
        """Read what is there; true when the answer is whole."""
        count = connection.sock.recv_into(self._buffer)
        if count == 0:
            raise ConnectionError("the server closed the connection before its answer was whole")
        if not connection.first_byte_at:
            connection.first_byte_at = time.perf_counter()
        if len(connection.body) < _KEPT_BODY_BYTES or connection.expected is None:
            connection.body += self._buffer[:count]
        connection.size += count
        if not connection.head and not self._read_head(connection):
            return False
        if connection.expected is None:
            return connection.body.endswith(_LAST_CHUNK)
        return connection.size >= connection.expected

    @staticmethod
    def _read_head(connection: _Connection) -> bool:
        end = connection.body.find(b"\r\n\r\n")
        if end < 0:
            return False
        connection.head = bytes(connection.body[:end])
        del connection.body[: end + 4]
        connection.size -= end + 4
        length = _LENGTH.search(connection.head)
        chunked = _CHUNKED.search(connection.head)
        connection.expected = None if chunked else int(length[1]) if length else 0
        return True

    def _finish(self, connection: _Connection) -> Answer:
        body = _without_chunks(connection.body) if connection.expected is None else bytes(connection.body)
        answer = Answer(
            status=int(connection.head[9:12]),
            head=connection.head,
            body=body,
            size_bytes=connection.size,
            latency_s=time.perf_counter() - connection.sent_at,
            first_byte_s=connection.first_byte_at - connection.sent_at,
            first_byte_at=connection.first_byte_at,
        )
        if _CLOSE.search(connection.head):
            self._selector.unregister(connection.sock)
            connection.sock.close()
            self._connect(connection)
        return answer


def _without_chunks(body: bytearray) -> bytes:
    parts: list[bytes] = []
    position = 0
    while True:
        line_end = body.index(b"\r\n", position)
        size = int(body[position:line_end].split(b";")[0], 16)
        if size == 0:
            return b"".join(parts)
        parts.append(bytes(body[line_end + 2 : line_end + 2 + size]))
        position = line_end + 2 + size + 2
