"""One connection and one answer on it, every wait bounded.

A socket timeout bounds one `recv`, so that a peer that sends a byte a minute could hold a thread for days. Here an
answer as a whole, its header lines included, has to arrive before a deadline, which may be extended once it is known
that the answer is worth waiting for.

    WireError
    |-- NotConnected        nothing was sent: to try again can't make it two
    |   `-- ConnectTimeout
    |-- AnswerTimeout
    |-- ConnectionLost
    `-- BadAnswer           not HTTP, or not all of it
"""

import io
import select
import socket
import ssl
import time
from collections.abc import Callable, Mapping
from typing import Any

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

# Servers close idle connections (ours after 20 s). A request that meets that close in flight has an unknown outcome, so
# a connection is not trusted for longer than this.
IDLE_LIMIT_S = 15.0
HEAD_LIMIT_BYTES = 32 * 1024
BUFFER_BYTES = 8 * 1024  # each connection has one; Python's own is sixteen times as large since 3.14
LINE_END = b"\r\n"
HEAD_END = LINE_END * 2
WITHOUT_BODY = frozenset({204, 304})  # RFC 9112 section 6.3


class WireError(Exception):
    """No answer. What the peer did with the request is unknown, unless it is a `NotConnected`.

    As a text it is for a log: the kind, and what that comes from, of which nothing is the peer's own words.
    """

    def __str__(self) -> str:
        return ": ".join((type(self).__name__, *map(str, self.args)))


class NotConnected(WireError):
    """There was no connection, so nothing was sent."""


class ConnectTimeout(NotConnected):
    """There was no connection in time."""


class AnswerTimeout(WireError):
    """The answer did not come in time, or not fast enough."""


class ConnectionLost(WireError):
    """The connection broke, or was closed before an answer began."""


class BadAnswer(WireError):
    """What came is not HTTP, or not all of an answer."""


class _TimedReader(io.RawIOBase):
    """Reads a socket until a deadline (monotonic seconds) and no longer, and counts what came."""

    def __init__(self, sock: socket.socket, pause_s: float) -> None:
        self._sock = sock
        self._pause_s = pause_s
        self.deadline = 0.0
        self.received_bytes = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        left_s = self.deadline - time.monotonic()
        if left_s <= 0:
            raise TimeoutError("the answer took too long")
        self._sock.settimeout(min(self._pause_s, left_s))
        count = self._sock.recv_into(buffer)
        self.received_bytes += count
        return count


class Connection:
    """A connection to the peer, used by one thread at a time."""

    def __init__(self, sock: socket.socket, pause_s: float) -> None:
        self._sock = sock
        self._pause_s = pause_s
        self._raw = _TimedReader(sock, pause_s)
        self._reader = io.BufferedReader(self._raw, BUFFER_BYTES)
        self._taken_bytes = 0
        self._used_at = time.monotonic()

    def is_usable(self) -> bool:
        """Whether the peer can be expected to be there still, and has said nothing that nobody asked for."""
        if time.monotonic() - self._used_at >= IDLE_LIMIT_S:
            return False
        if isinstance(self._sock, ssl.SSLSocket) and self._sock.pending():
            return False
        poll = select.poll()
        poll.register(self._sock, select.POLLIN)
        return not poll.poll(0)

    def send(self, octets: bytes) -> None:
        """Send a request, in one piece: a head that travels alone wakes the peer for nothing.  Raises: WireError."""
        self._used_at = time.monotonic()
        try:
            self._sock.settimeout(self._pause_s)
            self._sock.sendall(octets)
        except OSError as error:
            raise _failure(error) from None

    def allow(self, seconds: float) -> None:
        """Let what is read from now on arrive within this time."""
        self._raw.deadline = time.monotonic() + seconds

    def read_head(self, limit_bytes: int) -> bytes:
        """The rest of a head, if it has come at once, else its next line; none only if the connection ended."""
        ahead = self._reader.peek()
        size_bytes = ahead.find(HEAD_END) + len(HEAD_END)
        # After single lines the empty one may be next: what follows it is the body, whatever is in there.
        if not ahead.startswith(LINE_END) and len(HEAD_END) <= size_bytes <= limit_bytes:
            return self.read(size_bytes)
        return self._took(self._reader.readline(limit_bytes))

    def read(self, size_bytes: int) -> bytes:
        """So many octets, fewer only if the connection ended."""
        return self._took(self._reader.read(size_bytes))

    def read_some(self, limit_bytes: int) -> bytes:
        """At least one octet, none only if the connection ended."""
        return self._took(self._reader.read1(limit_bytes))

    def has_surplus(self) -> bool:
        """Whether more has come than was read."""
        return self._raw.received_bytes != self._taken_bytes

    def close(self) -> None:
        self._sock.close()

    def _took(self, octets: bytes) -> bytes:
        self._taken_bytes += len(octets)
        return octets


