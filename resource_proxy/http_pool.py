"""Outgoing HTTP of the proxy: kept-alive connections to one peer, no redirects, no retries, and every wait bounded.

Three requests per fetch made a general HTTP client more than half of what the proxy cost. What is ours is the little
that a fetch needs: to send one request and let its answer by. What is HTTP, llhttp decides (httptools), Node.js's
strict parser.
"""

import socket
import ssl
import weakref
from collections import deque
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from resource_proxy.http_wire import Answer, Connection, ConnectTimeout, NotConnected


class Pool:
    """Connections to the origin of one URL. Used by many threads at once."""

    def __init__(
        self,
        url: str,
        *,
        connect_timeout_s: float,
        read_timeout_s: float,
        answer_timeout_s: float,
        size: int,
        ca_file: Path | None = None,
    ) -> None:
        """Keep up to `size` connections.

        Args: read_timeout_s: per `recv`; answer_timeout_s: per answer.  Raises: ValueError, if `ca_file` is none.
        """
        parts = urlsplit(url)
        self._tls = _tls(ca_file) if parts.scheme == "https" else None
        self._host = parts.hostname or ""
        self._port = parts.port or (443 if self._tls else 80)
        # Compressed answers would have to be inflated to be bounded; the large ones are ciphertext anyway.
        self._own_lines = (f"Host: {parts.netloc}", "Accept-Encoding: identity")
        self._connect_timeout_s = connect_timeout_s
        self._read_timeout_s = read_timeout_s
        self._answer_timeout_s = answer_timeout_s
        self._size = size
        self._idle: deque[Connection] = deque()
        weakref.finalize(self, _close_all, self._idle)

    def send(self, method: str, path: str, headers: Mapping[str, str], body: bytes = b"") -> Answer:
        """Send one request, once, and return its answer, of which only the head is read.

        Raises: WireError; ValueError, for a path or header that can't be sent.
        """
        octets = self._request(method, path, headers, body)
        connection = self._take() or self._connect()
        try:
            connection.send(octets)
            connection.allow(self._answer_timeout_s)
            return Answer(connection, keep=self._keep)
        except BaseException:
            connection.close()
            raise

    def _keep(self, connection: Connection) -> None:
        if len(self._idle) < self._size:
            self._idle.append(connection)
        else:
            connection.close()

    def _take(self) -> Connection | None:
        while self._idle:
            try:
                connection = self._idle.pop()
            except IndexError:  # another thread was faster
                return None
            if connection.is_usable():
                return connection
            connection.close()
        return None

    def _connect(self) -> Connection:
        sock = None
        try:
            sock = socket.create_connection((self._host, self._port), self._connect_timeout_s)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._tls is not None:
                sock = self._tls.wrap_socket(sock, server_hostname=self._host)
        except (OSError, UnicodeError) as error:  # UnicodeError: no name of a host
            if sock is not None:
                sock.close()
            kind = ConnectTimeout if isinstance(error, TimeoutError) else NotConnected
            raise kind(type(error).__name__) from None
        return Connection(sock, self._read_timeout_s)

    def _request(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> bytes:
        lines = [
            f"{method} {path} HTTP/1.1",
            *self._own_lines,
            *(f"{name}: {value}" for name, value in headers.items()),
        ]
        if body:
            lines.append(f"Content-Length: {len(body)}")
        # A line end in a value would begin a header, or a request, of somebody else's choice.
        if " " in path or not all(line.isascii() and line.isprintable() for line in lines):
            raise ValueError("a path or header with characters that may not be in it")
        return "\r\n".join([*lines, "", ""]).encode("ascii") + body


def _close_all(connections: Iterable[Connection]) -> None:
    for connection in connections:
        connection.close()


def _tls(ca_file: Path | None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if ca_file is not None:
        try:
            context.load_verify_locations(cafile=ca_file)
        except OSError as error:
            raise ValueError(f"{ca_file}: no PEM file of certificates ({error.strerror})") from None
    return context
