"""Who takes part: the authorization server as far as the proxy sees it, a client with its key, packages."""

import base64
import hashlib
import itertools
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

from jwcrypto import jwe, jwk, jws

from authz_server.core import clock, jose, secrets
from resource_proxy.connectors.base import CHUNK_BYTES
from tests.resource_proxy.wire import Peer, Request, json_reply, reply

PROXY_URL = "http://127.0.0.1:8001"
TRACE_ID = "6f5b1f0e-8f8e-4a3c-9d0a-1d9a52c3a111"
DATASET, AGENCY = "ris.personal", "ris"
LARGE = "ris.id-card-image"
CANARY = "CANARY-7731"


def encoded(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def new_token() -> str:
    return secrets.new_secret("mdt_")


@dataclass
class Client:
    """A client of the proxy: its DPoP key, and requests made with it."""

    key: jwk.JWK = field(default_factory=lambda: jwk.JWK.generate(kty="EC", crv="P-256"))
    counter: Any = field(default_factory=itertools.count)

    def proof(self, token: str, dataset: str = DATASET, *, url: str = PROXY_URL, **changes: Any) -> str:
        """A good proof, but for `changes` of claims (None: left out) or of the header (`header_<name>`)."""
        claims: dict[str, Any] = {
            "jti": f"proof-{next(self.counter)}",
            "htm": "GET",
            "htu": f"{url}/data/{dataset}",
            "iat": int(clock.now().timestamp()),
            "ath": encoded(hashlib.sha256(token.encode()).digest()),
        }
        header = {"typ": "dpop+jwt", "alg": "ES256", "jwk": self.key.export_public(as_dict=True)}
        for name, value in changes.items():
            target = header if name.startswith("header_") else claims
            target[name.removeprefix("header_")] = value
        claims = {name: value for name, value in claims.items() if value is not None}
        signed = jws.JWS(json.dumps(claims))
        signed.add_signature(self.key, None, json.dumps(header), None)
        return str(signed.serialize(compact=True))

    def headers(self, token: str, dataset: str = DATASET, *, url: str = PROXY_URL, **changes: Any) -> dict[str, str]:
        proof = self.proof(token, dataset, url=url, **changes)
        return {"Authorization": f"DPoP {token}", "DPoP": proof, "X-FAPI-Interaction-ID": TRACE_ID}


@dataclass
class Authz:
    """Token and outcome endpoints. `leases` are open until an outcome ends them, as in the state machine."""

    peer: Peer = field(default_factory=Peer)
    exchanges: list[dict[str, str]] = field(default_factory=list)
    outcomes: list[dict[str, str]] = field(default_factory=list)
    ticket: str = field(default_factory=lambda: "eyJ0aWNrZXQ.." + "t" * 43)
    exchange_says: Callable[[Request], Any] | None = None
    outcome_says: dict[str, Any] = field(default_factory=dict)  # outcome -> status, or what Peer.answer may return
    jwks: dict[str, Any] = field(default_factory=dict)
    overrides: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.peer.answer = self._answer
        self._ended: set[str] = set()
        self._news = threading.Condition()

    def wait_for(self, outcome: str) -> str | None:
        """The reason of this outcome, as soon as it was reported."""
        with self._news:
            assert self._news.wait_for(lambda: outcome in self.said, timeout=20)
        return next(said.get("reason") for said in self.outcomes if said["outcome"] == outcome)

    @property
    def said(self) -> list[str]:
        return [outcome["outcome"] for outcome in self.outcomes]

    def _answer(self, request: Request) -> Any:
        form = {name: values[0] for name, values in parse_qs(request.body.decode()).items()}
        if request.path == "/jwks":
            return json_reply(200, self.jwks)
        if request.path == "/token":
            self.exchanges.append(form)
            if self.exchange_says is not None:
                return self.exchange_says(request)
            return json_reply(200, self.grant(form["resource"].rpartition("/")[2]))
        with self._news:
            self.outcomes.append(form)
            self._news.notify_all()
        says = self.outcome_says.get(form["outcome"], 409 if form["lease"] in self._ended else 204)
        if says == 204 and form["outcome"] not in {"delivering", "continuing"}:
            self._ended.add(form["lease"])
        return reply(says) if isinstance(says, int) else says

    def grant(self, dataset: str) -> dict[str, Any]:
        """The answer to a token exchange."""
        return {
            "access_token": self.ticket,
            "issued_token_type": "urn:ietf:params:oauth:token-type:jwt",
            "token_type": "N_A",
            "expires_in": 60,
            "lease": secrets.new_secret("mdl_"),
            "lease_expires_in": 120,
            "agency": dataset.partition(".")[0],
            "dataset": dataset,
            "transaction": "T7K2M-9QXA-4F3C",
            "attempt": 1,
        } | self.overrides


RECIPIENT = jose.generate_key("ECDH-ES")


def sealed(content: bytes) -> bytes:
    """A small package as an agency makes it, by another library than ours."""
    public = {name: RECIPIENT[name] for name in ("kty", "crv", "x", "y")}
    header = {"alg": "ECDH-ES", "enc": "A256GCM", "cty": "application/zip", "kid": RECIPIENT["kid"]}
    token = jwe.JWE(content, json.dumps(header), recipient=jwk.JWK(**public))
    return str(token.serialize(compact=True)).encode()


def opened(token: bytes) -> bytes:
    """What the recipient reads."""
    box = jwe.JWE()
    box.deserialize(token.decode(), key=jwk.JWK(**RECIPIENT))
    return bytes(box.payload)


HEADER = encoded(b'{"alg":"ECDH-ES","enc":"A256GCM"}').encode()


def looks_sealed(size_bytes: int) -> bytes:
    """Octets that the proxy can't tell from a package of that size."""
    body = HEADER + b".." + b"A" * 16 + b"."
    return body + b"c" * (size_bytes - len(body) - 23) + b"." + b"t" * 22


SEVERAL_CHUNKS = 3 * CHUNK_BYTES + 1000
