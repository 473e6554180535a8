"""An agency without JOSE: the connector opens the ticket, checks what comes, signs and seals it in its name."""

import base64
import hashlib
import io
import json
import re
import socket
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from flask.testing import FlaskClient

from authz_server.core import clock, jose
from resource_proxy.connectors.plain_agency import signing_key
from tests.resource_proxy.people import CANARY, RECIPIENT, TRACE_ID, Authz, Client, new_token, opened
from tests.resource_proxy.wire import Peer, json_reply, reply
from tests.support.tree import ROOT

DATASET = "nhi.enrolment"
PATH = f"/data/{DATASET}"
DATA = {"name": "測試市民甲", "national_id": "A123456789", "insured_now": True}
PDF = b"%PDF-1.7 synthetic " + CANARY.encode()
RECORD = {"data": DATA, "pdf": base64.b64encode(PDF).decode()}
PUBLIC_RECIPIENT = {name: value for name, value in RECIPIENT.items() if name != "d"}


class Issuer:
    """The authorization server's hand: makes tickets, good ones and others."""

    def __init__(self, authz: Authz, agency_keys: jose.KeySet) -> None:
        self.authz = authz
        self.key = jose.parse_private_keys({"keys": [jose.generate_key("ES256")]})
        self.agency_key = agency_keys.get("ECDH-ES")
        authz.jwks = jose.public_jwks(self.key)

    def ticket(self, *, typ: str | None = "at+jwt", key: jose.Key | None = None, **changes: Any) -> None:
        """Let the next exchange answer this ticket; None leaves a claim out."""
        now = int(clock.now().timestamp())
        claims = {
            "iss": self.authz.peer.url,
            "aud": "nhi",
            "iat": now,
            "exp": now + 60,
            "jti": "ticket-1",
            "txn": "T7K2M-9QXA-4F3C",
            "sub": "A123456789",
            "client_id": "bank-web",
            "dataset": DATASET,
            "fields": ["name", "national_id", "insured_now"],
            "parameters": {"period": "2026-01..2026-06"},
            "recipient_jwk": PUBLIC_RECIPIENT,
        } | changes
        claims = {name: value for name, value in claims.items() if value is not None}
        signed = jose.sign(claims, key or next(iter(self.key)), typ=typ)
        self.authz.ticket = jose.encrypt(signed.encode(), self.agency_key.public_jwk(), cty="JWT")


@pytest.fixture
def issuer(authz: Authz, key_files: Path) -> Issuer:
    issuer = Issuer(authz, jose.load_keys(key_files / "nhi.jwks"))
    issuer.ticket()
    return issuer


@pytest.fixture
def ask(http: FlaskClient, client: Client, issuer: Issuer) -> Callable[[], Any]:
    return lambda: http.get(PATH, headers=client.headers(new_token(), DATASET))


def test_the_agency_is_asked_in_plain_words(ask: Callable[[], Any], plain_agency: Peer) -> None:
    plain_agency.answer = lambda _: json_reply(200, RECORD)
    assert ask().status_code == 200
    (asked,) = plain_agency.requests
    url = urlsplit(asked.path)
    assert url.path == f"/records/{DATASET}"
    assert parse_qs(url.query) == {"fields": ["name,national_id,insured_now"], "period": ["2026-01..2026-06"]}
    assert asked.headers["x-api-key"] == "synthetic-api-key"
    assert asked.headers["x-citizen-id"] == "A123456789"
    assert asked.headers["x-transaction-id"] == "T7K2M-9QXA-4F3C"
    assert asked.headers["x-fapi-interaction-id"] == TRACE_ID
    assert "authorization" not in asked.headers


