"""The connector to a registry: what it asks, what it believes, and what it makes of everything else."""

import base64
import hashlib
import json
import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Response
from jwcrypto import jwk, jws

from authz_server.core import clock, jose
from authz_server.identity.peer import FAILURES_BEFORE_PAUSE, PAUSE_S, PeerUnavailable
from authz_server.identity.registry_client import (
    ANSWER_MEMBERS,
    ANSWER_TYPE,
    RegistryClient,
    Verdict,
)
from authz_server.neighbours import RegistrySettings
from client_examples.registry.books import documents_of
from tests.identity.support import NOW, ORIGIN
from tests.support.registry import REGISTRY_ID, RunningRegistry, running_registry

JIA = "A123456789"
RIGHT = documents_of(JIA).evidence("health_card")
CANARY = "CANARY-password"


@pytest.fixture(scope="module")
def own_keys() -> jose.KeySet:
    """The platform's keys."""
    return jose.parse_private_keys({"keys": [jose.generate_key("ES256")]})


@pytest.fixture
def registry(tmp_path: Path, own_keys: jose.KeySet) -> Iterator[RunningRegistry]:
    """The sandbox's registry."""
    with running_registry(tmp_path, issuer=ORIGIN, platform_keys=own_keys) as running:
        yield running


@pytest.fixture
def client(registry: RunningRegistry, own_keys: jose.KeySet) -> RegistryClient:
    """The connector to it."""
    return client_of(registry, own_keys, timeout_s=60)


def client_of(registry: RunningRegistry, own_keys: jose.KeySet, **limits: int) -> RegistryClient:
    settings = RegistrySettings(id=REGISTRY_ID, url=registry.url, jwks_file=registry.jwks_file, **limits)
    return RegistryClient(settings, issuer=ORIGIN, own_keys=own_keys)


def ask(client: RegistryClient, **changed: str) -> Verdict:
    """Put the question whether JIA's card and password are these."""
    return client.ask("health_card", RIGHT | changed, now=NOW)


def refused(client: RegistryClient, why: str) -> None:
    """The answer is of no use, and the log says which check it failed."""
    with pytest.raises(PeerUnavailable) as caught:
        ask(client)
    assert why in caught.value.detail


class Forger:
    """Answers that are right but for what is changed, signed with any key."""

    def __init__(self, registry: RunningRegistry) -> None:
        self.key = jwk.JWK.from_json(json.dumps(registry.keys.signing.as_dict(private=True)))
        self.kid = registry.keys.signing.kid
        self.header: dict[str, Any] = {}
        self.changed: dict[str, Any] = {}
        registry.answer_with = self

    def __call__(self, question: bytes) -> Response:
        return Response(self.token(question), mimetype="application/jwt")

    def token(self, question: bytes) -> str:
        now = int(NOW.timestamp())
        claims = {
            "iss": REGISTRY_ID,
            "aud": ORIGIN,
            "iat": now,
            "exp": now + 60,
            "jti": "answer-1",
            "question_hash": base64.urlsafe_b64encode(hashlib.sha256(question).digest()).rstrip(b"=").decode(),
            "verified": True,
            "assurance": 3,
        } | self.changed
        token = jws.JWS(json.dumps({name: value for name, value in claims.items() if value is not None}))
        header = {"alg": "ES256", "typ": ANSWER_TYPE, "kid": self.kid} | self.header
        token.add_signature(self.key, None, json.dumps(header))
        return str(token.serialize(compact=True))


@pytest.fixture
def forger(registry: RunningRegistry) -> Forger:
    """The registry's answers, in the test's hand."""
    return Forger(registry)


def test_what_is_right_is_verified_with_the_level_it_is_worth(client: RegistryClient) -> None:
    assert ask(client) == Verdict(verified=True, assurance=3)
    evidence = documents_of(JIA).evidence("two_documents")
    assert client.ask("two_documents", evidence, now=NOW) == Verdict(verified=True, assurance=4)


@pytest.mark.parametrize("name", sorted(RIGHT))
def test_whatever_is_wrong_the_answer_is_the_same(client: RegistryClient, name: str) -> None:
    assert ask(client, **{name: "B223456782"}) == Verdict(verified=False, assurance=3)


@pytest.mark.parametrize("nobody", ["", "A123456788", "nobody at all", "測試", "\x00", "F131104093"])
def test_people_whom_the_registry_does_not_know_are_answered_like_a_wrong_password(
    client: RegistryClient, nobody: str
) -> None:
    assert ask(client, national_id=nobody) == Verdict(verified=False, assurance=3)


