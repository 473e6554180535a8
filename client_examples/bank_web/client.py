"""The bank as an OAuth client: ask, get tokens, fetch each dataset once. FAPI 2.0: PAR, PKCE, private_key_jwt, DPoP."""

import json
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from threading import Lock
from typing import Any
from urllib.parse import urlencode

import requests
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet

from .package import Package, open_package, s256

LATER = {202: "preparing", 502: "waiting", 503: "waiting", 504: "waiting"}  # not delivered: try the same token again


class Refused(Exception):
    """The platform or the citizen said no: OAuth's error code, and the trace id to ask the platform about."""


@dataclass
class Fetch:
    """One granted dataset. `status`: waiting, preparing, done, no-record or failed."""

    grant: dict[str, Any] = field(repr=False)
    status: str = "waiting"
    wait_s: int = 0
    note: str = ""
    dataset: dict[str, Any] = field(default_factory=dict, repr=False)  # as the catalogue describes it
    package: Package | None = field(default=None, repr=False)


@dataclass(repr=False)
class Journey:
    """One request of one citizen, with a DPoP key of its own."""

    state: str = field(default_factory=secrets.token_urlsafe)
    nonce: str = field(default_factory=secrets.token_urlsafe)
    verifier: str = field(default_factory=secrets.token_urlsafe)
    dpop_key: ECKey = field(default_factory=lambda: ECKey.generate_key("P-256"))
    access_token: str = ""  # for UserInfo
    grant_id: str = ""  # by which the platform calls this consent
    fetches: list[Fetch] = field(default_factory=list)
    lock: Lock = field(default_factory=Lock)