def test_it_is_asked_and_answers_as_the_guide_says(ask: Callable[[], Any], plain_agency: Peer) -> None:
    guide = (ROOT / "docs" / "agency.md").read_text(encoding="utf-8")
    section = guide.partition("\n## Without JOSE\n")[2].partition("\n## ")[0]
    example = json.loads(section.partition("application/json\n\n")[2].partition("```")[0])
    assert example.keys() == RECORD.keys()
    plain_agency.answer = lambda _: json_reply(200, RECORD)
    assert ask().status_code == 200
    (asked,) = plain_agency.requests
    headers = re.findall(r"^\| `([\w-]+)` \|", section, re.MULTILINE)
    assert len(headers) == 4
    assert {name.lower() for name in headers} <= asked.headers.keys()
    assert "GET <your url>/records/<dataset>?fields=name,national_id&tax_year=113" in section
    assert asked.path.startswith(f"/records/{DATASET}?fields=name%2Cnational_id%2C")


def test_what_an_agency_says_twice_is_not_about_the_next_citizen(
    ask: Callable[[], Any], plain_agency: Peer, issuer: Issuer
) -> None:
    def say_twice(connection: socket.socket) -> None:
        connection.sendall(json_reply(200, RECORD))
        if connection.recv(65536):  # the next question on this connection
            connection.sendall(json_reply(200, RECORD))

    plain_agency.answer = lambda _: say_twice
    assert ask().status_code == 200
    plain_agency.answer = lambda _: json_reply(200, RECORD | {"data": DATA | {"national_id": "B223456782"}})
    issuer.ticket(sub="B223456782")
    with zipfile.ZipFile(io.BytesIO(opened(ask().data))) as archive:
        assert json.loads(archive.read("data.json"))["national_id"] == "B223456782"
    assert {request.headers["connection"] for request in plain_agency.requests} == {"close"}


def test_the_package_is_signed_for_the_agency_and_sealed_to_the_recipient(
    ask: Callable[[], Any], plain_agency: Peer, key_files: Path, authz: Authz
) -> None:
    plain_agency.answer = lambda _: json_reply(200, RECORD)
    answer = ask()
    assert answer.mimetype == "application/jose"
    assert CANARY.encode() not in answer.data
    archive = zipfile.ZipFile(io.BytesIO(opened(answer.data)))
    assert archive.namelist() == ["manifest.jws", "data.json", "document.pdf"]
    assert {entry.compress_type for entry in archive.infolist()} == {zipfile.ZIP_STORED}
    assert json.loads(archive.read("data.json")) == DATA
    assert archive.read("document.pdf") == PDF
    agency_keys = jose.parse_public_keys(jose.public_jwks(jose.load_keys(key_files / "nhi.jwks")))
    manifest = jose.verify(
        archive.read("manifest.jws").decode(), agency_keys, algorithms=jose.SIGNING, typ="mydata-manifest+jwt"
    ).claims
    assert (manifest["iss"], manifest["via"], manifest["aud"]) == ("nhi", "connector", "bank-web")
    assert (manifest["txn"], manifest["dataset"]) == ("T7K2M-9QXA-4F3C", DATASET)
    assert manifest["fields"] == ["name", "national_id", "insured_now"]
    assert manifest["parameters"] == {"period": "2026-01..2026-06"}
    for entry, content in zip(manifest["files"], (archive.read("data.json"), PDF), strict=True):
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip("=")
        assert (entry["size_bytes"], entry["sha256"]) == (len(content), digest)
    assert authz.said == ["delivered"]


BAD_RECORDS: dict[str, bytes] = {
    "not-json": reply(200, b"<xml/>", content_type="application/json"),
    "a-list": json_reply(200, [RECORD]),
    "no-pdf": json_reply(200, {"data": DATA}),
    "not-a-pdf": json_reply(200, RECORD | {"pdf": base64.b64encode(b"GIF89a").decode()}),
    "not-base64": json_reply(200, RECORD | {"pdf": "%%%"}),
    "pdf-a-number": json_reply(200, RECORD | {"pdf": 7}),
    "data-a-text": json_reply(200, RECORD | {"data": "all"}),
    "a-field-that-was-not-granted": json_reply(200, RECORD | {"data": DATA | {"category": "第一類"}}),
    "against-the-schema": json_reply(200, RECORD | {"data": DATA | {"insured_now": "yes"}}),
    "without-a-required-field": json_reply(200, RECORD | {"data": {"insured_now": True}}),
}


