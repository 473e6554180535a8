"""An agency's HTTP answer, in the vocabulary of `base`: what each status, header and failure of the wire means."""

from collections.abc import Mapping
from email.utils import parsedate_to_datetime

from authz_server.catalogue.model import LONGEST_WAIT_S
from authz_server.core import clock, json_text
from resource_proxy.connectors.base import (
    DOWN_RETRY_AFTER_S,
    AgencyDown,
    AgencyError,
    AgencyGarbage,
    AgencyRefused,
    AgencyTimeout,
    AgencyTooLarge,
    NoRecord,
    Preparing,
)
from resource_proxy.http_pool import Pool
from resource_proxy.http_wire import Answer, AnswerTimeout, ConnectionLost, ConnectTimeout, NotConnected, WireError

NO_RECORD_TYPE = "urn:mydata:problem:no-record"
PROBLEM_LIMIT_BYTES = 16 * 1024
RETRY_AFTER_DEFAULT_S = 60


def get(pool: Pool, path: str, headers: Mapping[str, str]) -> Answer:
    """Send one GET, once; the answer's body is still to be read.  Raises: AgencyError."""
    try:
        return pool.send("GET", path, headers)
    except WireError as error:
        raise wire_failure(error) from None


def judge(response: Answer) -> Preparing | NoRecord | None:
    """None for 200: the body is what was asked for. The other good answers as they are, their body read.

    Raises: AgencyError for all else.
    """
    status = response.status
    if status == 200:
        _check_readable(response)
        if response.size_bytes is None and not response.is_chunked:
            raise AgencyGarbage("neither Content-Length nor chunks: could end anywhere")
        return None
    if status == 202:
        return Preparing(retry_after_s(response.headers.get("retry-after")))
    if status == 404 and _is_no_record(response):
        return NoRecord()
    if status in {429, 500, 502, 503, 504}:
        wait_s = retry_after_s(response.headers.get("retry-after"), default=DOWN_RETRY_AFTER_S)
        raise AgencyDown(f"status {status}", retry_after_s=wait_s)
    if 400 <= status < 500:
        raise AgencyRefused(f"status {status}")
    raise AgencyGarbage(f"status {status}")


def media_type(response: Answer) -> str:
    """The media type of the body, without its parameters, in lower case; empty if none is named."""
    return response.headers.get("content-type", "").partition(";")[0].strip().lower()


def read(response: Answer, size_bytes: int) -> bytes:
    """The next `size_bytes` of the body as they came; fewer only at its end, none after it.  Raises: AgencyError."""
    try:
        return response.read(size_bytes)
    except WireError as error:
        raise wire_failure(error) from None


def read_whole(response: Answer, limit_bytes: int) -> bytes:
    """The whole of a small body.  Raises: AgencyTooLarge before more than `limit_bytes` are read, AgencyError."""
    if (response.size_bytes or 0) > limit_bytes:
        raise AgencyTooLarge(f"{response.size_bytes} bytes announced")
    body = read(response, limit_bytes + 1)
    if len(body) > limit_bytes:
        raise AgencyTooLarge(f"more than {limit_bytes} bytes")
    return body


def wire_failure(error: WireError) -> AgencyError:
    """What a failure of the connection says about the agency."""
    kind = str(error)
    if isinstance(error, ConnectTimeout | AnswerTimeout):
        return AgencyTimeout(kind)
    return AgencyDown(kind) if isinstance(error, NotConnected | ConnectionLost) else AgencyGarbage(kind)


def retry_after_s(header: str | None, *, default: int = RETRY_AFTER_DEFAULT_S) -> int:
    """Seconds of a Retry-After (RFC 9110 section 10.2.3), within 1 s and 24 h; `default` if it says nothing usable."""
    text = (header or "").strip()
    if text.isascii() and text.isdecimal():
        seconds = int(text[:9])
    else:
        try:
            seconds = clock.seconds_to_wait(parsedate_to_datetime(text) - clock.now())
        except (ValueError, TypeError, IndexError, OverflowError):
            return default
    return min(max(seconds, 1), LONGEST_WAIT_S)


def _check_readable(response: Answer) -> None:
    # Where no body is read, it may be whatever a gateway in front of the agency makes of it.
    if response.headers.get("content-encoding", "identity").lower() != "identity":
        raise AgencyGarbage("compressed, against our Accept-Encoding")


def _is_no_record(response: Answer) -> bool:
    if media_type(response) != "application/problem+json":
        return False
    _check_readable(response)
    try:
        problem = json_text.object_or_empty(read_whole(response, PROBLEM_LIMIT_BYTES))
    except AgencyTooLarge:
        return False
    return problem.get("type") == NO_RECORD_TYPE
