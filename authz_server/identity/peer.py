"""A server that an identity method depends on: asked by a few at once, left alone for a while when it fails, and never
named as the citizen's failure."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from authz_server.core import outbound_http
from authz_server.core.circuit import Circuit, CircuitOpen, PeerBusy
from authz_server.core.logging import event
from authz_server.core.outbound_http import Answer, FetchError
from authz_server.identity.errors import MethodUnavailable, SignInRefused

FAILURES_BEFORE_PAUSE: Final = 3
PAUSE_S: Final = 30
MAX_ANSWER_BYTES: Final = 32768


class PeerUnavailable(MethodUnavailable):
    """No usable answer. `detail` says which check failed; what was typed or sent is in no part of it."""

    def __init__(self, detail: str, retry_after_s: int = PAUSE_S) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s


class Peer:
    """One such server. Used by many threads at once.

    Args: name: for the log; allowed_hosts: of those that the operator has named, which may be in a private network.
    """

    def __init__(self, name: str, *, timeout_s: float, max_concurrent: int, allowed_hosts: frozenset[str]) -> None:
        self.name = name
        self._timeout_s = timeout_s
        self._allowed_hosts = allowed_hosts
        self._circuit = Circuit(max_concurrent=max_concurrent, failures=FAILURES_BEFORE_PAUSE, cool_down_s=PAUSE_S)

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Let the block talk to the peer. That it raises PeerUnavailable counts against the peer, a refusal does not.

        Raises: PeerUnavailable.
        """
        try:
            permit = self._circuit.enter()
        except CircuitOpen as pause:
            raise PeerUnavailable("not asked during the pause", pause.retry_after_s) from None
        except PeerBusy:
            raise PeerUnavailable("as many questions as we allow ourselves are under way", 1) from None
        works: bool | None = None
        try:
            yield
            works = True
        except SignInRefused:
            works = True
            raise
        except PeerUnavailable as away:
            works = False
            event("peer.unavailable", level=logging.WARNING, connector=self.name, detail=away.detail)
            raise
        finally:
            permit.settle(peer_works=works)

    def post(self, url: str, body: bytes, *, content_type: str, headers: Mapping[str, str]) -> Answer:
        """Send one request, once; within `asking`.  Raises: PeerUnavailable."""
        try:
            return outbound_http.post(
                url,
                body,
                content_type=content_type,
                headers=headers,
                allowed_hosts=self._allowed_hosts,
                max_bytes=MAX_ANSWER_BYTES,
                timeout_s=self._timeout_s,
            )
        except FetchError as error:
            raise PeerUnavailable(error.detail) from None
