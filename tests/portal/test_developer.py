"""The page on which a developer reads why a message of their client is refused."""

import base64
import hashlib
import html
import logging
import re
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import Mock
from uuid import uuid4

import orjson
import pytest
from werkzeug.test import TestResponse

from authz_server import server
from authz_server.clients import own
from authz_server.core import clock, dpop, jose
from authz_server.core.admission import Room
from authz_server.core.logging import JsonLines
from authz_server.extensions import Services
from authz_server.oauth.client_access import SCOPES
from authz_server.portal.developer import PROOFS
from tests.support.platform import (
    ISSUER,
    PROXY_URL,
    Platform,
    base64url,
    hidden_fields,
    new_key,
    public,
    public_members,
    sign_with_header,
)
from tests.support.protocol import new_bank, pushed, userinfo
from tests.support.tree import ROOT
from tests.support.typography import spaced

TAKEN, UNTIMELY, REFUSED = "This is taken", "It is right, but not at this moment", "This is refused"
NOW = 1_800_000_000
DOCUMENTS = {
    "openapi.yaml": (ROOT / "docs" / "openapi.yaml", "application/yaml"),
    "changes.md": (ROOT / "CHANGELOG.md", "text/markdown"),
}
DEEP = base64url(b'{"sub":"x","deep":%s%s}' % (b"[" * 900, b"]" * 900))  # as deep as the parser goes, nearly


def pasted(platform: Platform, message: str, shown_in: str = "en", **fields: str) -> TestResponse:
    """The page after a message was pasted."""
    browser = platform.browser()
    form = hidden_fields(browser.get(f"/developer?lang={shown_in}").text)
    return browser.post("/developer", data=form | {"message": message} | fields)


def said(platform: Platform, message: str) -> str:
    """What it says, as a reader sees it."""
    answer = pasted(platform, message)
    assert answer.status_code == 200
    return html.unescape(answer.text)


def test_a_right_assertion_is_taken_and_not_used_up(platform: Platform) -> None:
    assertion = platform.bank.assertion()
    page = said(platform, assertion)
    for words in (f"<h2>{TAKEN}</h2>", "<dd>First Sample Bank</dd>", "private_key_jwt", assertion, ISSUER):
        assert words in page
    answer = platform.bank.post("/par", platform.bank.parameters(client_assertion=assertion))
    assert answer.status_code == 201


@pytest.mark.parametrize(
    ("changes", "check"),
    [
        ({"aud": f"{ISSUER}/token"}, "aud is not the issuer"),
        ({"aud": [ISSUER]}, "aud is not the issuer"),
        ({"iss": "somebody-else"}, "iss or sub is not the client"),
        ({"jti": None}, "jti is missing or too long"),
        ({"exp": None}, "exp is missing, past, or too far ahead"),
        ({"exp": 2**34}, "exp is missing, past, or too far ahead"),
        ({"sub": None}, "sub is not the client_id of a client that asks for data"),
        ({"iat": "now"}, "iat lies in the future"),
    ],
)
def test_the_check_that_an_assertion_does_not_pass_is_named(
    platform: Platform, changes: dict[str, Any], check: str
) -> None:
    page = said(platform, platform.bank.assertion(**changes))
    assert f"<h2>{REFUSED}</h2>" in page
    assert f'<code class="code" lang="en">{check}</code>' in page


def test_an_assertion_with_another_key_is_refused_for_that(platform: Platform) -> None:
    other = jose.sign({"iss": platform.bank.client_id, "sub": platform.bank.client_id}, new_key())
    assert "no key with this kid" in said(platform, other)
    signed, _, signature = platform.bank.assertion().rpartition(".")
    changed = f"{signed}.{'B' if signature[0] == 'A' else 'A'}{signature[1:]}"
    assert "the signature is wrong" in said(platform, changed)


