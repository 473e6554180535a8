"""What the proxy and a way of talking to an agency agree on: one question, three answers, a few ways to fail."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import ClassVar, Protocol

from authz_server.catalogue.model import Dataset
from authz_server.core.errors import DomainError
from authz_server.core.identifiers import TraceId

# What is in memory of a package, times a handful of buffers. Also what is held back until the delivery is on record.
# A multiple of 3 and 4, so that base64 groups and AES blocks fall on its edges.
CHUNK_BYTES = 192 * 1024
SMALL_LIMIT_BYTES = 4 * 1024 * 1024
LARGE_LIMIT_BYTES = 64 * 1024 * 1024
DOWN_RETRY_AFTER_S = 30  # where an agency that is out of order does not say itself


@dataclass(frozen=True, kw_only=True)
class Question:
    """One dataset of one citizen, as the ticket says. The ticket is opaque here: it is encrypted to the agency."""

    dataset: Dataset
    ticket: str = field(repr=False)
    transaction: str
    trace_id: TraceId

    @property
    def limit_bytes(self) -> int:
        """How large an answer may be."""
        return LARGE_LIMIT_BYTES if self.dataset.large else SMALL_LIMIT_BYTES


@dataclass(frozen=True)
class Preparing:
    """The agency needs time and keeps the data until then."""

    retry_after_s: int


@dataclass(frozen=True)
class NoRecord:
    """The agency holds nothing about this citizen: an answer of its own, not a failure."""


class Package(Protocol):
    """A JWE to the recipient, on its way."""

    @property
    def size_bytes(self) -> int | None:
        """The size of the whole, None if the agency did not say."""

    @property
    def chunks(self) -> Iterator[bytes]:
        """Chunks of exactly CHUNK_BYTES, the last may be shorter.  Raises: AgencyError."""

    def begin_transfer(self) -> None:
        """The first chunk is about to leave: from now on the agency may take as long as a transfer may take."""

    def close(self) -> None:
        """Let go of the agency; at any time, also twice."""


Answer = Preparing | NoRecord | Package


class Connector(Protocol):
    """A way of talking to one agency. Used by many threads at once."""

    def ask(self, question: Question) -> Answer:
        """Ask the agency for one dataset.  Raises: AgencyError."""


class AgencyError(DomainError):
    """The agency gave nothing that may be delivered. `code` is the reason in the citizen's record."""

    outage: ClassVar[bool] = False  # whether it speaks for the agency being out of order as a whole
    retry_after_s: int | None = None


class AgencyDown(AgencyError):
    """No connection, or the agency says that it is out of order."""

    code = "agency_down"
    public = "The agency cannot be reached."
    outage = True

    def __init__(self, detail: str = "", *, retry_after_s: int = DOWN_RETRY_AFTER_S) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s


class AgencyTimeout(AgencyError):
    """The agency did not answer in time, or not fast enough."""

    code = "agency_timeout"
    public = "The agency did not answer in time."
    outage = True
    retry_after_s = 60


class AgencyRefused(AgencyError):
    """The agency does not accept the ticket, or the way it was asked."""

    code = "agency_refused"
    public = "The agency refused the request."


class AgencyGarbage(AgencyError):
    """What came is not a package, or not all of it."""

    code = "agency_garbage"
    public = "The agency gave an answer that is not usable."


class AgencyTooLarge(AgencyError):
    """More than a dataset of this kind may have."""

    code = "agency_too_large"
    public = "The agency gave an answer that is too large."


class BadSignature(AgencyError):
    """A ticket that the connector had to open is not signed by the authorization server, or is not for this agency."""

    code = "bad_signature"
    public = "The ticket for the agency is not usable."
