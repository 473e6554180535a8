"""What became of a consent afterwards: the platform pushes Security Event Tokens (RFC 8417) to /events (RFC 8935)."""

from collections.abc import Callable, Mapping
from typing import Any

import requests
from flask import Flask, request
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from .client import LATER, Client, Journey, Refused

ENDED = "urn:mydata:event:consent-ended"
ERASE = "urn:mydata:event:erasure-requested"
ERASE_NOW = "urn:mydata:event:erasure-due"  # it was asked before, and the day has come
MOST = 1000


class Unacceptable(Exception):
    """An error code of RFC 8935 section 2.4: whoever sent it need not send it again."""


class Journeys(dict[str, Journey]):
    """The newest thousand journeys by their `state`, and what the platform says of their consents."""

    def __init__(self, app: Flask, client: Client) -> None:
        super().__init__()
        self._client = client
        self._seen: dict[str, None] = {}  # in life: a table, and its row in the transaction of what is done
        app.add_url_rule("/events", "event", self._receive, methods=["POST"])

    def __setitem__(self, state: str, journey: Journey) -> None:
        _forget_all_but(MOST - 1, self)
        super().__setitem__(state, journey)

    def _receive(self) -> Any:
        try:
            claims = verified(request.get_data(as_text=True), self._client.issuer, self._client.client_id)
        except Unacceptable as error:
            return {"err": str(error), "description": "this is not for us"}, 400
        if claims["jti"] not in self._seen:  # else it is told again: our answer was lost, not its effect
            for name, event in claims["events"].items():
                if name in DEEDS:  # what we don't know we take, and it means nothing to us
                    DEEDS[name](self, claims["sub_id"]["id"], event)
            _forget_all_but(MOST - 1, self._seen)
            self._seen[claims["jti"]] = None
        return "", 202

    def end(self, grant_id: str, _event: Mapping[str, Any]) -> None:
        """Fetch nothing more with this consent; a fetch that is under way the platform itself breaks off."""
        for journey in [journey for journey in self.values() if journey.grant_id == grant_id]:
            for fetch in [fetch for fetch in journey.fetches if fetch.status in LATER.values()]:
                fetch.status = "ended"
        print(f"ended: {grant_id}", flush=True)

    def erase(self, grant_id: str, _event: Mapping[str, Any]) -> None:
        """Forget what came with this consent, and say so; if that fails, the platform tells us again."""
        for state in [state for state, journey in self.items() if journey.grant_id == grant_id]:
            del self[state]
        say_erased(self._client, grant_id)
        print(f"erased: {grant_id}", flush=True)


DEEDS: dict[str, Callable[[Journeys, str, Mapping[str, Any]], None]] = {
    ENDED: Journeys.end,
    ERASE: Journeys.erase,
    ERASE_NOW: Journeys.erase,
}


def verified(token: str, issuer: str, audience: str) -> dict[str, Any]:
    """The claims of a token that the platform has made for us.  Raises: Unacceptable; RequestException."""
    published = requests.get(f"{issuer}/.well-known/openid-configuration", timeout=10, allow_redirects=False).json()
    jwks = requests.get(published["jwks_uri"], timeout=10, allow_redirects=False).json()  # in life: kept for a while
    keys = KeySet.import_key_set(jwks)
    try:
        decoded = jwt.decode(token, keys, algorithms=["ES256"])
    except (JoseError, ValueError):
        raise Unacceptable("invalid_key") from None
    # The type keeps a token of another kind, also signed for us, from being taken for an event (RFC 8417 section 2.3).
    if decoded.header.get("typ") != "secevent+jwt":
        raise Unacceptable("invalid_request")
    for name, expected, error in (("iss", issuer, "invalid_issuer"), ("aud", audience, "invalid_audience")):
        if decoded.claims.get(name) != expected:
            raise Unacceptable(error)
    return decoded.claims


def say_erased(client: Client, grant_id: str) -> None:
    """Tell the platform that we hold nothing of a consent any more; the citizen asked for it.  Raises: Refused."""
    ours, form = Journey(), {"grant_type": "client_credentials", "scope": "grant_erasure"}
    token = client.post("token_endpoint", ours, form)["access_token"]
    url = f"{client.metadata()['grant_management_endpoint']}/{grant_id}/erasure"
    if not client.send("POST", url, ours, form={"status": "erased"}, access_token=token).ok:
        raise Refused("our word is not taken")


def _forget_all_but(most: int, known: dict[str, Any]) -> None:
    while len(known) > most:
        del known[next(iter(known))]