def test_who_pastes_it_minutes_later_is_told_that_it_was_right_then(platform: Platform) -> None:
    assertion, proof = platform.bank.assertion(), platform.bank.proof("POST", f"{ISSUER}/token")
    with clock.frozen(clock.now() + timedelta(minutes=10)):
        late = said(platform, assertion)
        assert f"<h2>{UNTIMELY}</h2>" in late
        assert "exp is missing, past, or too far ahead" in late
        assert "compare your clock" in late
        assert "iat is outside the window" in said(platform, proof)
    with clock.frozen(clock.now() - timedelta(minutes=10)):
        early = said(platform, assertion)
        assert f"<h2>{UNTIMELY}</h2>" in early


def test_moments_are_told_as_dates(platform: Platform) -> None:
    page = said(platform, platform.bank.assertion(iat=1767225600, exp=1767225660))
    assert "1767225600 = 2026-01-01T00:00:00Z" in page


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"iat": None},
        {"iat": NOW - 3600},  # as old as it likes, if `exp` is not
        {"iat": 0},
        {"iat": NOW + 10},
        {"iat": NOW + 11},
        {"iat": NOW * 1000},
        {"iat": True},
        {"exp": NOW - 9},
        {"exp": NOW - 10},
        {"exp": NOW - 10, "iat": None},
        {"exp": NOW + 310},
        {"exp": NOW + 311},
        {"exp": NOW + 60.5},
        {"nbf": NOW + 60},
        {"htm": "POST", "htu": f"{ISSUER}/par"},
        {"aud": f"{ISSUER}/"},
        {"sub": "proxy", "iss": "proxy"},
        {"jti": "x" * 257},
    ],
)
def test_an_assertion_is_taken_where_it_is_taken_for_real(platform: Platform, changes: dict[str, Any]) -> None:
    with clock.frozen(datetime.fromtimestamp(NOW, UTC)):
        assertion = platform.bank.assertion(**changes)
        page = said(platform, assertion)
        answer = platform.bank.post("/par", platform.bank.parameters(client_assertion=assertion))
    assert (f"<h2>{TAKEN}</h2>" in page) == (answer.status_code == 201)
    assert "A client assertion" in page


@pytest.mark.parametrize(
    ("changes", "in_header"),
    [
        ({}, {}),
        ({"iat": NOW - 60}, {}),
        ({"iat": NOW - 61}, {}),
        ({"iat": NOW + 15}, {}),
        ({"iat": NOW + 16}, {}),
        ({"htu": f"{ISSUER}:443/token?a=b#c"}, {}),
        ({"htu": f"{ISSUER}//token"}, {}),
        ({"htu": f"{ISSUER}/%74oken"}, {}),
        ({"htu": f"{ISSUER}/x/../token"}, {}),
        ({"htm": ["POST"]}, {}),
        ({"sub": "jia-bank"}, {}),
        ({"nonce": 1}, {}),
        ({"jti": "x" * 9000}, {}),
        ({}, {"typ": "application/DPoP+jwt"}),
        ({}, {"typ": "JWT"}),
        ({}, {"kid": [1]}),
    ],
)
def test_a_proof_is_taken_where_it_is_taken_for_real(
    platform: Platform, changes: dict[str, Any], in_header: dict[str, Any]
) -> None:
    key = platform.bank.dpop_key
    with clock.frozen(datetime.fromtimestamp(NOW, UTC)):
        claims = {"jti": uuid4().hex, "htm": "POST", "htu": f"{ISSUER}/token", "iat": NOW} | changes
        header = {"typ": "dpop+jwt", "alg": "ES256", "jwk": public_members(key)} | in_header
        proof = sign_with_header(claims, key, header)
        page = said(platform, proof)
        form = {"grant_type": "client_credentials", "scope": "grant_management_query"}
        answer = platform.bank.post("/token", form, {"DPoP": proof})
    assert (f"<h2>{TAKEN}</h2>" in page) == (answer.status_code == 200)
    assert "A DPoP proof" in page


