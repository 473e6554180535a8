"""The counter as an OAuth client: announce a barcode, redeem it with the citizen's one-time code, fetch, forget.

All but the two steps of barcodes is the bank's client: private_key_jwt, DPoP with a new key for each citizen, fetching.
"""

import time
from dataclasses import dataclass, field
from typing import Any

from ..bank_web.client import LATER, Client, Fetch, Journey
from ..bank_web.package import BadPackage

GRANT = "urn:ietf:params:oauth:grant-type:pre-authorized_code"


@dataclass(repr=False)
class Case:
    """One citizen at the counter. Nothing of it outlives `ends_at`."""

    barcode: str
    told: dict[str, Any] = field(default_factory=dict)  # what the platform said of it: masked name, purpose, datasets
    datasets: list[tuple[Any, list[Any]]] = field(default_factory=list)  # as the catalogue describes them, with fields
    ends_at: float = 0.0
    journey: Journey = field(default_factory=Journey)

    @property
    def fetches(self) -> list[Fetch]:
        return self.journey.fetches

    @property
    def seconds_left(self) -> int:
        return max(0, round(self.ends_at - time.monotonic()))

    @property
    def wait_s(self) -> int:
        """After how many seconds to ask for what is being prepared; 0: nothing is."""
        return max((fetch.wait_s for fetch in self.fetches if fetch.status in LATER.values()), default=0)


class Desk(Client):
    """One counter of the office. Args: shown_s: how long a citizen's data may be looked at."""

    def __init__(self, *client: Any, counter: str, shown_s: int) -> None:
        super().__init__(*client)
        self.counter, self.shown_s = counter, shown_s

    def announce(self, barcode: str) -> Case:
        """Say whose turn it is; the platform sends the citizen a one-time code.  Raises: Refused."""
        case = Case(barcode)
        self.announce_again(case)
        return case

    def announce_again(self, case: Case) -> None:
        """Have a new one-time code sent, once the one before is over.  Raises: Refused."""
        form = {"pre-authorized_code": case.barcode, "counter": self.counter}
        case.told = self.post("barcode_announcement_endpoint", case.journey, form)
        case.ends_at = time.monotonic() + self.shown_s
        agencies = self._get(f"{self.issuer}/catalogue")["agencies"]
        known = {dataset["id"]: dataset for agency in agencies for dataset in agency["datasets"]}
        case.datasets = [
            (known[asked["dataset"]], [it for it in known[asked["dataset"]]["fields"] if it["id"] in asked["fields"]])
            for asked in case.told["authorization_details"]
        ]

    def redeem(self, case: Case, code: str) -> None:
        """Get the tokens. Sources: OpenID4VCI 1.0 section 6.1 (the grant), RFC 9396.  Raises: Refused."""
        form = {"grant_type": GRANT, "pre-authorized_code": case.barcode, "tx_code": code}
        tokens = self.post("token_endpoint", case.journey, form)
        case.journey.fetches = [*map(Fetch, tokens["authorization_details"])]
        case.barcode, case.ends_at = "", time.monotonic() + self.shown_s

    def fetch_all(self, case: Case) -> None:
        """Fetch what is there and was not fetched yet."""
        with case.journey.lock:  # two tabs must not both spend a token
            for fetch in case.fetches:
                if fetch.status in LATER.values():
                    try:
                        self.fetch(case.journey, fetch)
                    except BadPackage as error:
                        fetch.note = f"{error}, {fetch.note}"
