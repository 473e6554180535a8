"""How a package leaves: the last chunk only after the authorization server has the delivery on record.

The last chunk is held back until `delivered` is accepted, so that nobody has a complete answer without a row that says
so: not after a crash, not after a lost report. What is held back is at least one full chunk (or all of a small answer),
never a few bytes that one could do without.

A recipient can decrypt what came before the last chunk, so a consent that ends has to end the transfer as well. Each
chunk needs a permission that is young (`core.transfers`): nobody is asked for each chunk, and yet, whatever becomes of
the question or its answer, none is handed over later than was promised to the citizen.
"""

import logging as levels
import time
from collections.abc import Iterator
from typing import Literal

from authz_server.core import clock, logging
from authz_server.core.circuit import Permit
from authz_server.core.identifiers import TraceId
from authz_server.core.transfers import ASK_AFTER_S, PERMITTED_S
from resource_proxy.authz_client import AuthorizationServerDown, AuthzClient, Lease, OutcomeRefused
from resource_proxy.connectors.base import CHUNK_BYTES, AgencyError, Package

Gate = Literal["delivering", "delivered"]
# A transfer stands still while nobody permits it to go on, and is given up after that time.
PATIENCE_S = 10.0
AGAIN_S = 0.1


class Report:
    """What the authorization server is told about one lease."""

    def __init__(self, authz: AuthzClient, lease: Lease, trace_id: TraceId) -> None:
        self._authz = authz
        self._lease = lease
        self._trace_id = trace_id
        self._permission_asked_at = 0.0

    def preparing(self, retry_after_s: int) -> None:
        """The agency needs time.  Raises: OutcomeRefused, AuthorizationServerDown."""
        self._authz.report(self._lease, "preparing", trace_id=self._trace_id, retry_after_s=retry_after_s)
        self._log("preparing", retry_after_s=retry_after_s)

    def no_record(self) -> None:
        """The agency holds nothing.  Raises: OutcomeRefused, AuthorizationServerDown."""
        self._authz.report(self._lease, "no_record", trace_id=self._trace_id)
        self._log("no_record")

    def delivering(self) -> None:
        """The first byte is about to leave.  Raises: OutcomeRefused: it must not; AuthorizationServerDown: likewise."""
        asked_at = time.monotonic()
        self._or_fail("delivering")
        self._permission_asked_at = asked_at

    def continuing(self) -> None:
        """A chunk is about to leave: ask, unless a permission is still young. Waits where nobody answers in time.

        Raises: OutcomeRefused: nothing more may leave; AuthorizationServerDown: likewise, after `PATIENCE_S`.
        """
        if time.monotonic() - self._permission_asked_at < ASK_AFTER_S:
            return
        give_up_at = time.monotonic() + PATIENCE_S
        while not self._permitted_anew():
            if time.monotonic() >= give_up_at:
                self.failed(None)
                raise AuthorizationServerDown("/outcomes: no answer in time")
            clock.wait(AGAIN_S)

    def _permitted_anew(self) -> bool:
        asked_at = time.monotonic()
        try:
            self._authz.report(self._lease, "continuing", trace_id=self._trace_id)
        except AuthorizationServerDown as error:
            self._log("unasked", detail=error.detail)
            return False
        except OutcomeRefused:
            self.failed("consent_ended")
            raise
        self._permission_asked_at = asked_at
        return time.monotonic() - asked_at < PERMITTED_S

    def delivered(self, size_bytes: int) -> None:
        """The last chunk is about to leave.  Raises: OutcomeRefused: it must not; AuthorizationServerDown: likewise."""
        self._or_fail("delivered")
        self._log("delivered", bytes=size_bytes)

    def failed(self, reason: str | None) -> None:
        """Nothing complete was delivered; None: through no fault of agency or client.

        Never raises: if it can't be said, the lease's end will say it.
        """
        for attempt in (1, 2):  # a failure may be said twice, the second time changes nothing
            try:
                self._authz.report(self._lease, "failed", trace_id=self._trace_id, reason=reason)
                break
            except AuthorizationServerDown as error:
                self._log("unreported", reason=reason, detail=error.detail, attempt=attempt)
            except OutcomeRefused:
                break
        self._log("failed", reason=reason)

    def _or_fail(self, outcome: Gate) -> None:
        try:
            self._authz.report(self._lease, outcome, trace_id=self._trace_id)
        except AuthorizationServerDown:
            # Nobody knows whether it was recorded. If it was, `failed` is refused and the token is spent; if it was
            # not, the token is free again. Either way nothing complete left, and nothing more will.
            self.failed(None)
            raise
        except OutcomeRefused:
            # If the lease is over this is refused too; if somebody was suspended it says that nothing was delivered.
            self.failed("consent_ended")
            raise

    def _log(self, outcome: str, **more: logging.Identifier) -> None:
        logging.event(
            f"fetch.{outcome}",
            level=levels.INFO,
            transaction_id=self._lease.transaction,
            agency_id=self._lease.agency_id,
            dataset_id=self._lease.dataset_id,
            **more,
        )


def pieces(chunks: Iterator[bytes]) -> Iterator[tuple[bytes, bool]]:
    """Yield (octets, is the last): the last one holds the last full chunk and what came after it."""
    held = b""
    for chunk in chunks:
        if len(chunk) == CHUNK_BYTES and held:
            yield held, False
            held = chunk
        else:
            held += chunk
    yield held, True


class Stream:
    """The body of a large answer, to be iterated by the server and closed by it whatever happens.

    Ends early, without the last chunk, if the agency fails or the delivery is not accepted: then fewer octets leave
    than Content-Length said, and the server aborts the connection.
    """

    def __init__(
        self, first: bytes, rest: Iterator[tuple[bytes, bool]], *, package: Package, report: Report, permit: Permit
    ) -> None:
        self._first: bytes | None = first
        self._rest = rest
        self._package = package
        self._report = report
        self._permit: Permit | None = permit
        self._size_bytes = 0

    def __iter__(self) -> "Stream":
        return self

    def __next__(self) -> bytes:
        if self._permit is None:
            raise StopIteration
        try:
            piece, is_last = self._take()
            self._size_bytes += len(piece)
            if is_last:
                self._report.delivered(self._size_bytes)
                self._end(peer_works=True)
            else:
                self._report.continuing()
        except AgencyError as error:
            self._end(peer_works=not error.outage)
            self._report.failed(error.code)
            raise StopIteration from None
        except (OutcomeRefused, AuthorizationServerDown):
            self._end(peer_works=True)
            raise StopIteration from None
        except BaseException:
            if self._end(peer_works=True):
                self._report.failed(None)
            raise
        return piece

    def close(self) -> None:
        """The client is gone, or all is done."""
        if self._end(peer_works=True):
            self._report.failed("client_hung_up")

    def _take(self) -> tuple[bytes, bool]:
        first, self._first = self._first, None
        return (first, False) if first is not None else next(self._rest)

    def _end(self, *, peer_works: bool) -> bool:
        """Let go of agency and permit; whether they were still held."""
        permit, self._permit = self._permit, None
        if permit is None:
            return False
        self._package.close()
        permit.settle(peer_works=peer_works)
        return True