class Client:
    """One registered client of one issuer. `keys`: the one that proves who we are, the one that opens what is sent."""

    def __init__(self, issuer: str, client_id: str, redirect_uri: str, keys: Sequence[ECKey]) -> None:
        self.issuer, self.client_id, self.redirect_uri = issuer, client_id, redirect_uri
        self.signing_key, self.decryption_key = keys
        self.http, self.http.max_redirects = requests.Session(), 0  # what we send is for whom it is made out to alone
        self.metadata = cache(lambda: self._get(f"{issuer.strip('/')}/.well-known/openid-configuration", issuer=issuer))

    def start(self, details: list[dict[str, Any]], locale: str, **more: str) -> tuple[Journey, str]:
        """Push the request; return it, and the address to send the citizen to. Sources: RFC 9126, 7636, 9396."""
        journey = Journey()
        form = {"response_type": "code", "redirect_uri": self.redirect_uri, "scope": "openid", "ui_locales": locale}
        form |= {"state": journey.state, "nonce": journey.nonce, "authorization_details": json.dumps(details)}
        form |= {"code_challenge": s256(journey.verifier.encode()), "code_challenge_method": "S256"}
        pushed = self.post("pushed_authorization_request_endpoint", journey, form | more)
        query = {"client_id": self.client_id, "request_uri": pushed["request_uri"]}
        return journey, f"{self.metadata()['authorization_endpoint']}?{urlencode(query)}"

    def finish(self, journey: Journey, answer: Mapping[str, str]) -> dict[str, Any]:
        """Take the citizen's answer (the callback's query), get the tokens; the id_token's claims. Raises: Refused."""
        if (answer.get("state"), answer.get("iss")) != (journey.state, self.issuer):
            raise Refused("answer to another request")  # RFC 9700 section 4.7.1, RFC 9207
        if "code" not in answer:
            raise Refused(answer.get("error", "no code"))
        form = {"grant_type": "authorization_code", "code": answer["code"], "code_verifier": journey.verifier}
        tokens = self.post("token_endpoint", journey, form | {"redirect_uri": self.redirect_uri})
        keys = KeySet.import_key_set(self._get(self.metadata()["jwks_uri"]))
        claims = jwt.decode(tokens["id_token"], keys, algorithms=["ES256"]).claims  # OIDC Core section 3.1.3.7
        issuer: Any = {"essential": True, "value": self.issuer}
        jwt.JWTClaimsRegistry(leeway=10, exp={"essential": True}, iss=issuer).validate(claims)
        if claims.get("nonce") != journey.nonce or claims.get("aud") not in (self.client_id, [self.client_id]):
            raise Refused("id_token of another request, or for others as well")
        journey.access_token, journey.grant_id = tokens["access_token"], tokens.get("grant_id", "")
        journey.fetches = [*map(Fetch, tokens.get("authorization_details", []))]
        return claims

    def fetch(self, journey: Journey, fetch: Fetch) -> None:
        """Ask for one dataset. Its token is good for one delivery, and for more tries then. Raises: BadPackage."""
        agencies = self._get(f"{self.issuer}/catalogue")["agencies"]
        offers = {dataset["id"]: (agency, dataset) for agency in agencies for dataset in agency["datasets"]}
        agency, fetch.dataset = offers[fetch.grant["dataset"]]
        answer = self.send("GET", fetch.grant["locations"][0], journey, access_token=fetch.grant["access_token"])
        fetch.wait_s = int(answer.headers.get("Retry-After", "5"))
        fetch.note = f"trace {answer.headers.get('X-FAPI-Interaction-ID')}"
        fetch.status = LATER.get(answer.status_code, "failed")
        if answer.status_code == 404 and answer.json()["type"] == "urn:mydata:problem:no-record":
            fetch.status = "no-record"
        if answer.status_code == 200:
            given = agency, fetch.dataset, fetch.grant, self.client_id
            fetch.package, fetch.status = open_package(answer.content, self.decryption_key, *given), "done"

    def _get(self, url: str, **expected: str) -> Any:
        answer = self.http.get(url, timeout=10)
        answer.raise_for_status()
        if answer.json() != {**answer.json(), **expected}:
            raise Refused("metadata of another issuer")  # RFC 8414 section 3.3
        return answer.json()

    def post(self, endpoint: str, journey: Journey, form: dict[str, str]) -> Any:
        answer = self.send("POST", self.metadata()[endpoint], journey, form=form)
        if not answer.ok:
            raise Refused(f"{answer.json()['error']}, trace {answer.headers.get('X-FAPI-Interaction-ID')}")
        return answer.json() if answer.content else None

    def send(self, method: str, url: str, journey: Journey, *, form: Any = None, access_token: str = "") -> Any:
        """Send with a DPoP proof; once more if the server wants its nonce in it (RFC 9449 section 8)."""
        nonce = ""
        for _ in range(2):
            headers = {"DPoP": dpop_proof(journey.dpop_key, method, url, access_token=access_token, nonce=nonce)}
            headers |= {"Authorization": f"DPoP {access_token}"} if access_token else {}
            form = form and form | client_assertion(self.client_id, self.issuer, self.signing_key)
            answer = self.http.request(method, url, data=form, headers=headers, timeout=90)
            nonce = answer.headers.get("DPoP-Nonce", "")
            if answer.status_code not in {400, 401} or not nonce:
                break
        return answer


def client_assertion(client_id: str, issuer: str, key: ECKey) -> dict[str, str]:
    """The form fields that say who we are; good for one request. Sources: RFC 7523 section 2.2; FAPI 2.0 (aud)."""
    claims = {"iss": client_id, "sub": client_id, "aud": issuer, "iat": int(time.time()), "exp": int(time.time()) + 60}
    assertion = jwt.encode({"alg": "ES256", "kid": key.kid}, claims | {"jti": secrets.token_urlsafe()}, key)
    kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
    return {"client_id": client_id, "client_assertion_type": kind, "client_assertion": assertion}


def dpop_proof(key: ECKey, method: str, url: str, *, access_token: str = "", nonce: str = "") -> str:
    """A proof that we hold the key; good for one request. Source: RFC 9449 section 4.2."""
    claims = {"jti": secrets.token_urlsafe(), "htm": method, "htu": url, "iat": int(time.time())}
    claims |= ({"ath": s256(access_token.encode())} if access_token else {}) | ({"nonce": nonce} if nonce else {})
    return jwt.encode({"alg": "ES256", "typ": "dpop+jwt", "jwk": key.as_dict(private=False)}, claims, key)
