"""The only way out of the authorization server: one small request to a URL that somebody else chose.

Such a URL may name us, our neighbours, or a host that never answers. So: https only (or what is signed itself), the
name resolved once, every address public, the connection made to exactly that address, no redirect, five seconds and
64 KiB in all (or what the caller says).
Source: RFC 9700 section 4.10 (server-side request forgery), OWASP ASVS 13.
"""

import ipaddress
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from http.client import HTTPException
from types import MappingProxyType
from typing import NamedTuple
from urllib.parse import urlsplit

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError
from urllib3.response import BaseHTTPResponse
from urllib3.util import SKIP_HEADER

from authz_server.core.cut_off import cut_off
from authz_server.core.errors import DomainError

MAX_BYTES = 65536
TIMEOUT_S = 5.0
_MAX_ADDRESSES = 3
_URL_CHARACTERS = re.compile(r"[\x21-\x7e]{1,2048}")
_GIVEN_OUT = ipaddress.IPv6Network("2000::/3")  # all that IANA gives out; site-local ones pass for global here
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
NO_HEADERS: Mapping[str, str] = MappingProxyType({})
# Nothing is cached or negotiated: what is fetched is read here, once, as it is.
_HEADERS = {"Accept-Encoding": "identity", "Connection": "close", "User-Agent": SKIP_HEADER}

Resolver = Callable[[str, int], list[str]]


class Answer(NamedTuple):
    """What came back, all of it; no redirect was followed, and nothing is known about what the body means."""

    status: int
    body: bytes
    content_type: str  # in lower case, without parameters; "" if none was said


class FetchError(DomainError):
    """A document could not be fetched."""

    code = "temporarily_unavailable"
    public = "A document of the client could not be fetched."


class FetchRefused(FetchError):
    """The URL points where we do not go: nothing was sent."""


class FetchFailed(FetchError):
    """The host did not answer in time, or not with a small document."""


class _Sent(NamedTuple):
    method: str
    headers: Mapping[str, str]
    body: bytes | None
    signed: bool  # is what comes back


@dataclass(frozen=True)
class _Target:
    scheme: str
    host: str
    port: int
    path: str
    allowed: bool  # by configuration: may be http, may be private


def resolve(host: str, port: int) -> list[str]:
    """Return the addresses of a host, in the order of the system's resolver. Raises: OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))


def authority(url: str) -> str:
    """Return the `host:port` of an http(s) URL, as `allowed_hosts` has it.  Raises: ValueError if it has none."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    port = parts.port if parts.port is not None else {"https": 443, "http": 80}.get(parts.scheme, 0)
    if not host or "@" in parts.netloc or not port:
        raise ValueError("not an http(s) URL of a host, or with a user")
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def fetch(
    url: str,
    *,
    allowed_hosts: frozenset[str],
    accept: str = "application/json",
    signed: bool = False,
    max_bytes: int = MAX_BYTES,
    timeout_s: float = TIMEOUT_S,
    resolver: Resolver = resolve,
) -> bytes:
    """Return the body of a 200 answer to GET `url`.

    Args: allowed_hosts: `host:port` entries from configuration that may be http and may be private addresses.
        signed: what comes carries a signature that the caller verifies, so that a public host may send it by http, as
        lists of revoked certificates are (RFC 5280 section 8: https would need such a list in turn).
        timeout_s: for everything together, name resolution to last byte.
    Raises: FetchRefused, FetchFailed.
    """
    sent = _Sent("GET", {"Accept": accept}, None, signed)
    answer = _ask(url, sent, allowed_hosts, max_bytes=max_bytes, timeout_s=timeout_s, resolver=resolver)
    if answer.status != 200:  # a redirect is not followed: its target was not checked
        raise FetchFailed(f"status {answer.status}")
    if not answer.body:
        raise FetchFailed("nothing in it")
    return answer.body


def post(
    url: str,
    body: bytes,
    *,
    content_type: str,
    allowed_hosts: frozenset[str],
    signed: bool = False,
    headers: Mapping[str, str] = NO_HEADERS,
    max_bytes: int = MAX_BYTES,
    timeout_s: float = TIMEOUT_S,
) -> Answer:
    """Send `body` by POST, once, and return the answer, whatever its status.

    When no answer comes, nobody knows whether the peer has read the request.
    Args: headers: such as `Accept` and `Authorization`; allowed_hosts, signed, timeout_s: as of `fetch`.
    Raises: FetchRefused, nothing was sent; FetchFailed.
    """
    sent = _Sent("POST", {"Content-Type": content_type, **headers}, body, signed)
    return _ask(url, sent, allowed_hosts, max_bytes=max_bytes, timeout_s=timeout_s, resolver=resolve)