def test_the_question_is_sealed_signed_short_lived_and_never_the_same(
    client: RegistryClient, registry: RunningRegistry
) -> None:
    ask(client)
    ask(client)
    first, second = (registry.opened(question) for question in registry.questions)
    assert all(value.encode() not in question for question in registry.questions for value in RIGHT.values())
    assert first["jti"] != second["jti"]
    assert first | {"jti": ""} == {
        "iss": ORIGIN,
        "aud": REGISTRY_ID,
        "iat": int(NOW.timestamp()),
        "exp": int(NOW.timestamp()) + 60,
        "jti": "",
        "check": "health_card",
        "evidence": RIGHT,
    }


def test_a_question_that_is_caught_and_sent_again_is_not_answered(
    client: RegistryClient, registry: RunningRegistry
) -> None:
    ask(client)
    question = registry.questions[0]
    registry.answer_with = None
    with pytest.raises(PeerUnavailable, match="status 400"):
        client._send(question)


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "of another registry": ({"iss": "other"}, "another registry"),
    "for another platform": ({"aud": "https://other.example"}, "another platform"),
    "for several platforms": ({"aud": [ORIGIN]}, "aud"),
    "to another question": ({"question_hash": "x" * 43}, "another question"),
    "expired": ({"iat": int(NOW.timestamp()) - 120, "exp": int(NOW.timestamp()) - 60}, "expired"),
    "from the future": ({"iat": int(NOW.timestamp()) + 60, "exp": int(NOW.timestamp()) + 90}, "future"),
    "of endless life": ({"exp": int(NOW.timestamp()) + 3600}, "too long"),
    "of a level that there is not": ({"assurance": 0}, "identity level"),
    "of a level below all": ({"assurance": 5}, "identity level"),
    "with data": ({"name": "測試市民甲"}, "more than it was asked"),
    "with a word for a yes": ({"verified": "true"}, "verified"),
    "with a number for a yes": ({"verified": 1}, "verified"),
    "with a yes for a level": ({"assurance": True}, "assurance"),
    "with a yes for a time": ({"iat": True}, "iat"),
    "of no moment": ({"exp": 1e300}, "exp"),
}


@pytest.mark.parametrize(("changed", "why"), WRONG.values(), ids=WRONG)
def test_no_answer_is_one(client: RegistryClient, forger: Forger, changed: dict[str, Any], why: str) -> None:
    assert ask(client) == Verdict(verified=True, assurance=3)  # the forger's hand is good
    forger.changed = changed
    refused(client, why)


def test_the_times_of_an_answer_may_have_fractions(client: RegistryClient, forger: Forger) -> None:
    forger.changed = {"iat": NOW.timestamp() - 0.5, "exp": NOW.timestamp() + 59.5}
    assert ask(client) == Verdict(verified=True, assurance=3)


@pytest.mark.parametrize("name", sorted(ANSWER_MEMBERS))
def test_an_answer_that_lacks_a_claim_is_none(client: RegistryClient, forger: Forger, name: str) -> None:
    forger.changed = {name: None}
    refused(client, name)


def test_an_answer_signed_with_another_key_is_none(client: RegistryClient, forger: Forger) -> None:
    forger.key = jwk.JWK.generate(kty="EC", crv="P-256")
    refused(client, "signature")
    forger.header = {"kid": "unknown"}
    refused(client, "kid")


@pytest.mark.parametrize("typ", ["JWT", "registry-question+jwt", None])
def test_a_token_of_another_kind_is_no_answer(client: RegistryClient, forger: Forger, typ: str | None) -> None:
    forger.header = {"typ": typ}
    refused(client, "answer:")


def test_the_answer_to_one_question_is_not_taken_for_another(client: RegistryClient, registry: RunningRegistry) -> None:
    """Somebody in the middle who has caught a yes cannot spend it on somebody else's question."""
    forger = Forger(registry)
    caught: list[str] = []

    def catch(question: bytes) -> Response:
        caught.append(forger.token(question))
        return forger(question)

    registry.answer_with = catch
    ask(client)
    registry.answer_with = lambda _question: Response(caught[0], mimetype="application/jwt")
    refused(client, "another question")


