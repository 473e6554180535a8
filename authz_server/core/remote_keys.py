"""The public keys that somebody else publishes under a URL: fetched when first needed, kept, and fetched anew with
restraint."""

import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from logging import WARNING

import orjson

from authz_server.core import clock, outbound_http
from authz_server.core.jose import BadKey, KeySet
from authz_server.core.logging import event
from authz_server.core.outbound_http import FetchError, FetchFailed

KEYS_MAX_AGE = timedelta(minutes=10)
FIRST_WAIT_S = 1.0
REFETCH_EVERY = timedelta(seconds=60)  # op.md C-11


class RemoteKeys:
    """One owner's keys, under a lock of their own: one slow host holds up nobody else. Thread-safe.

    Args: parse: makes the key set of the document, or raises BadKey; allowed_hosts: as of `outbound_http.fetch`.
    """

    def __init__(self, url: str, parse: Callable[[object], KeySet], *, allowed_hosts: frozenset[str]) -> None:
        self._url = url
        self._parse = parse
        self._allowed_hosts = allowed_hosts
        self._lock = threading.Lock()
        self._keys: KeySet | None = None
        self._tried_at: datetime | None = None
        self._refetched_at: datetime | None = None

    def get(self, kid: str | None) -> KeySet:
        """The keys, fetched after ten minutes, and once more when `kid` is none of them.

        At most once a minute, though: a `kid` costs a stranger nothing to make up.
        Raises: FetchError if they can't be had.
        """
        # While one request fetches, the others go on with what is known, or give up soon: the slow host of one owner
        # must not hold everybody's turns.
        known = self._keys
        if not self._lock.acquire(timeout=FIRST_WAIT_S if known is None else 0):
            if known is None:
                raise FetchFailed("being fetched by another request")
            return known
        try:
            return self._current(kid, now=clock.now())
        finally:
            self._lock.release()

    def _current(self, kid: str | None, *, now: datetime) -> KeySet:
        """The caller holds the lock. A failed attempt counts as one: the next is a minute away."""
        if self._keys is None or self._tried_at is None or now >= self._tried_at + KEYS_MAX_AGE:
            if self._keys is None and not _is_due(self._tried_at, now):
                raise FetchFailed("failed less than a minute ago")
            self._tried_at = now
            try:
                self._keys = self._fetch()
            except FetchError:
                self._keys = None
                raise
        elif kid is not None and self._keys.find(kid) is None and _is_due(self._refetched_at, now):
            self._refetched_at = now
            try:
                self._keys = self._fetch()
                self._tried_at = now
            except FetchError as error:
                # The known keys stay good: else anybody with a made-up kid could cut the owner off for a minute.
                event("keys.not_fetched", level=WARNING, detail=error.detail)
        return self._keys

    def _fetch(self) -> KeySet:
        try:
            return self._parse(orjson.loads(outbound_http.fetch(self._url, allowed_hosts=self._allowed_hosts)))
        except orjson.JSONDecodeError:
            raise FetchFailed("the JWKS is not JSON") from None
        except BadKey as error:
            raise FetchFailed(f"JWKS: {error.detail}") from None


def _is_due(last: datetime | None, now: datetime) -> bool:
    return last is None or now >= last + REFETCH_EVERY
