"""The door to a server that we depend on: not too many inside at once, and closed for a while after it failed
again and again.

Kept in this process only: it decides nothing about security, it spares threads and a peer in trouble.
"""

import threading
from datetime import datetime, timedelta

from authz_server.core import clock
from authz_server.core.errors import DomainError


class CircuitOpen(DomainError):
    """The peer failed repeatedly; it is not asked again before the cool-down is over."""

    code = "circuit_open"
    public = "The server that has the answer is out of order at the moment."

    def __init__(self, retry_after_s: int) -> None:
        super().__init__("not asked during the cool-down")
        self.retry_after_s = retry_after_s


class PeerBusy(DomainError):
    """As many requests as we allow ourselves at this peer are under way."""

    code = "peer_busy"
    public = "Too many requests for the server that has the answer are under way."


class Circuit:
    """Admits requests to one peer. Thread-safe."""

    def __init__(self, *, max_concurrent: int, failures: int, cool_down_s: int) -> None:
        self._lock = threading.Lock()
        self._max_concurrent = max_concurrent
        self._allowed_failures = failures
        self._usual_cool_down = self._cool_down = timedelta(seconds=cool_down_s)
        self._inside = 0
        self._consecutive_failures = 0
        self._closed_at: datetime | None = None
        self._probing = False

    def enter(self) -> "Permit":
        """Admit one request; the permit must be settled.  Raises: CircuitOpen, PeerBusy."""
        with self._lock:
            now, closed_at = clock.now(), self._closed_at
            # After the cool-down one request may try whether the peer is back; the others still wait.
            if closed_at is not None and (self._probing or clock.is_within(self._cool_down, since=closed_at, now=now)):
                remaining = min(closed_at + self._cool_down - now, self._cool_down)
                raise CircuitOpen(clock.seconds_to_wait(remaining))
            if self._inside >= self._max_concurrent:
                raise PeerBusy("max_concurrent reached")
            self._probing = closed_at is not None
            self._inside += 1
            return Permit(self, probe=self._probing)

    def _leave(self, permit: "Permit", peer_works: bool | None, cool_down: timedelta | None) -> None:
        with self._lock:
            self._inside -= 1
            if permit.probe:
                self._probing = False
            if peer_works:
                self._consecutive_failures, self._closed_at = 0, None
            elif peer_works is not None:
                self._consecutive_failures += 1
                if self._consecutive_failures >= self._allowed_failures:
                    self._closed_at, self._cool_down = clock.now(), cool_down or self._usual_cool_down


class Permit:
    """The right to ask the peer once. Settled exactly once; later calls change nothing."""

    def __init__(self, circuit: Circuit, *, probe: bool) -> None:
        self.probe = probe
        self._circuit: Circuit | None = circuit

    def settle(self, *, peer_works: bool | None, cool_down: timedelta | None = None) -> None:
        """Give the place back. `peer_works`: None if the peer was not asked, or was not the one that failed.

        Args: cool_down: for how long the peer is left alone if this was one failure too many, if not the usual time.
        """
        circuit, self._circuit = self._circuit, None
        if circuit is not None:
            circuit._leave(self, peer_works, cool_down)