@pytest.mark.parametrize("said", BAD_RECORDS.values(), ids=BAD_RECORDS.keys())
def test_what_does_not_fit_is_garbage_and_is_not_signed(
    ask: Callable[[], Any], plain_agency: Peer, authz: Authz, said: bytes
) -> None:
    plain_agency.answer = lambda _: said
    answer = ask()
    assert answer.status_code == 502
    assert "yes" not in answer.text
    assert [(said["outcome"], said["reason"]) for said in authz.outcomes] == [("failed", "agency_garbage")]


def test_more_than_a_small_record_is_too_large(ask: Callable[[], Any], plain_agency: Peer, authz: Authz) -> None:
    plain_agency.answer = lambda _: reply(200, b" " * (1024 * 1024 + 1), content_type="application/json")
    assert ask().status_code == 502
    body = b"%x\r\n" % (2 * 1024 * 1024) + b" " * 2 * 1024 * 1024 + b"\r\n0\r\n\r\n"
    plain_agency.answer = lambda _: b"HTTP/1.1 200 Said\r\nTransfer-Encoding: chunked\r\n\r\n" + body
    assert ask().status_code == 502
    assert {said["reason"] for said in authz.outcomes} == {"agency_too_large"}


def test_the_package_is_signed_with_the_first_key_of_an_algorithm_of_ours() -> None:
    other, ours = (jose.generate_key("ES256") for _ in range(2))
    keys = jose.parse_private_keys({"keys": [other | {"alg": "ES384"}, ours]})
    assert signing_key(keys).kid == ours["kid"]


def test_a_record_of_just_the_limit_is_not_too_large(ask: Callable[[], Any], plain_agency: Peer) -> None:
    whole = json.dumps(RECORD).encode().ljust(1024 * 1024)
    plain_agency.answer = lambda _: reply(200, whole, content_type="application/json")
    assert ask().status_code == 200


def test_preparing_no_record_and_down_are_told_like_any_agencys(
    ask: Callable[[], Any], plain_agency: Peer, authz: Authz
) -> None:
    plain_agency.answer = lambda _: reply(202, retry_after="90")
    assert (ask().status_code, authz.said) == (202, ["preparing"])
    problem = b'{"type":"urn:mydata:problem:no-record"}'
    plain_agency.answer = lambda _: reply(404, problem, content_type="application/problem+json")
    assert ask().status_code == 404
    plain_agency.answer = lambda _: reply(500)
    assert ask().status_code == 503
    assert authz.said == ["preparing", "no_record", "failed"]


BAD_CLAIMS: dict[str, dict[str, Any]] = {
    **{f"without-{name}": {name: None} for name in ("iss", "aud", "iat", "exp", "jti", "txn", "sub", "client_id")},
    **{f"without-{name}": {name: None} for name in ("dataset", "fields", "parameters", "recipient_jwk")},
    "another-issuer": {"iss": "https://evil.example"},
    "another-agency": {"aud": "fia"},
    "several-audiences": {"aud": ["nhi", "fia"]},
    "another-transaction": {"txn": "T0000-0000-0000"},
    "another-dataset": {"dataset": "nhi.premiums"},
    "expired": {"exp": 1},
    "not-yet": {"iat": 2**40, "exp": 2**41},
    "exp-a-text": {"exp": "tomorrow"},
    **{f"empty-{name}": {name: ""} for name in ("sub", "client_id", "jti")},
    "sub-a-number": {"sub": 7},
    "fields-a-text": {"fields": "name"},
    "no-fields": {"fields": []},
    "fields-of-numbers": {"fields": [1]},
    "parameters-a-list": {"parameters": []},
    "parameters-of-numbers": {"parameters": {"period": 7}},
    "recipient-a-text": {"recipient_jwk": "key"},
    "recipient-private": {"recipient_jwk": RECIPIENT},
    "recipient-for-signing": {"recipient_jwk": {**PUBLIC_RECIPIENT, "use": "sig", "alg": "ES256"}},
    "typ": {"typ": "JWT"},
    "no-typ": {"typ": None},
}