def test_an_assertion_without_iat_is_told_to_be_late(platform: Platform) -> None:
    assertion = platform.bank.assertion(iat=None)
    with clock.frozen(clock.now() + timedelta(minutes=10)):
        assert f"<h2>{UNTIMELY}</h2>" in said(platform, assertion)


def test_an_assertion_that_brings_its_key_is_no_proof(platform: Platform) -> None:
    key = platform.bank.key
    claims = {"iss": platform.bank.client_id, "sub": platform.bank.client_id, "aud": ISSUER}
    page = said(platform, sign_with_header(claims, key, {"alg": "ES256", "jwk": public_members(key)}))
    assert "A client assertion" in page
    assert "a header member that is never taken" in page


def test_a_nonce_that_is_demanded_is_looked_at(nonce_platform: Platform) -> None:
    bank, url = nonce_platform.bank, f"{ISSUER}/token"
    services: Services = nonce_platform.app.extensions["mydata"]
    page = said(nonce_platform, bank.proof("POST", url))
    assert f"<h2>{REFUSED}</h2>" in page
    assert "no nonce, or an old one" in page
    proof = bank.proof("POST", url, nonce=dpop.issue_nonce(services.secret, clock.now()))
    assert f"<h2>{TAKEN}</h2>" in said(nonce_platform, proof)
    with clock.frozen(clock.now() + timedelta(minutes=15)):
        assert f"<h2>{UNTIMELY}</h2>" in said(nonce_platform, proof)
    at_the_proxy = bank.proof("GET", f"{PROXY_URL}/data/ris.personal", token="mdt_x")
    assert f"<h2>{TAKEN}</h2>" in said(nonce_platform, at_the_proxy)


def test_a_proof_by_a_slow_clock_was_right_with_a_nonce_that_came_later_than_it_says(nonce_platform: Platform) -> None:
    bank, url = nonce_platform.bank, f"{ISSUER}/token"
    services: Services = nonce_platform.app.extensions["mydata"]
    with clock.frozen(datetime.fromtimestamp(NOW + 5, UTC)):  # nonces are of five minutes, and these have just begun
        proof = bank.proof("POST", url, nonce=dpop.issue_nonce(services.secret, clock.now()), iat=NOW - 20)
        assert f"<h2>{TAKEN}</h2>" in said(nonce_platform, proof)
        clock.advance(timedelta(minutes=2))
        assert f"<h2>{UNTIMELY}</h2>" in said(nonce_platform, proof)


@pytest.mark.parametrize("moment", [-1, 2**36, 2**63, 1e300, True, "x", None, [1]])
def test_a_moment_that_is_none_is_shown_as_it_is(platform: Platform, moment: object) -> None:
    page = said(platform, platform.bank.assertion(iat=moment, exp=moment))
    assert REFUSED in page
    assert " = " not in page


def test_clients_that_nobody_is_told_of_are_none(platform: Platform) -> None:
    nobody = "None that asks for data is registered under this client_id"
    assert nobody not in said(platform, platform.bank.assertion())
    others = [
        said(platform, platform.proxy.assertion()),
        said(platform, sign_with_header({"sub": "proxy"}, platform.proxy.key, {"alg": "ES256"})),
        said(platform, platform.bank.assertion(sub="bank-of-nowhere")),
        said(platform, platform.bank.assertion(sub=own.CLIENT_ID)),
    ]
    for page in others:
        assert nobody in page
        assert "sub is not the client_id of a client that asks for data" in page
        assert own.NAME.en not in page


@pytest.mark.parametrize(
    ("method", "url"),
    [
        ("POST", f"{ISSUER}/token"),
        ("POST", f"{ISSUER}/par"),
        ("POST", f"{ISSUER}/announce"),
        ("POST", f"{ISSUER}/copies"),
    ],
)
def test_a_proof_for_a_request_to_this_platform_is_taken(platform: Platform, method: str, url: str) -> None:
    page = said(platform, platform.bank.proof(method, url))
    assert f"<h2>{TAKEN}</h2>" in page
    assert "A DPoP proof" in page


