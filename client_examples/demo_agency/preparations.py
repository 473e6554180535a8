"""Slow work that the platform asks for before anybody comes for it: begun, and the platform told how far it is.

The work is what the first fetch would have begun, under the same transaction, so the fetch finds it done. The number
of a request (`jti`) is the same however often it is pushed: a second push begins nothing a second time.
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from .mail import Mail
from .platform import PlatformUnavailable
from .slow import Queue, prepared

ASK_TYPE = "mydata-preparation+jwt"
DROP_TYPE = "mydata-preparation-drop+jwt"
STATE_TYPE = "mydata-preparation-state+jwt"
TRIES = 5

log = logging.getLogger("demo_agency")


@dataclass
class Preparations:
    """All agencies' desk for them."""

    queue: Queue
    now: Callable[[], int]
    sleep: Callable[[float], None] = time.sleep
    _begun: set[str] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, mail: Mail, pushed: str) -> None:
        """Begin, or throw away what was begun.  Raises: PushRefused, PlatformUnavailable."""
        typ, claims = mail.open(pushed, {ASK_TYPE, DROP_TYPE})
        if typ == DROP_TYPE:
            self.queue.drop(claims["txn"])
            return
        with self._lock:
            known = claims["jti"] in self._begun
            self._begun.add(claims["jti"])
        if not known and claims["exp"] > self.now():
            threading.Thread(target=self.work, args=(mail, claims), daemon=True).start()

    def work(self, mail: Mail, claims: dict[str, Any]) -> None:
        """Say when it will be ready, and once it is."""
        work = (claims["txn"], claims["dataset"])
        while wait_s := self.queue.wait_s(*work, now=self.now()):
            self._tell(mail, claims, "preparing", ready_at=self.now() + wait_s)
            self.sleep(wait_s)
            if not self.queue.has(*work):  # dropped meanwhile
                return
        what = prepared(claims["sub"], claims["dataset"], claims["parameters"])
        self.queue.keep(claims["txn"], what, until=claims["exp"])
        self._tell(mail, claims, "ready")

    def _tell(self, mail: Mail, claims: dict[str, Any], state: str, **more: int) -> None:
        said = {"preparation": claims["jti"], "state": state, **more}
        for attempt in range(TRIES):
            try:
                mail.tell(f"preparations/{claims['jti']}", said, typ=STATE_TYPE, now=self.now())
            except PlatformUnavailable as error:
                log.warning("%s was not taken: %s", state, error)
                self.sleep(1 << attempt)
            else:
                return