@pytest.mark.parametrize("changes", BAD_CLAIMS.values(), ids=BAD_CLAIMS.keys())
def test_a_ticket_with_a_claim_missing_or_wrong_opens_nothing(
    ask: Callable[[], Any], plain_agency: Peer, authz: Authz, issuer: Issuer, *, changes: dict[str, Any]
) -> None:
    plain_agency.answer = lambda _: json_reply(200, RECORD)
    issuer.ticket(**changes)
    assert ask().status_code == 502
    assert authz.outcomes[0]["reason"] == "bad_signature"
    if "recipient" not in str(changes):
        assert plain_agency.requests == []


@pytest.mark.parametrize(("iat", "exp", "status"), [(10, 60, 200), (11, 60, 502), (-60, -9, 200), (-60, -10, 502)])
def test_the_clocks_of_a_ticket_may_differ_by_ten_seconds(
    ask: Callable[[], Any], plain_agency: Peer, issuer: Issuer, iat: int, exp: int, status: int
) -> None:
    plain_agency.answer = lambda _: json_reply(200, RECORD)
    with clock.frozen(datetime(2030, 1, 1, tzinfo=UTC)):
        now = int(clock.now().timestamp())
        issuer.ticket(iat=now + iat, exp=now + exp)
        assert ask().status_code == status


def test_a_ticket_signed_by_another_key_or_not_at_all_opens_nothing(
    ask: Callable[[], Any], plain_agency: Peer, authz: Authz, issuer: Issuer
) -> None:
    stranger = next(iter(jose.parse_private_keys({"keys": [jose.generate_key("ES256")]})))
    issuer.ticket(key=stranger)
    assert ask().status_code == 502
    same_name = next(
        iter(jose.parse_private_keys({"keys": [jose.generate_key("ES256") | {"kid": authz.jwks["keys"][0]["kid"]}]}))
    )
    issuer.ticket(key=same_name)
    assert ask().status_code == 502
    authz.ticket = jose.encrypt(b'{"sub":"A123456789"}', issuer.agency_key.public_jwk(), cty="JWT")
    assert ask().status_code == 502
    authz.ticket = "not.a.jwe.at.all"
    assert ask().status_code == 502
    assert {said["reason"] for said in authz.outcomes} == {"bad_signature"}
    assert plain_agency.requests == []


def test_a_new_key_of_the_server_is_fetched_once_a_minute_at_most(
    ask: Callable[[], Any], plain_agency: Peer, authz: Authz, issuer: Issuer
) -> None:
    plain_agency.answer = lambda _: json_reply(200, RECORD)
    with clock.frozen(clock.now()):
        issuer.ticket()
        assert ask().status_code == 200
        for status in (200, 502):
            issuer.key = jose.parse_private_keys({"keys": [jose.generate_key("ES256")]})
            authz.jwks = jose.public_jwks(issuer.key)
            issuer.ticket()
            assert ask().status_code == status
        clock.advance(timedelta(seconds=61))
        issuer.ticket()
        assert ask().status_code == 200
    assert [request.path for request in authz.peer.requests].count("/jwks") == 3


def test_without_the_servers_keys_nothing_is_opened(
    ask: Callable[[], Any], plain_agency: Peer, authz: Authz, issuer: Issuer
) -> None:
    authz.jwks = {"keys": []}
    assert ask().status_code == 502
    assert plain_agency.requests == []


def test_a_server_without_keys_is_asked_for_them_once_and_not_by_one_fetch_after_the_other(
    http: FlaskClient, client: Client, issuer: Issuer, authz: Authz, plain_agency: Peer
) -> None:
    plain_agency.answer = lambda _: json_reply(200, RECORD)
    good, authz.jwks = authz.jwks, {"keys": []}

    def status(token: str) -> int:
        return http.application.test_client().get(PATH, headers=client.headers(token, DATASET)).status_code

    with clock.frozen(clock.now()), ThreadPoolExecutor(2) as people:
        issuer.ticket()
        assert list(people.map(status, [new_token(), new_token()])) == [502, 502]
        assert [request.path for request in authz.peer.requests].count("/jwks") == 1
        # Not for long: it had just answered the exchange.
        authz.jwks = good
        clock.advance(timedelta(seconds=5))
        issuer.ticket()
        assert status(new_token()) == 200