@pytest.mark.parametrize(
    ("method", "url"),
    [
        ("GET", f"{ISSUER}/userinfo"),
        ("POST", f"{ISSUER}/userinfo"),
        ("DELETE", f"{ISSUER}/grants/abc"),
        ("GET", f"{ISSUER}/grants/abc/erasure"),
        ("GET", f"{PROXY_URL}/data/ris.personal"),
        ("GET", f"{PROXY_URL}:443/data/ris.personal?period=202601"),
    ],
)
def test_where_an_access_token_comes_along_the_proof_has_to_name_it(platform: Platform, method: str, url: str) -> None:
    assert f"<h2>{TAKEN}</h2>" in said(platform, platform.bank.proof(method, url, token="mda_x"))
    page = said(platform, platform.bank.proof(method, url))
    assert f"<h2>{REFUSED}</h2>" in page
    assert "no ath" in page


@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_metadata_lead_to_the_page_and_it_to_what_describes_the_endpoints(platform: Platform, name: str) -> None:
    browser = platform.browser()
    metadata = browser.get("/.well-known/openid-configuration").json
    assert metadata
    page = browser.get(metadata["service_documentation"].removeprefix(ISSUER))
    assert page.status_code == 200
    links = re.findall(rf'href="{re.escape(ISSUER)}(/static/{re.escape(name)}[^"]*)"', page.text)
    assert len(links) == 1
    with browser.get(links[0]) as described:
        assert (described.data, described.mimetype) == (DOCUMENTS[name][0].read_bytes(), DOCUMENTS[name][1])
        assert "immutable" in described.headers["Cache-Control"]


@pytest.mark.parametrize(
    "ath",
    [
        hashlib.sha256(b"mda_x").hexdigest(),
        base64url(hashlib.sha256(b"mda_x").digest()) + "=",
        base64.b64encode(hashlib.sha256(b"mda_x").digest()).decode(),
        base64url(hashlib.sha256(b"mda_x").hexdigest().encode()),
        "mda_x",
        "",
        "é" * 43,
        7,
    ],
)
def test_what_is_the_ath_of_no_token_at_all_is_refused_here_as_it_is_there(platform: Platform, ath: Any) -> None:
    bank, token = platform.bank, platform.tokens()["access_token"]
    wrong = bank.proof("GET", f"{ISSUER}/userinfo", token=token, ath=ath)
    assert userinfo(bank, token, proof=wrong).status_code == 401
    page = said(platform, wrong)
    assert f"<h2>{REFUSED}</h2>" in page
    assert "ath is not the SHA-256 of an access token" in page


@pytest.mark.parametrize("more", [" ", "\t", "\N{NO-BREAK SPACE}"])
def test_what_stands_beside_an_assertion_was_sent_as_well(platform: Platform, more: str) -> None:
    assertion = platform.bank.assertion()
    assert f"<h2>{REFUSED}</h2>" in said(platform, assertion + more)
    assert pushed(platform.bank, client_assertion=assertion + more).status_code in {400, 401}
    assert f"<h2>{TAKEN}</h2>" in said(platform, f"\r\n{assertion}\n")


def test_who_says_that_it_begins_later_is_told_later_that_it_was_right(platform: Platform) -> None:
    moment = int(clock.now().timestamp())
    with clock.frozen(datetime.fromtimestamp(moment, UTC)):
        assertion = platform.bank.assertion(nbf=moment + 30, exp=moment + 90)
        clock.advance(timedelta(seconds=25))
        assert f"<h2>{TAKEN}</h2>" in said(platform, assertion)
        assert pushed(platform.bank, client_assertion=assertion).status_code == 201
        clock.advance(timedelta(minutes=10))
        assert f"<h2>{UNTIMELY}</h2>" in said(platform, assertion)