ANSWERS: dict[str, Callable[[], Response]] = {
    "503": lambda: Response("{}", status=503, headers={"Retry-After": "7200"}),
    "500": lambda: Response("oops", status=500),
    "400": lambda: Response("{}", status=400),
    "401": lambda: Response("{}", status=401),
    "429": lambda: Response("{}", status=429),
    "302": lambda: Response(status=302, headers={"Location": "http://127.0.0.1:1/"}),
    "204": lambda: Response(status=204),
    "a page": lambda: Response("<html>", mimetype="text/html"),
    "a page that says it is an answer": lambda: Response("<html>", mimetype="application/jwt"),
    "octets": lambda: Response(b"\x80\xff", mimetype="application/jwt"),
    "too much": lambda: Response("x" * 40000, mimetype="application/jwt"),
}


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
def test_everything_else_is_nobodys_failure(
    client: RegistryClient, registry: RunningRegistry, answer: Callable[[], Response]
) -> None:
    registry.answer_with = lambda _question: answer()
    with pytest.raises(PeerUnavailable):
        ask(client)


def test_a_registry_that_is_silent_is_not_waited_for_longer_than_said(
    registry: RunningRegistry, own_keys: jose.KeySet
) -> None:
    over = threading.Event()
    registry.answer_with = lambda _question: Response(str(over.wait(30)))
    try:
        refused(client_of(registry, own_keys, timeout_s=1), "exchange")
    finally:
        over.set()


def test_after_failures_in_a_row_it_is_left_alone_for_a_while(
    client: RegistryClient, registry: RunningRegistry
) -> None:
    registry.answer_with = lambda _question: Response(status=503)
    for _ in range(FAILURES_BEFORE_PAUSE):
        refused(client, "503")
    registry.answer_with = None
    with pytest.raises(PeerUnavailable) as caught:
        ask(client)
    assert (caught.value.retry_after_s, len(registry.questions)) == (PAUSE_S, FAILURES_BEFORE_PAUSE)
    clock.advance(timedelta(seconds=PAUSE_S))
    assert client.ask("health_card", RIGHT, now=clock.now()).verified


def test_a_no_is_no_failure_of_the_registry(client: RegistryClient, registry: RunningRegistry) -> None:
    for _ in range(FAILURES_BEFORE_PAUSE + 2):
        assert not ask(client, password="wrong").verified
    assert len(registry.questions) == FAILURES_BEFORE_PAUSE + 2


def test_not_more_questions_are_under_way_than_allowed(
    registry: RunningRegistry, client: RegistryClient, own_keys: jose.KeySet
) -> None:
    asked, over, forger = threading.Semaphore(0), threading.Event(), Forger(registry)

    def slowly(question: bytes) -> Response:
        asked.release()
        over.wait(30)
        return forger(question)

    registry.answer_with = slowly
    narrow = client_of(registry, own_keys, timeout_s=60, max_concurrent=2)
    with ThreadPoolExecutor(2) as pool:
        under_way = [pool.submit(ask, narrow) for _ in range(2)]
        asked.acquire()
        asked.acquire()
        with pytest.raises(PeerUnavailable) as caught:
            ask(narrow)
        over.set()
        assert [each.result().verified for each in under_way] == [True, True]
    assert caught.value.retry_after_s == 1


def test_what_was_typed_is_in_no_log(
    client: RegistryClient, registry: RunningRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    assert not ask(client, password=CANARY).verified
    registry.answer_with = lambda _question: Response(CANARY, status=500)
    with pytest.raises(PeerUnavailable) as caught:
        ask(client, password=CANARY)
    assert CANARY not in f"{caught.value!r}{caught.value.detail}"
    assert "peer.unavailable" in caplog.text
    assert not [value for value in (JIA, CANARY, RIGHT["card_number"]) if value in caplog.text]


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", '{"keys": []}', json.dumps({"keys": [jose.generate_key("ES256")]})],
    ids=["empty", "a list", "no keys", "none", "a private key"],
)
def test_a_registry_without_usable_keys_is_told_at_the_start(
    tmp_path: Path, own_keys: jose.KeySet, content: str
) -> None:
    (tmp_path / "jwks").write_text(content)
    settings = RegistrySettings(id="x", url="https://registry.example", jwks_file=tmp_path / "jwks")
    with pytest.raises(jose.BadKey):
        RegistryClient(settings, issuer=ORIGIN, own_keys=own_keys)


def test_a_registry_without_a_key_for_encryption_is_told_at_the_start(tmp_path: Path, own_keys: jose.KeySet) -> None:
    (tmp_path / "jwks").write_text(json.dumps(jose.public_jwks(own_keys)))
    settings = RegistrySettings(id="x", url="https://registry.example", jwks_file=tmp_path / "jwks")
    with pytest.raises(jose.BadKey, match="encryption"):
        RegistryClient(settings, issuer=ORIGIN, own_keys=own_keys)
