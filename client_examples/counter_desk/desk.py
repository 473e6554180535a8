"""The counter as an OAuth client: a clerk signs in; announce a barcode, redeem it with its code, fetch, forget.

All but the two steps of barcodes is the bank's client: private_key_jwt, DPoP with a new key for each clerk, fetching.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..bank_web.client import LATER, Client, Fetch, Journey
from ..bank_web.package import BadPackage

GRANT = "urn:ietf:params:oauth:grant-type:pre-authorized_code"
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105 - a type name of RFC 8693


@dataclass(repr=False)
class Clerk:
    """Who works at the desk. `journey`: the sign-in, with the key and the token that go with each barcode."""

    journey: Journey = field(default_factory=Journey)
    name: str = ""  # as citizens read it
    seen_at: float = field(default_factory=time.monotonic)

    @property
    def actor(self) -> dict[str, str]:
        """Who presents a barcode (RFC 8693 section 2.1); nothing, where the office names no clerks."""
        token = self.journey.access_token
        return {"actor_token": token, "actor_token_type": ACCESS_TOKEN} if token else {}


@dataclass(repr=False)
class Case:
    """One citizen at the counter. Nothing of it outlives `ends_at`."""

    barcode: str
    clerk: Clerk
    printing: str = ""  # the dataset whose next page may be printed
    told: dict[str, Any] = field(default_factory=dict)  # what the platform said of it: masked name, purpose, datasets
    datasets: list[tuple[Any, list[Any]]] = field(default_factory=list)  # as the catalogue describes them, with fields
    ends_at: float = 0.0
    journey: Journey = field(init=False)

    def __post_init__(self) -> None:
        # What was got for a barcode is bound to the key of who presented it.
        self.journey = Journey(dpop_key=self.clerk.journey.dpop_key)

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

    def sign_in(self, locale: str) -> tuple[Clerk, str]:
        """Begin a clerk's sign-in; with the address to send them to."""
        journey, address = self.start([], locale, scope="openid desk", authorization_details="")
        return Clerk(journey), address

    def signed_in(self, clerk: Clerk, answer: Mapping[str, str]) -> None:
        """Take the platform's answer.  Raises: Refused: nobody is a clerk here, or they did not want to."""
        clerk.name = self.finish(clerk.journey, answer)["nickname"]

    def sign_out(self, clerk: Clerk) -> None:
        """Give up what stands for the clerk (RFC 7009)."""
        self.post("revocation_endpoint", clerk.journey, {"token": clerk.journey.access_token})

    def announce(self, barcode: str, clerk: Clerk) -> Case:
        """Say whose turn it is; the platform sends the citizen a one-time code.  Raises: Refused."""
        case = Case(barcode, clerk)
        self.announce_again(case)
        return case

    def announce_again(self, case: Case) -> None:
        """Have a new one-time code sent, once the one before is over.  Raises: Refused."""
        form = {"pre-authorized_code": case.barcode, "counter": self.counter, **case.clerk.actor}
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
        form = {"grant_type": GRANT, "pre-authorized_code": case.barcode, "tx_code": code, **case.clerk.actor}
        tokens = self.post("token_endpoint", case.journey, form)
        case.journey.fetches = [*map(Fetch, tokens["authorization_details"])]
        case.barcode, case.ends_at = "", time.monotonic() + self.shown_s

    def record_copy(self, case: Case, fetch: Fetch, action: str) -> None:
        """Have it on the citizen's record that this is printed or saved; only then may it be.  Raises: Refused."""
        form = {"action": action, "counter": self.counter, **case.clerk.actor}
        form |= {name: fetch.grant[name] for name in ("transaction", "dataset")}
        self.post("copy_report_endpoint", case.journey, form)

    def fetch_all(self, case: Case) -> None:
        """Fetch what is there and was not fetched yet."""
        with case.journey.lock:  # two tabs must not both spend a token
            for fetch in case.fetches:
                if fetch.status in LATER.values():
                    try:
                        self.fetch(case.journey, fetch)
                    except BadPackage as error:
                        fetch.note = f"{error}, {fetch.note}"