@pytest.mark.parametrize("text", ["a private JWK", "PEM"])
def test_a_private_key_is_not_shown_again_by_a_form_that_is_too_old(platform: Platform, text: str) -> None:
    pem = "-----BEGIN PRIVATE" + " KEY-----\nMIGHAgEAMBMGByqGSM49\n-----END PRIVATE" + " KEY-----"
    secret = pem if text == "PEM" else orjson.dumps(jose.generate_key("ES256")).decode()
    page = pasted(platform, secret, csrf="stale")
    assert page.status_code == 403
    assert html.escape(secret.splitlines()[0]) not in page.text


def test_of_a_private_key_that_changes_nothing_the_developer_is_told(platform: Platform) -> None:
    told = "A private key is in it. Replace that key: it is a secret no more."
    private = jose.generate_key("ES256")
    page = said(platform, platform.bank.assertion(cnf={"jwk": private}))
    assert f"<h2>{TAKEN}</h2>" in page
    assert told in page
    assert private["d"] not in page
    assert told in said(platform, orjson.dumps(public(new_key()) | {"d": private["d"]}).decode())
    assert told not in said(platform, platform.bank.assertion())
    assert told not in said(platform, orjson.dumps(public(new_key())).decode())


def test_developers_take_no_turns_of_whoever_verifies_a_file() -> None:
    assert server.DEVELOPERS.is_for("/developer")
    assert not server.VERIFYING.is_for("/developer")


def test_the_server_has_every_room_that_is_named(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "serve", serving := Mock())
    for name in ("create_app", "check_secret", "schema"):
        monkeypatch.setattr(server, name, Mock())
    server.run(platform.settings)
    named = [room for room in vars(server).values() if isinstance(room, Room)]
    assert server.DEVELOPERS in named
    assert all(room in serving.call_args.kwargs["rooms"] for room in named)


def test_where_it_says_that_a_proof_is_taken_a_bad_one_is_refused_and_nowhere_else(own_platform: Platform) -> None:
    desk = {"name": {"zh": "櫃檯", "en": "Desk"}, "address": {"zh": "府前路", "en": "Fuqian Rd."}}
    bank = new_bank(own_platform, counters={"desk": desk}, desk_may=["print"])
    form = {"grant_type": "client_credentials", "scope": " ".join(SCOPES), "counter": "desk", "action": "print"}
    token = bank.post("/token", form, {"DPoP": bank.proof("POST", f"{ISSUER}/token")}).get_json()["access_token"]
    found = {}
    for rule in own_platform.app.url_map.iter_rules():
        path, methods = re.sub("[<>]", "", rule.rule), rule.methods or set()
        if not rule.endpoint.startswith("oauth."):
            continue
        method = "POST" if "POST" in methods else min(methods - {"HEAD", "OPTIONS"})
        with_token = bank.browser.open(path, method=method, headers={"Authorization": f"DPoP {token}", "DPoP": "x"})
        if "invalid_dpop_proof" in with_token.headers.get("WWW-Authenticate", ""):
            found[rule.endpoint] = True
        elif "POST" in methods and "invalid_dpop_proof" in bank.post(path, form, {"DPoP": "x"}).text:
            found[rule.endpoint] = False
    assert found == PROOFS


@pytest.mark.parametrize(
    ("method", "url"),
    [
        ("GET", f"{ISSUER}/token"),
        ("post", f"{ISSUER}/token"),
        ("POST", f"{ISSUER}/token/"),
        ("POST", f"{ISSUER}//token"),
        ("GET", f"{ISSUER}/grants/%41bc"),
        ("POST", "https://elsewhere.example/token"),
        ("POST", f"{PROXY_URL}/data/ris.personal"),
        ("GET", f"{PROXY_URL}/data/ris.unknown"),
        ("GET", f"{ISSUER}/sign-in"),
        ("POST", f"{ISSUER}/introspect"),
    ],
)
def test_a_proof_for_another_request_is_refused_for_that(platform: Platform, method: str, url: str) -> None:
    page = said(platform, platform.bank.proof(method, url, token="mda_x"))
    assert f"<h2>{REFUSED}</h2>" in page
    assert "htm and htu are not of a request that this platform takes a proof for" in page


