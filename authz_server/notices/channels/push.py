"""One push to a URL that a client or an agency registered, and what its answer means."""

from collections.abc import Callable
from datetime import timedelta
from typing import ClassVar, Final

from authz_server.config import Settings
from authz_server.core import clock, outbound_http
from authz_server.core.circuit import Circuit, CircuitOpen
from authz_server.core.outbound_http import Answer, FetchError
from authz_server.extensions import Services
from authz_server.notices.channels.base import NotAsked, NotDelivered, Undeliverable

LATER: Final = frozenset({408, 425, 429})
COOL_DOWN_S: Final = 60
SLOW: Final = timedelta(seconds=outbound_http.TIMEOUT_S / 2)


class Pusher:
    """Pushes, for one thread. A receiver that hangs costs the others a wait a minute, however much it is to be told; so
    does one that takes what it is told, but always just in time: it would hold up everybody else for as long as it
    likes."""

    def __init__(self, services: Services) -> None:
        self._allowed = frozenset(services.settings.allowed_outbound_hosts)
        self._doors: dict[str, Circuit] = {}

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
        door = self._doors.setdefault(endpoint, Circuit(max_concurrent=1, failures=3, cool_down_s=COOL_DOWN_S))
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
            works = answer.status < 500 and clock.now() - began < SLOW
        except FetchError as error:
            raise NotDelivered(error.detail) from None
        finally:
            permit.settle(peer_works=works)
        return answer


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
