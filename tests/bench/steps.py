"""The requests of the FAPI 2.0 journey, one method to build each and one to take its answer.

Taking an answer returns the request to send next when a redirect belongs to the same step, else None; it raises
`UnexpectedAnswer` when the journey cannot go on.
"""

import base64
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlencode, urlsplit

from tests.bench.browser import Browser, UnexpectedAnswer, form_with, redirect_of, request
from tests.bench.client import BenchClient, SigningKey, dpop_proof, new_code_verifier, sha256
from tests.bench.http_pump import Answer


@dataclass(frozen=True)
class Provider:
    """Where a provider listens and what the bank asks of it; endpoints by their names in its discovery document."""

    issuer: str
    metadata: Mapping[str, str]
    client: BenchClient
    request_parameters: Mapping[str, str]
    consent_form: Mapping[str, str]


@dataclass
class Journey:
    """One journey under way."""

    browser: Browser
    dpop_key: SigningKey = field(default_factory=SigningKey)
    code_verifier: str = field(default_factory=new_code_verifier)
    state: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    nonce: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    url: str = ""  # the page the browser is on
    page: Answer | None = None
    request_uri: str = ""
    code: str = ""
    tokens: dict[str, object] = field(default_factory=dict)
    latency_s: float = 0.0
    failure: str | None = None


class Steps:
    """The journey's steps against one provider."""

    def __init__(self, provider: Provider) -> None:
        self.provider = provider

    def push(self, journey: Journey) -> bytes:
        url = self.provider.metadata["pushed_authorization_request_endpoint"]
        form = {
            "client_id": self.provider.client.client_id,
            "redirect_uri": self.provider.client.redirect_uri,
            "response_type": "code",
            "code_challenge": sha256(journey.code_verifier),
            "code_challenge_method": "S256",
            "state": journey.state,
            "nonce": journey.nonce,
            **self.provider.request_parameters,
            **self.provider.client.assertion(self.provider.issuer),
        }
        return request("POST", url, {"DPoP": dpop_proof(journey.dpop_key, "POST", url)}, form)

    def pushed(self, journey: Journey, answer: Answer) -> None:
        if answer.status != 201:
            raise UnexpectedAnswer("PAR", answer)
        journey.request_uri = json.loads(answer.body)["request_uri"]

    def authorize(self, journey: Journey) -> bytes:
        query = urlencode({"client_id": self.provider.client.client_id, "request_uri": journey.request_uri})
        journey.url = f"{self.provider.metadata['authorization_endpoint']}?{query}"
        return journey.browser.get(journey.url)

    def shown(self, journey: Journey, answer: Answer) -> bytes | None:
        journey.browser.keep(answer)
        onward = redirect_of(answer, journey.url)
        if onward is not None:
            journey.url = onward
            return journey.browser.get(onward)
        if b'name="decision"' not in answer.body:
            raise UnexpectedAnswer("consent page", answer)
        journey.page = answer
        return None

    def decide(self, journey: Journey) -> bytes:
        assert journey.page is not None
        form = form_with(journey.page, journey.url, "decision")
        journey.url = form.action
        return journey.browser.post(form.action, {**form.hidden, **self.provider.consent_form})

    def decided(self, journey: Journey, answer: Answer) -> bytes | None:
        journey.browser.keep(answer)
        onward = redirect_of(answer, journey.url)
        if onward is None:
            raise UnexpectedAnswer("decision", answer)
        if not onward.startswith(self.provider.client.redirect_uri):
            journey.url = onward
            return journey.browser.get(onward)
        given = parse_qs(urlsplit(onward).query)
        if given.get("state") != [journey.state] or given.get("iss") != [self.provider.issuer] or "code" not in given:
            raise UnexpectedAnswer("authorization response", answer)
        journey.code = given["code"][0]
        return None

    def redeem(self, journey: Journey) -> bytes:
        url = self.provider.metadata["token_endpoint"]
        form = {
            "grant_type": "authorization_code",
            "code": journey.code,
            "redirect_uri": self.provider.client.redirect_uri,
            "code_verifier": journey.code_verifier,
            "client_id": self.provider.client.client_id,
            **self.provider.client.assertion(self.provider.issuer),
        }
        return request("POST", url, {"DPoP": dpop_proof(journey.dpop_key, "POST", url)}, form)

    def redeemed(self, journey: Journey, answer: Answer) -> None:
        if answer.status != 200:
            raise UnexpectedAnswer("token", answer)
        journey.tokens = json.loads(answer.body)
        claims = _claims_of(str(journey.tokens["id_token"]))
        if journey.tokens["token_type"] != "DPoP" or claims["nonce"] != journey.nonce:
            raise UnexpectedAnswer("token", answer)

    def ask_userinfo(self, journey: Journey) -> bytes:
        url = self.provider.metadata["userinfo_endpoint"]
        token = str(journey.tokens["access_token"])
        return request(
            "GET",
            url,
            {"Authorization": f"DPoP {token}", "DPoP": dpop_proof(journey.dpop_key, "GET", url, token)},
        )

    def told(self, journey: Journey, answer: Answer) -> None:
        if answer.status != 200 or not json.loads(answer.body).get("sub"):
            raise UnexpectedAnswer("userinfo", answer)


def _claims_of(token: str) -> dict[str, object]:
    """Claims of a JWS, unverified: whether signatures are right is not this driver's question."""
    payload = token.split(".")[1]
    return dict(json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))))
