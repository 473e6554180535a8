"""An agency's HTTP answer, in the vocabulary of `base`: what each status, header and failure of the wire means."""

from collections.abc import Mapping
from email.utils import parsedate_to_datetime

import orjson
from urllib3 import BaseHTTPResponse, HTTPConnectionPool
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    NewConnectionError,
    ProtocolError,
    ReadTimeoutError,
    SSLError,
)

from authz_server.core import clock
from resource_proxy.connectors.base import (
    AgencyDown,
    AgencyError,
    AgencyGarbage,
    AgencyRefused,
    AgencyTimeout,
    AgencyTooLarge,
    NoRecord,
    Preparing,
)

NO_RECORD_TYPE = "urn:mydata:problem:no-record"
PROBLEM_LIMIT_BYTES = 16 * 1024
RETRY_AFTER_DEFAULT_S = 60
RETRY_AFTER_LIMIT_S = 24 * 3600


def get(pool: HTTPConnectionPool, path: str, headers: Mapping[str, str]) -> BaseHTTPResponse:
    """Send one GET, once; the answer's body is still to be read.  Raises: AgencyError."""
    try:
        return pool.urlopen(
            "GET",
            path,
            # Compressed data would have to be inflated to be bounded; it is ciphertext anyway.
            headers={"Accept-Encoding": "identity", **headers},
            retries=False,
            redirect=False,
            assert_same_host=False,
            preload_content=False,
        )
    except HTTPError as error:
        raise wire_failure(error) from None


def judge(response: BaseHTTPResponse) -> Preparing | NoRecord | None:
    """None for 200: the body is what was asked for. The other good answers as they are, their body read.

    Raises: AgencyError for all else.
    """
    if response.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise AgencyGarbage("compressed, against our Accept-Encoding")
    status = response.status
    if status == 200:
        if response.length_remaining is None and not response.chunked:
            raise AgencyGarbage("neither Content-Length nor chunks: could end anywhere")
        return None
    if status == 202:
        return Preparing(retry_after_s(response.headers.get("Retry-After")))
    if status == 404 and _is_no_record(response):
        return NoRecord()
    if status in {429, 500, 502, 503, 504}:
        raise AgencyDown(
            f"status {status}", retry_after_s=retry_after_s(response.headers.get("Retry-After"), default=30)
        )
    if 400 <= status < 500:
        raise AgencyRefused(f"status {status}")
    raise AgencyGarbage(f"status {status}")


def read(response: BaseHTTPResponse, size_bytes: int) -> bytes:
    """The next `size_bytes` of the body as they came; fewer only at its end, none after it.  Raises: AgencyError."""
    try:
        return response.read(size_bytes, decode_content=False)
    except HTTPError as error:
        raise wire_failure(error) from None


def read_whole(response: BaseHTTPResponse, limit_bytes: int) -> bytes:
    """The whole of a small body.  Raises: AgencyTooLarge before more than `limit_bytes` are read, AgencyError."""
    if (response.length_remaining or 0) > limit_bytes:
        raise AgencyTooLarge(f"{response.length_remaining} bytes announced")
    parts, size = [], 0
    while part := read(response, limit_bytes + 1 - size):
        parts.append(part)
        size += len(part)
        if size > limit_bytes:
            raise AgencyTooLarge(f"more than {limit_bytes} bytes")
    return b"".join(parts)


def wire_failure(error: HTTPError) -> AgencyError:
    """What a failure of the connection says about the agency. The message of the library goes nowhere."""
    kind = type(error).__name__
    if isinstance(error, NewConnectionError | SSLError):  # the former is a ConnectTimeoutError to urllib3
        return AgencyDown(kind)
    if isinstance(error, ConnectTimeoutError | ReadTimeoutError):
        return AgencyTimeout(kind)
    cause = error.args[1] if len(error.args) > 1 else None
    if isinstance(error, ProtocolError) and isinstance(cause, OSError):
        return AgencyDown(f"{kind}: {type(cause).__name__}")
    return AgencyGarbage(kind)


def retry_after_s(header: str | None, *, default: int = RETRY_AFTER_DEFAULT_S) -> int:
    """Seconds of a Retry-After (RFC 9110 section 10.2.3), within 1 s and 24 h; `default` if it says nothing usable."""
    text = (header or "").strip()
    if text.isascii() and text.isdecimal():
        seconds = int(text[:9])
    else:
        try:
            seconds = round((parsedate_to_datetime(text) - clock.now()).total_seconds())
        except (ValueError, TypeError, IndexError):
            return default
    return min(max(seconds, 1), RETRY_AFTER_LIMIT_S)


def _is_no_record(response: BaseHTTPResponse) -> bool:
    if response.headers.get("Content-Type", "").partition(";")[0].strip().lower() != "application/problem+json":
        return False
    try:
        problem = orjson.loads(read_whole(response, PROBLEM_LIMIT_BYTES))
    except (ValueError, AgencyTooLarge):
        return False
    return isinstance(problem, dict) and problem.get("type") == NO_RECORD_TYPE