@pytest.mark.parametrize(
    ("changes", "check"),
    [
        ({"jti": None}, "no jti"),
        ({"iat": None}, "no iat"),
        ({"htm": None}, "htm is another method"),
        ({"htu": None}, "no htu"),
        ({"htu": "token"}, "htm and htu are not of a request"),
        ({"htu": "https://["}, "htm and htu are not of a request"),
    ],
)
def test_the_check_that_a_proof_does_not_pass_is_named(platform: Platform, changes: dict[str, Any], check: str) -> None:
    assert check in said(platform, platform.bank.proof("POST", f"{ISSUER}/token", **changes))


def test_of_keys_it_says_what_each_serves_for(platform: Platform) -> None:
    signing, encryption = new_key("PS256"), new_key("ECDH-ES")
    page = said(platform, orjson.dumps(public(signing, encryption)).decode())
    assert f"<h2>{TAKEN}</h2>" in page
    for key, algorithms in ((signing, "PS256"), (encryption, "ECDH-ES")):
        assert f'{key.kid}</code></dt><dd><code class="code" lang="en">{algorithms}</code>' in page
    one = said(platform, orjson.dumps(signing.public_jwk()).decode())
    assert f"<h2>{TAKEN}</h2>" in one
    without = said(platform, orjson.dumps(public(encryption)).decode())
    assert "no key to sign with" in without
    useless = encryption.public_jwk() | {"alg": "ECDH-ES+A128KW"}
    unsealed = said(platform, orjson.dumps({"keys": [signing.public_jwk(), useless]}).decode())
    assert f"<h2>{REFUSED}</h2>" in unsealed
    assert "no key of use enc that packages are encrypted to" in unsealed


def test_a_key_that_serves_for_nothing_is_refused(platform: Platform) -> None:
    page = said(platform, orjson.dumps(new_key("PS256").public_jwk() | {"alg": "RS256"}).decode())
    assert f"<h2>{REFUSED}</h2>" in page
    assert "<dd>nothing here</dd>" in page


@pytest.mark.parametrize("broken", ['{"keys": [{"kty": "EC"},]}', '{"kty": "EC"', "{'kty': 'EC'}"])
def test_keys_that_are_no_json_are_refused_for_that(platform: Platform, broken: str) -> None:
    assert ">not JSON</code>" in said(platform, broken)


@pytest.mark.parametrize("wrapped", [True, False])
def test_a_private_key_is_refused_and_not_shown_again(platform: Platform, wrapped: bool) -> None:
    private = jose.generate_key("ES256")
    page = said(platform, orjson.dumps({"keys": [private]} if wrapped else private).decode())
    assert "it is a secret no more" in page
    assert private["d"] not in page


@pytest.mark.parametrize("place", ["jwk", "epk", "claims"])
def test_neither_is_one_inside_a_message(platform: Platform, place: str) -> None:
    private = jose.generate_key("ES256")
    parts: dict[str, dict[str, Any]] = {
        "jwk": {"typ": "dpop+jwt", "alg": "ES256", "jwk": private},
        "epk": {"alg": "ECDH-ES", "enc": "A256GCM", "epk": private},
        "claims": {"alg": "ES256"},
    }
    header = base64url(orjson.dumps(parts[place]))
    claims = base64url(orjson.dumps({"cnf": [{"jwk": private}]} if place == "claims" else {"htm": "POST"}))
    page = said(platform, f"{header}....A" if place == "epk" else f"{header}.{claims}.AA")
    assert private["d"] not in page
    assert header not in page


def test_neither_is_what_nobody_knows(platform: Platform) -> None:
    page = said(platform, "-----BEGIN PRIVATE" + " KEY-----\nMIGHAgEAMBMG")
    assert f"<h2>{REFUSED}</h2>" in page
    assert "MIGHAgEAMBMG" not in page


