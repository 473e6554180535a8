"""Ways to misbehave on demand, so that whoever calls an agency can test that they survive it."""

import threading
from collections.abc import Iterator
from enum import StrEnum

from flask import Response

from .problems import problem, retry_later

MIB = bytes(1024 * 1024)


class Mode(StrEnum):
    """How an agency answers. All but `ok` exist for tests."""

    OK = "ok"
    DOWN = "down"  # 503 with Retry-After
    REFUSE = "refuse"  # 403
    PREPARING = "preparing"  # 202 for ever
    NO_RECORD = "no-record"  # 404 of type no-record for everybody
    HANG = "hang"  # nothing for DEMO_AGENCY_HANG_S seconds, then 503
    GARBAGE = "garbage"  # 200, but neither a package nor JSON
    TOO_MUCH = "too-much"  # 200, and then 1 GiB
    CUT_OFF = "cut-off"  # half of the answer, then the connection is closed
    WRONG_SIGNATURE = "wrong-signature"  # the manifest is signed with a key that nobody knows
    WRONG_SCHEMA = "wrong-schema"  # the data is not what the catalogue says


class Switches:
    """The current mode of each agency; read and set from several threads."""

    def __init__(self, modes: dict[str, Mode], *, hang_s: float = 90) -> None:
        self.hang_s = hang_s
        self.stopping = threading.Event()
        self._modes = dict(modes)
        self._lock = threading.Lock()

    def mode(self, agency_id: str) -> Mode:
        with self._lock:
            return self._modes.get(agency_id, Mode.OK)

    def set(self, agency_id: str, mode: Mode) -> None:
        with self._lock:
            self._modes[agency_id] = mode

    def instead(self, agency_id: str) -> Response | None:
        """The answer of a mode that never looks at the request; None for the others."""
        match self.mode(agency_id):
            case Mode.DOWN:
                return retry_later("down for maintenance")
            case Mode.REFUSE:
                return problem(403, "refused")
            case Mode.HANG:
                self.stopping.wait(self.hang_s)
                return retry_later("took too long")
            case Mode.GARBAGE:
                return Response("<html>\x00\ufffd not what you asked for", mimetype="application/octet-stream")
            case Mode.TOO_MUCH:
                return Response((MIB for _ in range(1024)), mimetype="application/jose")
        return None


def parse_modes(text: str) -> dict[str, Mode]:
    """`"ris=down,fia=hang"` -> modes by agency. Raises ValueError for a mode that does not exist."""
    pairs = (item.split("=", 1) for item in text.split(",") if item.strip())
    return {agency_id.strip(): Mode(mode.strip()) for agency_id, mode in pairs}


def cut_off(response: Response) -> Response:
    """The same answer, promised in full, of which only the first half is sent."""
    body = response.get_data()
    half = body[: len(body) // 2]

    def breaking() -> Iterator[bytes]:
        yield half
        raise ConnectionAbortedError

    return Response(breaking(), mimetype=response.mimetype, headers={"Content-Length": str(len(body))})
