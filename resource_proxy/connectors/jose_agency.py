"""Agencies that speak JOSE: they open the ticket and encrypt the package to the recipient; we only carry it."""

from collections.abc import Iterator

from authz_server.core.identifiers import TRACE_HEADER
from authz_server.core.jose import BadToken
from authz_server.core.jose.encoding import json_segment
from authz_server.core.jose.opening import MAX_HEADER_CHARS, check_header
from resource_proxy.connectors import http_answer
from resource_proxy.connectors.base import (
    CHUNK_BYTES,
    AgencyGarbage,
    AgencyTooLarge,
    Answer,
    Question,
)
from resource_proxy.http_pool import Pool
from resource_proxy.http_wire import Answer as HttpAnswer

CONTENT_TYPE = "application/jose"


class JoseAgency:
    """GET {url}/datasets/{dataset}, the ticket as bearer token; the answer is a JWE to the recipient."""

    def __init__(self, pool: Pool, *, path: str, transfer_timeout_s: float) -> None:
        self._pool = pool
        self._path = path
        self._transfer_timeout_s = transfer_timeout_s

    def ask(self, question: Question) -> Answer:
        """Ask the agency for one dataset.  Raises: AgencyError."""
        response = http_answer.get(
            self._pool,
            f"{self._path}/datasets/{question.dataset.id}",
            {
                "Authorization": f"Bearer {question.ticket}",
                "Accept": CONTENT_TYPE,
                TRACE_HEADER: question.trace_id,
            },
        )
        package = StreamedPackage(response, limit_bytes=question.limit_bytes, transfer_s=self._transfer_timeout_s)
        try:
            other_answer = http_answer.judge(response)
            if other_answer is None:
                package.check()
        except BaseException:
            package.close()
            raise
        if other_answer is not None:
            package.close()
            return other_answer
        return package


class StreamedPackage:
    """A JWE that is still at the agency but for its first chunk."""

    def __init__(self, response: HttpAnswer, *, limit_bytes: int, transfer_s: float) -> None:
        self._response = response
        self._limit_bytes = limit_bytes
        self._transfer_s = transfer_s
        self._first = b""
        self.size_bytes = response.size_bytes

    def check(self) -> None:
        """Read the first chunk; refuse what can't be a package.  Raises: AgencyError."""
        if http_answer.media_type(self._response) != CONTENT_TYPE:
            raise AgencyGarbage("not application/jose")
        if (self.size_bytes or 0) > self._limit_bytes:
            raise AgencyTooLarge(f"{self.size_bytes} bytes announced")
        self._first = http_answer.read(self._response, CHUNK_BYTES)
        _check_header(self._first)

    @property
    def chunks(self) -> Iterator[bytes]:
        """To be iterated once."""
        size_bytes, chunk = 0, self._first
        while chunk:
            size_bytes += len(chunk)
            if size_bytes > self._limit_bytes:
                raise AgencyTooLarge(f"more than {self._limit_bytes} bytes")
            yield chunk
            chunk = http_answer.read(self._response, CHUNK_BYTES)

    def begin_transfer(self) -> None:
        self._response.allow(self._transfer_s)

    def close(self) -> None:
        self._response.close()


def _check_header(first: bytes) -> None:
    """RFC 7516 section 7.1: a JWE begins with its protected header; ours are of one kind, never compressed."""
    segment, dot, _ = first[: MAX_HEADER_CHARS + 1].partition(b".")
    if not dot:
        raise AgencyGarbage("does not begin with a header")
    try:
        check_header(json_segment(segment))
    except BadToken as error:
        raise AgencyGarbage(f"header: {error.detail}") from None
