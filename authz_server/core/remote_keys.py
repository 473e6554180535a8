"""Documents that somebody else publishes under a URL, above all public keys: fetched when first needed, kept, and
fetched anew with restraint."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from logging import WARNING
from typing import Generic, TypeVar

import orjson

from authz_server.core import clock, outbound_http
from authz_server.core.errors import DomainError
from authz_server.core.jose import KeySet
from authz_server.core.logging import event
from authz_server.core.outbound_http import FetchError, FetchFailed

MAX_AGE = timedelta(minutes=10)
# While one request fetches, or its host is away, others go on with what is hardly older than that, and with nothing of
# days ago: whoever has stolen a key that its owner has replaced since would only have to send two requests at once.
OLDEST = MAX_AGE + timedelta(minutes=1)
FIRST_WAIT_S = 1.0
REFETCH_EVERY = timedelta(seconds=60)

T = TypeVar("T")


@dataclass(frozen=True)
class _Found(Generic[T]):
    value: T
    at: datetime


class Kept(Generic[T]):
    """One document, under a lock of its own: one slow host holds up nobody else. Thread-safe.

    Args: fetch: gets it, or raises FetchError; again_after: how long a failure is remembered while nothing is known.
    """

    def __init__(self, fetch: Callable[[], T], *, again_after: timedelta = REFETCH_EVERY) -> None:
        self._fetch = fetch
        self._again_after = again_after
        self._lock = threading.Lock()
        self._known: _Found[T] | None = None
        self._tried_at: datetime | None = None
        self._refetched_at: datetime | None = None

    def get(self, *, suits: Callable[[T], bool] = lambda _known: True) -> T:
        """What is known, fetched after ten minutes, and once more when it does not suit, at most once a minute.

        Where it can't be fetched again, what is known counts for a minute more.
        Raises: FetchError if it can't be had.
        """
        # While one request fetches, the others go on with what is known, or give up soon: the slow host of one owner
        # must not hold everybody's turns.
        known = self._countable(clock.now())
        if not self._lock.acquire(timeout=FIRST_WAIT_S if known is None else 0):
            if known is None:
                raise FetchFailed("being fetched by another request")
            return known.value
        try:
            return self._current(suits, now=clock.now())
        finally:
            self._lock.release()

    def _countable(self, now: datetime) -> _Found[T] | None:
        known = self._known
        return known if known is not None and clock.is_within(OLDEST, since=known.at, now=now) else None

    def _current(self, suits: Callable[[T], bool], *, now: datetime) -> T:
        """The caller holds the lock. A failed attempt counts as one, so the next is a while away."""
        known = self._countable(now)
        if known is None:
            if not _is_due(self._tried_at, now, self._again_after):
                raise FetchFailed("failed a moment ago")
            self._tried_at = now
            return self._fetched(None, now)
        fresh = clock.is_within(MAX_AGE, since=known.at, now=now) and suits(known.value)
        if fresh or not _is_due(self._refetched_at, now):
            return known.value
        self._refetched_at = now
        return self._fetched(known, now)

    def _fetched(self, known: _Found[T] | None, now: datetime) -> T:
        """What there is now, or else what is known: anybody with a made-up kid, or a moment in which its host is away,
        could cut the owner off for a minute.  Raises: FetchError if nothing is known.
        """
        try:
            found = self._known = _Found(self._fetch(), now)
        except FetchError as error:
            # Here, for whoever asks next is told no more than that it failed a moment ago.
            event("remote.not_fetched", level=WARNING, detail=error.detail)
            if known is None:
                raise
            found = known
        return found.value


class RemoteDocument(Kept[T]):
    """One JSON document.

    Args: parse: makes something of the JSON value, or raises a DomainError; allowed_hosts: as of `outbound_http.fetch`.
    """

    def __init__(self, url: str, parse: Callable[[object], T], *, allowed_hosts: frozenset[str]) -> None:
        def fetch() -> T:
            try:
                return parse(orjson.loads(outbound_http.fetch(url, allowed_hosts=allowed_hosts)))
            except orjson.JSONDecodeError:
                raise FetchFailed("not JSON") from None
            except FetchError:
                raise
            except DomainError as error:
                raise FetchFailed(error.detail) from None

        super().__init__(fetch)


class RemoteKeys(RemoteDocument[KeySet]):
    """The public keys of one owner."""

    def of(self, kid: str | None) -> KeySet:
        """The keys; fetched anew when `kid` is none of them, with restraint: it costs a stranger nothing to make up.

        Raises: FetchError if they can't be had.
        """
        return self.get(suits=lambda keys: kid is None or keys.find(kid) is not None)


def _is_due(last: datetime | None, now: datetime, pause: timedelta = REFETCH_EVERY) -> bool:
    return last is None or not clock.is_within(pause, since=last, now=now)