class Answer:
    """An answer whose body is read in order, once; close it in any case.

    Names of headers are in lower case, several of one name are joined by commas. size_bytes: what was announced, None
    if nothing was; then the body comes in chunks, or nobody could tell its end from a broken connection.
    """

    def __init__(self, connection: Connection, *, keep: Callable[[Connection], None]) -> None:
        """Read the head.  Args: keep: takes a connection that can be used again.  Raises: WireError."""
        self._connection: Connection | None = connection
        self._keep = keep
        self.status = 0
        self.headers: dict[str, str] = {}
        self._chunks = bytearray()
        self._beside_bytes = 0  # octets of a chunked body since its last octet that is data
        self._keep_alive = self._head_is_read = self._is_whole = False
        self._parser: Any = HttpResponseParser(self)
        self._read_head(connection)
        self.size_bytes = _announced_bytes(self.status, self.headers)
        self.is_chunked = self.headers.get("transfer-encoding", "").lower() == "chunked"
        self._left_bytes = self.size_bytes or 0
        if not self.is_chunked:
            self._parser = None  # it refers to us, and plain octets can do without it

    def read(self, size_bytes: int) -> bytes:
        """The next `size_bytes` of the body as they came; fewer only at its end, none after it.  Raises: WireError."""
        if self._connection is None:
            raise BadAnswer("closed")
        if self.size_bytes is None and not self.is_chunked:
            raise BadAnswer("nothing says where it ends")
        try:
            read = self._read_chunked if self.is_chunked else self._read_plain
            return read(self._connection, size_bytes)
        except (OSError, HttpParserError, HttpParserUpgrade) as error:
            raise _failure(error) from None

    def allow(self, seconds: float) -> None:
        """Give the rest of the answer this long from now."""
        if self._connection is not None:
            self._connection.allow(seconds)

    def close(self) -> None:
        """Keep the connection for the next request after a whole answer, give it up after any other. Also twice."""
        connection, self._connection, self._parser = self._connection, None, None
        if connection is None:
            return
        # Octets after the end of an answer belong to no request, least of all to the next one.
        if self._is_whole and self._keep_alive and not connection.has_surplus():
            self._keep(connection)
        else:
            connection.close()

    def give_up(self) -> None:
        """Close, and keep the connection in no case."""
        self._keep_alive = False
        self.close()

    def _read_head(self, connection: Connection) -> None:
        left_bytes = HEAD_LIMIT_BYTES
        try:
            while not self._head_is_read:
                octets = connection.read_head(left_bytes)
                if not octets:
                    raise ConnectionLost("closed") if left_bytes == HEAD_LIMIT_BYTES else BadAnswer("half a head")
                left_bytes -= len(octets)
                self._parser.feed_data(octets)
        except (OSError, HttpParserError, HttpParserUpgrade) as error:
            raise _failure(error) from None

    def _read_plain(self, connection: Connection, size_bytes: int) -> bytes:
        wanted_bytes = min(size_bytes, self._left_bytes)
        octets = connection.read(wanted_bytes)
        if len(octets) < wanted_bytes:
            raise BadAnswer("ends early")
        self._left_bytes -= wanted_bytes
        self._is_whole = not self._left_bytes
        return octets

    def _read_chunked(self, connection: Connection, size_bytes: int) -> bytes:
        while len(self._chunks) < size_bytes and not self._is_whole:
            octets = connection.read_some(size_bytes)
            if not octets:
                raise BadAnswer("ends early")
            self._feed(octets)
        octets = bytes(memoryview(self._chunks)[:size_bytes])
        del self._chunks[:size_bytes]
        return octets

    def _feed(self, octets: bytes) -> None:
        """Parse a piece of a chunked body. What is no data in it, in a row, is bounded as a head is.

        The parser keeps all of a trailer until that ends, and copies it with each piece that comes.
        """
        body_bytes = len(self._chunks)
        self._parser.feed_data(octets)
        self._beside_bytes = 0 if len(self._chunks) > body_bytes else self._beside_bytes + len(octets)
        if self._beside_bytes > HEAD_LIMIT_BYTES:
            raise BadAnswer("more than a head between or after chunks")

    # What the parser calls.

    def on_message_begin(self) -> None:
        if self._is_whole:
            self._is_whole = False
            raise BadAnswer("more than one answer")

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._head_is_read:  # a trailer: nobody asked for any
            return
        key, text = name.decode("ascii").lower(), value.decode("latin-1").strip()
        self.headers[key] = f"{self.headers[key]}, {text}" if key in self.headers else text

    def on_headers_complete(self) -> None:
        self.status = self._parser.get_status_code()
        self._keep_alive = self._parser.should_keep_alive()
        self._head_is_read = self.status >= 200
        if not self._head_is_read:  # RFC 9110 section 15.2: an interim answer; the real one follows
            self.headers.clear()

    def on_body(self, octets: bytes) -> None:
        self._chunks += octets

    def on_message_complete(self) -> None:
        self._is_whole = self._head_is_read


def _announced_bytes(status: int, headers: Mapping[str, str]) -> int | None:
    if status in WITHOUT_BODY:
        return 0
    length = headers.get("content-length")
    return None if length is None else int(length)


def _failure(error: Exception) -> WireError:
    if isinstance(error, TimeoutError):
        return AnswerTimeout(str(error))
    if isinstance(error, OSError):
        return ConnectionLost(type(error).__name__)
    return BadAnswer(type(error).__name__)
