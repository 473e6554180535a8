"""Outgoing HTTP of the proxy: kept-alive connections to one peer, no redirects, no retries, and every wait bounded.

A socket timeout bounds one `recv`, so that a peer that sends a byte a minute could hold a thread for days. Here an
answer as a whole, its header lines included, has to arrive before a deadline, which may be extended once it is known
that the answer is worth waiting for.
"""

import functools
import http.client
import io
import socket
import ssl
import time
from pathlib import Path
from typing import Any

from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, Timeout
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.util import parse_url

# Servers close idle connections (ours after 30 s). A request that meets that close in flight has an unknown outcome, so
# a connection is not trusted for longer than this.
IDLE_LIMIT_S = 15.0


def open_pool(
    url: str,
    *,
    connect_timeout_s: float,
    read_timeout_s: float,
    answer_timeout_s: float,
    size: int,
    ca_file: Path | None = None,
) -> HTTPConnectionPool:
    """A pool for the origin of `url` that keeps up to `size` connections. Seconds; `answer_timeout_s` per answer."""
    parts = parse_url(url)
    options: dict[str, Any] = {
        "port": parts.port,
        "timeout": Timeout(connect=connect_timeout_s, read=read_timeout_s),
        "maxsize": size,
        "retries": False,
        "answer_timeout_s": answer_timeout_s,
    }
    host = parts.host or ""
    if parts.scheme == "https":
        return _TlsPool(host, ssl_context=_tls(ca_file), **options)
    return _Pool(host, **options)


def _tls(ca_file: Path | None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if ca_file is not None:
        context.load_verify_locations(cafile=ca_file)
    return context


class _Deadline:
    """When (monotonic seconds) the answer that a connection is waiting for must be complete."""

    def __init__(self) -> None:
        self._at = 0.0

    def set(self, seconds: float) -> None:
        self._at = time.monotonic() + seconds

    def remaining_s(self) -> float:
        """Seconds that are left.  Raises: TimeoutError if none are."""
        left_s = self._at - time.monotonic()
        if left_s <= 0:
            raise TimeoutError("the answer took too long")
        return left_s


class _TimedReader(io.RawIOBase):
    """Reads a socket until the deadline and no longer."""

    def __init__(self, sock: socket.socket, deadline: _Deadline) -> None:
        self._sock = sock
        self._pause_s = sock.gettimeout()
        self._deadline = deadline
        self._raw = sock.makefile("rb", buffering=0)  # keeps the descriptor open after http.client lets go of it

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left_s = self._deadline.remaining_s()
        self._sock.settimeout(left_s if self._pause_s is None else min(self._pause_s, left_s))
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _TimedSocket:
    """The one thing that `http.client.HTTPResponse` wants of a socket."""

    def __init__(self, sock: socket.socket, deadline: _Deadline) -> None:
        self._sock, self._deadline = sock, deadline

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(_TimedReader(self._sock, self._deadline))


class _TimedResponse(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, deadline: _Deadline, **kwargs: Any) -> None:
        timed: Any = _TimedSocket(sock, deadline)
        super().__init__(timed, *args, **kwargs)


class BoundedConnection(HTTPConnection):
    """A connection whose answers have a deadline and that is given up when it was idle for too long."""

    def __init__(self, *args: Any, answer_timeout_s: float, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._answer_timeout_s = answer_timeout_s
        self._deadline = _Deadline()
        # http.client makes its responses with this attribute; a callable of the same signature will do.
        self.response_class: Any = functools.partial(_TimedResponse, deadline=self._deadline)
        self._used_at = time.monotonic()

    def getresponse(self) -> Any:
        self._used_at = time.monotonic()
        self._deadline.set(self._answer_timeout_s)
        return super().getresponse()

    def allow(self, seconds: float) -> None:
        """Give the rest of the current answer this long from now."""
        self._deadline.set(seconds)

    @property
    def is_connected(self) -> bool:
        return time.monotonic() - self._used_at < IDLE_LIMIT_S and super().is_connected


class _BoundedTls(BoundedConnection, HTTPSConnection):
    pass


class _Pool(HTTPConnectionPool):
    ConnectionCls = BoundedConnection


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _BoundedTls
