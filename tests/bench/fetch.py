"""What comes after the journey here and nowhere else: a dataset token's exchange and outcome, and whole fetches."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit
from urllib.request import urlopen

from tests.bench import cpu
from tests.bench.agency import BEGUN_PATH, LARGE_FILE_BYTES, SMALL_BYTES
from tests.bench.browser import UnexpectedAnswer, request
from tests.bench.client import BenchClient, b64url, dpop_proof
from tests.bench.http_pump import Answer, Pump
from tests.bench.journey import Driver
from tests.bench.meter import Meter
from tests.bench.steps import Journey, Provider

LARGE_PER_BATCH = 3
_TOKEN_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
_ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"


@dataclass
class Fetches:
    """Spends the dataset tokens of a batch: half by the proxy's two calls made directly, half through the proxy.

    proxy_pid: the process of the proxy whose memory is watched. first_bytes_s: of each large file, how long after the
    agency's first byte the client had its own. exchanger: what the proxy is to the authorization
    server. with_large: as the provider of the journey, but asking for the large dataset.
    """

    proxy_url: str
    agency_url: str
    proxy_pid: int
    exchanger: BenchClient
    with_large: Provider
    most_memory_kb: int = 0
    first_bytes_s: list[float] = field(default_factory=list)

    def run(self, journeys: Sequence[Journey], meter: Meter, pump: Pump) -> None:
        provider = self.with_large
        half = len(journeys) // 2
        driver = Driver(provider, pump, meter)
        leases: dict[int, str] = {}
        exchanged = driver.step(
            "exchange", journeys[:half], self.exchange, lambda journey, answer: _take_lease(journey, answer, leases)
        )
        driver.step("outcome", exchanged, lambda journey: self.outcome(leases[id(journey)], "delivered"), _accepted)
        parts = urlsplit(self.proxy_url)
        with closing(Pump(parts.hostname or "", parts.port or 0, pump.connections)) as to_proxy:
            Driver(provider, to_proxy, meter).step("fetch 1 KB", journeys[half:], self.request_for, _small)
        aside = Meter({})
        some = [journey.browser for journey in journeys[:LARGE_PER_BATCH]]
        large = Driver(provider, pump, aside).run(some, userinfo=False)
        with closing(Pump(parts.hostname or "", parts.port or 0, 1)) as alone:
            cpu.forget_peak_memory(self.proxy_pid)
            before_kb = cpu.peak_memory_kb(self.proxy_pid)
            arrived: list[float] = []
            Driver(provider, alone, meter).step(
                "fetch 20 MB", large, self.request_for, lambda _, answer: _large(answer, arrived)
            )
            self.most_memory_kb = max(self.most_memory_kb, cpu.peak_memory_kb(self.proxy_pid) - before_kb)
        with urlopen(f"{self.agency_url}{BEGUN_PATH}") as answer:  # noqa: S310 - our own, on loopback
            begun: list[float] = json.load(answer)
        self.first_bytes_s += [there - here for here, there in zip(begun, arrived, strict=True)]

    def exchange(self, journey: Journey) -> bytes:
        """RFC 8693 section 2.1, with the verified proof's key and identity, as the proxy sends it."""
        detail = granted(journey)
        form = {
            "grant_type": _TOKEN_EXCHANGE,
            "subject_token": detail["access_token"],
            "subject_token_type": _ACCESS_TOKEN,
            "resource": detail["locations"][0],
            "dpop_jkt": journey.dpop_key.thumbprint,
            "dpop_jti": b64url(hashlib.sha256(journey.state.encode()).digest()),
            **self.exchanger.assertion(self.with_large.issuer),
        }
        return request("POST", self.with_large.metadata["token_endpoint"], {}, form)

    def outcome(self, lease: str, outcome: str) -> bytes:
        """What the proxy says of a fetch."""
        form = {"lease": lease, "outcome": outcome}
        return request("POST", f"{self.with_large.issuer}/outcomes", {}, form)

    def request_for(self, journey: Journey) -> bytes:
        """The request that fetches the journey's dataset, once."""
        detail = granted(journey)
        url, token = detail["locations"][0], detail["access_token"]
        proof = dpop_proof(journey.dpop_key, "GET", url, token)
        return request("GET", url, {"Authorization": f"DPoP {token}", "DPoP": proof})


def granted(journey: Journey) -> Mapping[str, Any]:
    """The granted dataset in the token response, with its own token. RFC 9396 section 7."""
    details = journey.tokens["authorization_details"]
    assert isinstance(details, list)
    return dict(details[0])


def leased(answer: Answer) -> str:
    """The lease that an exchange was answered with."""
    if answer.status != 200:
        raise UnexpectedAnswer("exchange", answer)
    return str(json.loads(answer.body)["lease"])


def _take_lease(journey: Journey, answer: Answer, leases: dict[int, str]) -> None:
    leases[id(journey)] = leased(answer)


def _accepted(_journey: Journey, answer: Answer) -> None:
    if answer.status != 204:
        raise UnexpectedAnswer("outcome", answer)


def _small(_journey: Journey, answer: Answer) -> None:
    if answer.status != 200 or abs(answer.size_bytes - SMALL_BYTES) > 4:
        raise UnexpectedAnswer("fetch 1 KB", answer)


def _large(answer: Answer, arrived: list[float]) -> None:
    arrived.append(answer.first_byte_at)
    if answer.status != 200 or answer.size_bytes < LARGE_FILE_BYTES * 4 // 3:
        raise UnexpectedAnswer("fetch 20 MB", answer)
