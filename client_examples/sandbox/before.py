"""What a folder holds of a sandbox that ran there before: who was registered, and where everything listened."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from .processes import ProcessFailed


class Before:
    """The note that a sandbox leaves in its folder: its addresses when it begins, its people once it knows them."""

    def __init__(self, work: Path) -> None:
        self._work = work
        self._note = work / "sandbox.json"
        found = json.loads(self._note.read_text(encoding="utf-8")) if self._note.exists() else {}
        self.ports: dict[str, int] = found.get("ports", {})
        self.people: frozenset[str] = frozenset(found.get("people", ()))

    def begin(self, ports: Mapping[str, int]) -> None:
        """Make the folder a sandbox's, if it is none yet.

        Raises: ProcessFailed, if it is somebody else's, whose files would be written over; or to go on elsewhere, for
        addresses stand in certificates, registrations and what was made for them.
        """
        if not self._note.exists() and self._work.exists() and any(self._work.iterdir()):
            raise ProcessFailed(f"{self._work} is not empty, and no sandbox: name a folder that is new")
        if self.ports and self.ports != ports:
            listened = ", ".join(map(str, sorted(self.ports.values())))
            told = f"{self._work} is a sandbox on the ports {listened}, and something listens on one of them"
            raise ProcessFailed(f"{told}: stop that, delete the folder, or name another one")
        self._work.mkdir(parents=True, exist_ok=True)
        self.keep(ports, ())

    def keep(self, ports: Mapping[str, int], people: Iterable[str]) -> None:
        """Note who is registered, for the next start."""
        note = {"ports": dict(ports), "people": sorted({*self.people, *people})}
        written = self._note.with_suffix(".new")
        written.write_text(json.dumps(note), encoding="utf-8")
        written.replace(self._note)  # at once: whoever is stopped meanwhile leaves no half of it
