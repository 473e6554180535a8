"""One push to a URL that a client or an agency registered, and what its answer means."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import ClassVar, Final

from authz_server.config import Settings
from authz_server.core import clock, outbound_http
from authz_server.core.circuit import Circuit, CircuitOpen
from authz_server.core.outbound_http import Answer, FetchError
from authz_server.extensions import Services
from authz_server.notices.channels.base import NotAsked, NotDelivered, Undeliverable

LATER: Final = frozenset({408, 425, 429})
COOL_DOWN: Final = timedelta(minutes=1)  # of one that fails
LONGEST: Final = timedelta(seconds=outbound_http.TIMEOUT_S)
SLOW: Final = LONGEST / 2
SLOW_FOR: Final = timedelta(minutes=10)  # at least, a slow answer counts for the share of the others


class Pusher:
    """Pushes, for one thread. All receivers that are slow, be it to take what they are told or to fail, have half of
    its time, in equal shares, however many they are and however much they are to be told; the other half is for
    everybody else. One that fails is asked once a minute at most."""

    def __init__(self, services: Services) -> None:
        self._allowed = frozenset(services.settings.allowed_outbound_hosts)
        self._doors: dict[str, Circuit] = {}
        self._slow: dict[str, tuple[datetime, timedelta]] = {}  # since when and for how long

    def push(
        self,
        endpoint: str,
        body: bytes,
        *,
        content_type: str,
        error_in: Callable[[Answer], str | None] = lambda _: None,
    ) -> None:
        """Returns when it was taken: 2xx. 408, 425, 429, 5xx and no answer mean later; everything else never.

        Args: error_in: the receiver's own reason, from a closed list.  Raises: Undeliverable, NotAsked, NotDelivered.
        """
        answer = self._post(endpoint, body, content_type)
        if 200 <= answer.status < 300:
            return
        if answer.status in LATER or not 400 <= answer.status < 500:
            raise NotDelivered(f"status {answer.status}")
        raise Undeliverable(error_in(answer) or f"status {answer.status}")

    def _post(self, endpoint: str, body: bytes, content_type: str) -> Answer:
        door = self._doors.setdefault(endpoint, Circuit(max_concurrent=1, failures=3, cool_down_s=COOL_DOWN.seconds))
        try:
            permit = door.enter()
        except CircuitOpen as error:
            raise NotAsked(error.detail) from None
        works, began = False, clock.now()
        try:
            answer = outbound_http.post(
                endpoint,
                body,
                content_type=content_type,
                headers={"Accept": "application/json"},
                allowed_hosts=self._allowed,
            )
            works = answer.status < 500
        except FetchError as error:
            raise NotDelivered(error.detail) from None
        finally:
            took = min(clock.now() - began, LONGEST)  # whatever becomes of the clock
            share = self._share(endpoint, took)
            permit.settle(peer_works=works and took < SLOW, cool_down=share if works else max(share, COOL_DOWN))
        return answer

    def _share(self, endpoint: str, took: timedelta) -> timedelta:
        """For how long to leave this receiver alone, so that all that are slow have half of the time in equal parts."""
        self._slow.pop(endpoint, None)
        now = clock.now()
        others = sum(clock.is_within(span, since=at, now=now) for at, span in self._slow.values())
        share = took * (2 * others + 1)
        if took >= SLOW:
            self._slow[endpoint] = now, max(SLOW_FOR, 2 * share)  # until it has been asked again, even if that is late
        return share


class Pushed:
    """What channels have in common whose reader is a program at an address that it registered, not the citizen."""

    default: ClassVar[bool | None] = None
    immediate: ClassVar[bool] = False
    to_citizen: ClassVar[bool] = False

    def __init__(self, services: Services) -> None:
        self._services = services
        self._pusher = Pusher(services)

    @staticmethod
    def is_on(settings: Settings) -> bool:
        """Whoever registered an address is told there."""
        del settings
        return True

    def rest(self) -> None:
        """Each push has a connection of its own."""
