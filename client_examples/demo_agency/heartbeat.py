"""Each minute every agency tells the platform how it is: at work, or under maintenance until about when."""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass

from .mail import Mail
from .misbehave import Mode, Switches
from .platform import PlatformUnavailable

TYPE = "mydata-heartbeat+jwt"
EVERY_S = 60
MAINTENANCE_S = 1800

log = logging.getLogger("demo_agency")


@dataclass(frozen=True)
class Heart:
    """Beats for some agencies. An agency whose mode is down says that it is under maintenance."""

    mails: tuple[Mail, ...]
    switches: Switches
    now: Callable[[], int]

    def beat(self) -> None:
        """Tell it once; a platform that can't be reached is told the next time."""
        for mail in self.mails:
            said: dict[str, str | int] = {"status": "ok"}
            if self.switches.mode(mail.agency_id) is Mode.DOWN:
                said = {"status": "maintenance", "until": self.now() + MAINTENANCE_S}
            try:
                mail.tell(f"agencies/{mail.agency_id}/heartbeat", said, typ=TYPE, now=self.now())
            except PlatformUnavailable as error:
                log.warning("no heartbeat: %s", error)

    def start(self) -> None:
        """Beat in a thread of its own, until the program stops."""
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while not self.switches.stopping.wait(EVERY_S):
            self.beat()