def _ask(
    url: str, sent: _Sent, allowed_hosts: frozenset[str], *, max_bytes: int, timeout_s: float, resolver: Resolver
) -> Answer:
    deadline = time.monotonic() + timeout_s
    target = _target(url, allowed_hosts, signed=sent.signed)
    addresses = _in_time(lambda: resolver(target.host, target.port), deadline)
    if not addresses:
        raise FetchFailed("the host has no address")
    # One private address among public ones is refused as a whole: the next look-up might return only that one.
    if not target.allowed and not all(map(_is_public, addresses)):
        raise FetchRefused("the host has an address that is not public")
    with _connect(addresses, target.port, deadline) as raw:
        return _exchange(raw, target, sent, deadline, max_bytes=max_bytes)


def _target(url: str, allowed_hosts: frozenset[str], *, signed: bool) -> _Target:
    if not _URL_CHARACTERS.fullmatch(url) or "\\" in url:
        raise FetchRefused("the URL has characters that URLs do not have")
    try:
        peer, parts = authority(url), urlsplit(url)
    except ValueError:
        raise FetchRefused("not an http(s) URL of a host, or with a user") from None
    host, port, allowed = str(parts.hostname), int(peer.rpartition(":")[2]), peer in allowed_hosts
    if parts.scheme != "https" and not (parts.scheme == "http" and (allowed or signed)):
        raise FetchRefused("not https")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return _Target(parts.scheme, host, port, path, allowed)


def _is_public(address: str) -> bool:
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        inner = _inner_ipv4(ip)
        if inner is not None:
            ip = inner
        elif ip not in _GIVEN_OUT:
            return False
    return ip.is_global and not (ip.is_multicast or ip.is_reserved)


def _inner_ipv4(ip: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """Return the IPv4 address that an IPv6 address leads to: mapped, 6to4, Teredo, NAT64 (RFC 6052)."""
    if ip in _NAT64:
        return ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)


def _in_time(look_up: Callable[[], list[str]], deadline: float) -> list[str]:
    """Run a name look-up, which has no time-out of its own, in a thread that may outlive us."""
    answer: Future[list[str]] = Future()

    def run() -> None:
        try:
            answer.set_result(look_up())
        # UnicodeError: a label that IDNA does not know.
        except (OSError, UnicodeError) as error:
            answer.set_exception(error)

    threading.Thread(target=run, daemon=True, name="outbound-resolve").start()
    try:
        return answer.result(_left(deadline))
    except (OSError, UnicodeError) as error:  # TimeoutError is an OSError
        raise FetchFailed(f"resolve: {type(error).__name__}") from None


def _connect(addresses: list[str], port: int, deadline: float) -> socket.socket:
    reason = ""
    for address in addresses[:_MAX_ADDRESSES]:
        try:
            return socket.create_connection((address, port), timeout=_left(deadline))
        except OSError as error:
            reason = type(error).__name__
    raise FetchFailed(f"connect: {reason}")


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise FetchFailed("took too long")
    return left


def _exchange(raw: socket.socket, target: _Target, sent: _Sent, deadline: float, *, max_bytes: int) -> Answer:
    connection = _connection(raw, target)
    with cut_off(raw, deadline):
        try:
            connection.request(
                sent.method,
                target.path,
                sent.body,
                {**_HEADERS, **sent.headers},
                preload_content=False,
                decode_content=False,
            )
            answer = _answer(connection.getresponse(), max_bytes)
            _left(deadline)  # a body that ends by hanging up looks whole when it is we who cut it
            return answer
        except (HTTPError, HTTPException, OSError, ValueError) as error:
            raise FetchFailed(f"exchange: {type(error).__name__}") from None
        finally:
            connection.close()


def _answer(response: BaseHTTPResponse, max_bytes: int) -> Answer:
    if response.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise FetchFailed("content encoding")
    body = b""
    # To the end and not just once: only the read that finds nothing notices a body shorter than its Content-Length.
    while piece := response.read(max_bytes + 1 - len(body), decode_content=False):
        body += piece
        if len(body) > max_bytes:
            raise FetchFailed("too long")
    content_type, _, _ = response.headers.get("Content-Type", "").partition(";")
    return Answer(response.status, body, content_type.strip().lower())


def _connection(raw: socket.socket, target: _Target) -> HTTPConnection:
    """Return a connection for the *name* (Host, SNI, certificate) over the socket to the checked *address*."""
    connection: _PinnedHTTP | _PinnedHTTPS
    if target.scheme == "https":
        # The system's certificate authorities; SSL_CERT_FILE adds one for a test deployment.
        connection = _PinnedHTTPS(target.host, target.port, ssl_context=ssl.create_default_context())
    else:
        connection = _PinnedHTTP(target.host, target.port)
    connection.raw = raw
    return connection


class _PinnedHTTP(HTTPConnection):
    raw: socket.socket

    def _new_conn(self) -> socket.socket:
        return self.raw


class _PinnedHTTPS(HTTPSConnection):
    raw: socket.socket

    def _new_conn(self) -> socket.socket:
        return self.raw