def test_of_a_package_it_reads_the_header(platform: Platform) -> None:
    key = new_key("ECDH-ES")
    good = jose.encrypt(b"data", key, cty="JWT")
    page = said(platform, good)
    assert "<h2>Its header is taken</h2>" in page
    assert key.kid in page
    long = base64url(orjson.dumps({"alg": "ECDH-ES", "enc": "A256GCM", "kid": "x" * 4000}))
    assert "header too long" in said(platform, f"{long}.a.b.c.d")
    header = base64url(orjson.dumps({"alg": "RSA1_5", "enc": "A256GCM"}))
    assert "alg or enc is not taken here" in said(platform, f"{header}.a.b.c.d")
    assert "not base64url" in said(platform, "é.a.b.c.d")


@pytest.mark.parametrize(
    "garbage",
    [
        "x",
        "é",
        "{",
        "{}",
        "a.b.c",
        "....",
        '{"keys": {}}',
        '{"keys": [1]}',
        '{"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}',
        "[" * 5000,
        "{" * 5000,
        "a" * 60000,
        "<script>alert(1)</script>",
        f"{DEEP}.{DEEP}.AA",
        f"{DEEP}....",
    ],
)
def test_whatever_is_pasted_there_is_an_answer(platform: Platform, garbage: str) -> None:
    page = pasted(platform, garbage)
    assert page.status_code == 200
    assert REFUSED in page.text
    assert "<script>alert" not in page.text


def test_nothing_pasted_and_a_form_of_elsewhere_are_told(platform: Platform) -> None:
    nothing = pasted(platform, " \r\n")
    assert nothing.status_code == 400
    assert "Paste a message first." in nothing.text
    stale = pasted(platform, platform.bank.assertion(), csrf="x")
    assert stale.status_code == 403
    assert TAKEN not in stale.text


def test_the_other_language_keeps_what_was_pasted(platform: Platform) -> None:
    assertion = platform.bank.assertion()
    page = pasted(platform, assertion, lang="zh-TW").text
    for words in ("這會被接受", "甲銀行", assertion):
        assert words in page
    assert pasted(platform, "", lang="zh-TW").status_code == 200


def test_why_the_keys_of_a_client_are_not_fetched_is_for_the_log(
    platform: Platform, caplog: pytest.LogCaptureFixture
) -> None:
    bank = new_bank(platform, jwks=None, jwks_uri="https://127.0.0.1:1/jwks")  # an address where nothing is fetched
    page = said(platform, bank.assertion())
    assert "the client's keys can't be fetched" in page
    assert "127.0.0.1" not in page
    (line,) = written(caplog)
    assert line["event"] == "remote.not_fetched"
    assert "address" in line["detail"]


def test_in_chinese_no_space_stands_beside_its_colon(platform: Platform) -> None:
    page = pasted(platform, "x", shown_in="zh-TW").text
    assert "未通過的檢查：" in page
    assert not spaced(re.sub(r"<(?!br>)[^>]*>", "", page))


def test_of_what_is_pasted_the_log_says_nothing(platform: Platform, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    refused = platform.bank.assertion(aud="https://canary.example")
    assert "aud is not the issuer" in said(platform, refused)
    assert written(caplog) == []
    assert platform.bank.post("/par", {"client_assertion": refused}).status_code == 401
    (line,) = written(caplog)
    assert line["detail"] == "aud is not the issuer"
    assert refused not in str(line)
    assert "canary" not in str(line)


def test_of_a_client_that_there_is_not_the_log_says_so(platform: Platform, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    assert platform.bank.post("/par", {"client_assertion": platform.bank.assertion(sub="nobody")}).status_code == 401
    assert [line["detail"] for line in written(caplog)] == ["unknown client"]


def written(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    """The lines of the log."""
    return [orjson.loads(JsonLines().format(record)) for record in caplog.records if record.name == "mydata"]
