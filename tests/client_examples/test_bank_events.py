"""What the Python bank hears: it takes what the platform signed for it, does it once, and says what is wrong."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from joserfc import jwt
from joserfc.jwk import ECKey
from werkzeug.test import TestResponse

from client_examples.bank_web.client import Client, Fetch, Journey
from client_examples.bank_web.events import ENDED, MOST, Journeys
from tests.core.servers import serving

GRANT = "grant-1"


class Hearing:
    """The bank's endpoint, and a platform that publishes one key."""

    def __init__(self, issuer: str, key: ECKey) -> None:
        self.issuer, self.key, app = issuer, key, Flask(__name__)
        keys = [ECKey.generate_key("P-256") for _ in range(2)]
        self.journeys = Journeys(app, Client(issuer, "bank", "http://127.0.0.1/callback", keys))
        self.journeys["s"] = Journey(state="s", grant_id=GRANT, fetches=[Fetch({}), Fetch({}, status="done")])
        self.http = app.test_client()

    def token(self, *, key: ECKey | None = None, typ: str = "secevent+jwt", **changes: Any) -> str:
        claims = {"iss": self.issuer, "aud": "bank", "jti": "1", "iat": 1, "events": {ENDED: {"ended_by": "citizen"}}}
        claims |= {"sub_id": {"format": "opaque", "id": GRANT}} | changes
        return jwt.encode({"alg": "ES256", "typ": typ, "kid": self.key.kid}, claims, key or self.key)

    def hear(self, token: str) -> TestResponse:
        return self.http.post("/events", data=token, content_type="application/secevent+jwt")

    def states(self) -> list[str]:
        return [fetch.status for fetch in self.journeys["s"].fetches]


@pytest.fixture
def hearing() -> Iterator[Hearing]:
    key = ECKey.generate_key("P-256", {"use": "sig"}, auto_kid=True)
    document: dict[str, Any] = {"keys": [key.as_dict(private=False)]}

    def answer(connection: Any, _over: Any) -> None:
        body = json.dumps(document).encode()
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))

    with serving(answer) as server:
        issuer = f"http://127.0.0.1:{server.port}"
        document["jwks_uri"] = f"{issuer}/jwks"
        yield Hearing(issuer, key)


def test_what_has_ended_is_fetched_no_more(hearing: Hearing) -> None:
    assert hearing.hear(hearing.token(sub_id={"format": "opaque", "id": "another"})).status_code == 202
    assert hearing.states() == ["waiting", "done"]
    answer = hearing.hear(hearing.token(jti="2"))
    assert (answer.status_code, answer.data) == (202, b"")
    assert hearing.states() == ["ended", "done"]


def test_what_is_told_again_is_taken_and_done_once(hearing: Hearing) -> None:
    token = hearing.token()
    assert hearing.hear(token).status_code == 202
    hearing.journeys["s"].fetches[0].status = "waiting"
    assert hearing.hear(token).status_code == 202
    assert hearing.states() == ["waiting", "done"]


def test_what_it_does_not_know_it_takes(hearing: Hearing) -> None:
    assert hearing.hear(hearing.token(events={"urn:example:new": {}})).status_code == 202
    assert hearing.states() == ["waiting", "done"]


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"typ": "JWT"}, "invalid_request"),
        ({"key": ECKey.generate_key("P-256")}, "invalid_key"),
        ({"iss": "https://elsewhere.example"}, "invalid_issuer"),
        ({"aud": "another-bank"}, "invalid_audience"),
    ],
    ids=["another type", "another key", "another issuer", "another audience"],
)
def test_what_is_not_the_platforms_or_not_for_it_is_refused(
    hearing: Hearing, changes: dict[str, Any], error: str
) -> None:
    answer = hearing.hear(hearing.token(**changes))
    assert (answer.status_code, answer.get_json()["err"]) == (400, error)
    assert hearing.states() == ["waiting", "done"]


@pytest.mark.parametrize("token", ["", "x", "a.b.c"])
def test_what_is_no_token_is_refused(hearing: Hearing, token: str) -> None:
    assert hearing.hear(token).get_json()["err"] == "invalid_key"


def test_it_remembers_a_thousand_journeys(hearing: Hearing) -> None:
    for number in range(MOST):
        hearing.journeys[str(number)] = Journey()
    assert len(hearing.journeys) == MOST
    assert "s" not in hearing.journeys
