"""Group DP: proofs at the endpoints of the authorization server. Those at the proxy: tests/resource_proxy."""

import hashlib
import re
from datetime import timedelta
from typing import Any

import pytest

from authz_server.audit.models import AuditEntry
from authz_server.core import clock, secrets
from authz_server.tokens.models import DatasetToken
from tests.support.platform import Bank, Platform, base64url, new_key, public_members, sign_with_header
from tests.support.protocol import dataset_token, refused, rows, userinfo

Changes = dict[str, Any]


def now() -> int:
    return int(clock.now().timestamp())


def proof(bank: Bank, path: str, *, method: str, token: str | None, header: Changes, **claims: Any) -> str:
    """A proof with header and claims changed; None leaves a member out."""
    whole: Changes = {"jti": f"{path}-{clock.now().timestamp()}", "htm": method, "htu": bank.issuer + path}
    whole |= {"iat": now()} | ({"ath": base64url(hashlib.sha256(token.encode()).digest())} if token else {}) | claims
    head = {"typ": "dpop+jwt", "alg": "ES256", "jwk": public_members(bank.dpop_key)} | header
    kept = [{name: value for name, value in part.items() if value is not None} for part in (whole, head)]
    return sign_with_header(kept[0], bank.dpop_key, kept[1])


WRONG: dict[str, tuple[Changes, Changes]] = {
    "no typ": ({"typ": None}, {}),
    "typ JWT": ({"typ": "JWT"}, {}),
    "no jwk": ({"jwk": None}, {}),
    "jwk not an object": ({"jwk": "x"}, {}),
    "another jwk": ({"jwk": public_members(new_key())}, {}),
    "no jti": ({}, {"jti": None}),
    "empty jti": ({}, {"jti": ""}),
    "jti a number": ({}, {"jti": 1}),
    "no htm": ({}, {"htm": None}),
    "another method": ({}, {"htm": "PUT"}),
    "method in small letters": ({}, {"htm": "post"}),
    "no htu": ({}, {"htu": None}),
    "another path": ({}, {"htu": "https://mydata.example/other"}),
    "another host": ({}, {"htu": "https://other.example/token"}),
    "the host of the request": ({}, {"htu": "http://localhost/token"}),
    "htu a list": ({}, {"htu": ["https://mydata.example/token"]}),
    "no iat": ({}, {"iat": None}),
    "iat a text": ({}, {"iat": "now"}),
    "nonce a number": ({}, {"nonce": 1}),
}
wrong = pytest.mark.parametrize(("header", "claims"), WRONG.values(), ids=WRONG.keys())


@pytest.mark.row("DP-02", "DP-03", "DP-04")
@wrong
def test_a_wrong_proof_at_the_token_endpoint_is_refused_and_spends_nothing(
    platform: Platform, header: Changes, claims: Changes
) -> None:
    bank, code = platform.bank, platform.code()
    sent = proof(bank, "/token", method="POST", token=None, header=header, **claims)
    refused(bank.redeem(code, headers={"DPoP": sent}), 400, "invalid_dpop_proof")
    assert bank.redeem(code).status_code == 200


@pytest.mark.row("DP-03", "DP-08", "DP-11")
@pytest.mark.parametrize(
    "claims", [{"ath": None}, {"ath": "x" * 43}, {"ath": 1}, {"htm": "POST"}, {"jti": None}, {"iat": 1}]
)
def test_a_wrong_proof_at_a_resource_is_challenged(platform: Platform, claims: Changes) -> None:
    bank, token = platform.bank, platform.tokens()["access_token"]
    answer = userinfo(bank, token, proof=proof(bank, "/userinfo", method="GET", token=token, header={}, **claims))
    refused(answer, 401, "invalid_dpop_proof")
    challenge = answer.headers["WWW-Authenticate"]
    assert challenge.startswith('DPoP error="invalid_dpop_proof", error_description="The DPoP proof is not valid ')
    assert 'algs="PS256 ES256 EdDSA Ed25519"' in challenge
    assert userinfo(bank, token).status_code == 200


@pytest.mark.row("DP-01")
@pytest.mark.parametrize("value", ["", "one", "a.b", "a.b.c", "a.b.c.d.e", "é.é.é", "." * 9000])
def test_what_is_no_proof_is_refused(platform: Platform, value: str) -> None:
    refused(platform.bank.redeem("x", headers={"DPoP": value}), 400, "invalid_dpop_proof")


@pytest.mark.row("DP-01")
def test_exactly_one_header_in_any_case(platform: Platform) -> None:
    bank, url = platform.bank, f"{platform.bank.issuer}/token"
    form = {"grant_type": "authorization_code", "code": platform.code(), "code_verifier": bank.verifier}
    two = [("DPoP", bank.proof("POST", url)), ("dpop", bank.proof("POST", url))]
    refused(bank.post("/token", form, two), 400, "invalid_dpop_proof")  # type: ignore[arg-type]  # a header twice
    joined = {"DPoP": f"{bank.proof('POST', url)}, {bank.proof('POST', url)}"}
    refused(bank.post("/token", form, joined), 400, "invalid_dpop_proof")
    assert bank.post("/token", form, {"dPoP": bank.proof("POST", url)}).status_code == 200


@pytest.mark.row("DP-02")
def test_a_private_key_in_the_header_is_refused(platform: Platform) -> None:
    private = platform.bank.dpop_key.native.as_dict(private=True)
    jwk = {name: private[name] for name in ("kty", "crv", "x", "y", "d")}
    sent = proof(platform.bank, "/token", method="POST", token=None, header={"jwk": jwk})
    refused(platform.bank.redeem("x", headers={"DPoP": sent}), 400, "invalid_dpop_proof")


@pytest.mark.row("DP-02")
@pytest.mark.parametrize("alg", ["PS256", "EdDSA", "Ed25519"])
def test_every_advertised_algorithm_proves(platform: Platform, alg: str) -> None:
    key = new_key(alg)
    claims = {"jti": f"{alg}-{clock.now().timestamp()}", "htm": "POST", "htu": f"{platform.bank.issuer}/token"}
    sent = sign_with_header(claims | {"iat": now()}, key, {"typ": "dpop+jwt", "alg": alg, "jwk": public_members(key)})
    assert platform.bank.redeem(platform.code(), headers={"DPoP": sent}).status_code == 200


@pytest.mark.row("DP-04")
@pytest.mark.parametrize(
    "htu",
    [
        "https://mydata.example/token?query=ignored",
        "https://mydata.example/token#fragment",
        "https://mydata.example:443/token",
        "HTTPS://MyData.Example/token",
    ],
)
def test_spellings_of_one_url_are_one_url(platform: Platform, htu: str) -> None:
    sent = proof(platform.bank, "/token", method="POST", token=None, header={}, htu=htu)
    assert platform.bank.redeem(platform.code(), headers={"DPoP": sent}).status_code == 200


@pytest.mark.row("DP-05")
@pytest.mark.parametrize(
    ("seconds", "good"), [(-10, True), (10, True), (-59, True), (14, True), (-62, False), (17, False), (3600, False)]
)
def test_a_proof_is_good_for_a_minute(platform: Platform, seconds: int, good: bool) -> None:
    with clock.frozen(clock.now()):
        code = platform.code()
        sent = proof(platform.bank, "/token", method="POST", token=None, header={}, iat=now() + seconds)
        answer = platform.bank.redeem(code, headers={"DPoP": sent})
    assert answer.status_code == (200 if good else 400), answer.text


@pytest.mark.row("DP-06")
def test_more_members_are_tolerated(platform: Platform) -> None:
    more = {"nbf": now(), "exp": now() + 300, "unknown": {"a": [1]}}
    sent = proof(platform.bank, "/token", method="POST", token=None, header={}, **more)
    assert platform.bank.redeem(platform.code(), headers={"DPoP": sent}).status_code == 200


@pytest.mark.row("DP-07")
def test_a_proof_is_good_once_at_every_endpoint(platform: Platform) -> None:
    bank = platform.bank
    at_par = {"DPoP": bank.proof("POST", f"{bank.issuer}/par")}
    assert bank.post("/par", bank.parameters(), at_par).status_code == 201
    refused(bank.post("/par", bank.parameters(), at_par), 400, "invalid_dpop_proof")
    at_token = {"DPoP": bank.proof("POST", f"{bank.issuer}/token")}
    first, second = platform.code(), platform.code()
    token = bank.redeem(first, headers=at_token).get_json()["access_token"]
    refused(bank.redeem(second, headers=at_token), 400, "invalid_dpop_proof")
    assert bank.redeem(second).status_code == 200
    at_resource = bank.proof("GET", f"{bank.issuer}/userinfo", token=token)
    assert userinfo(bank, token, proof=at_resource).status_code == 200
    refused(userinfo(bank, token, proof=at_resource), 401, "invalid_dpop_proof")


@pytest.mark.row("DP-07", "X-01")
def test_a_proof_that_the_proxy_saw_before_is_told_as_such(platform: Platform) -> None:
    fetch, jti = dataset_token(platform), base64url(hashlib.sha256(b"one proof").digest())
    fetch.exchange(dpop_jti=jti)
    again = dataset_token(platform)
    refused(again.exchange(dpop_jti=jti), 400, "invalid_dpop_proof")
    assert again.exchange().status_code == 200


@pytest.mark.row("DP-07", "X-01")
@pytest.mark.parametrize("later_s", [0, 70])
@pytest.mark.parametrize(
    ("outcome", "more"), [("no_record", {}), ("failed", {"reason": "agency_down"}), ("preparing", {"retry_after": "1"})]
)
def test_a_proof_stays_used_when_its_token_is_free_again(
    platform: Platform, outcome: str, more: dict[str, str], later_s: int
) -> None:
    """What an agency answers without data uses up no token, but each attempt takes a proof of its own."""
    fetch, jti = dataset_token(platform), base64url(hashlib.sha256(f"{outcome} {later_s}".encode()).digest())
    with clock.frozen(clock.now()):
        lease = fetch.exchange(dpop_jti=jti).get_json()["lease"]
        assert platform.proxy.report(lease, outcome, **more).status_code == 204
        clock.advance(timedelta(seconds=later_s + 1))
        refused(fetch.exchange(dpop_jti=jti), 400, "invalid_dpop_proof")
        assert fetch.exchange().status_code == 200


@pytest.mark.row("DP-12")
@pytest.mark.parametrize("wait_s", [60, 900], ids=["within its time", "beyond it"])
def test_a_token_that_is_waited_for_as_long_as_told_is_ready(platform: Platform, wait_s: int) -> None:
    fetch = dataset_token(platform)
    with clock.frozen(clock.now()):
        lease = fetch.exchange().get_json()["lease"]
        assert platform.proxy.report(lease, "preparing", retry_after=str(wait_s)).status_code == 204
        clock.advance(timedelta(seconds=10.6))
        told = refused(fetch.exchange(), 400, "temporarily_unavailable")["retry_after"]
        clock.advance(timedelta(seconds=told))
        assert fetch.exchange().status_code == 200


@pytest.mark.row("DP-12")
@pytest.mark.parametrize("why", ["revoked", "expired", "another dataset", "another key"])
def test_nobody_is_told_to_wait_for_what_will_never_come(platform: Platform, why: str) -> None:
    fetch, limits = dataset_token(platform), platform.settings.limits
    changes = {"dpop_jkt": new_key().thumbprint} if why == "another key" else {}
    with clock.frozen(clock.now()):
        lease = fetch.exchange().get_json()["lease"]
        assert platform.proxy.report(lease, "preparing", retry_after="3600").status_code == 204
        refused(fetch.exchange(), 400, "temporarily_unavailable")
        if why == "revoked":
            assert platform.bank.post("/revoke", {"token": fetch.token}).status_code == 200
        elif why == "expired":
            longest = platform.catalogue.dataset(fetch.dataset).preparing_limit_s
            clock.advance(timedelta(seconds=limits.dataset_token_ttl_s + longest))
        elif why == "another dataset":
            fetch.dataset = "ris.household"
        refused(fetch.exchange(**changes), 400, "invalid_request")


@pytest.mark.row("DP-08", "U-08", "U-12")
@pytest.mark.parametrize("scheme", ["Bearer", "Basic", "", "DPoPX"])
def test_a_bound_token_is_not_a_bearer_token(platform: Platform, scheme: str) -> None:
    token = platform.tokens()["access_token"]
    answer = userinfo(platform.bank, token, scheme=scheme)
    refused(answer, 401, "invalid_token")
    assert answer.headers["WWW-Authenticate"].startswith("DPoP ")


@pytest.mark.row("DP-08", "DP-11")
def test_without_a_proof_or_with_another_key_it_opens_nothing(platform: Platform) -> None:
    bank, token = platform.bank, platform.tokens()["access_token"]
    by_other = bank.proof("GET", f"{bank.issuer}/userinfo", key=new_key(), token=token)
    for sent in ("", by_other):
        answer = userinfo(bank, token, proof=sent)
        refused(answer, 401, "invalid_dpop_proof")
        assert 'algs="PS256 ES256 EdDSA Ed25519"' in answer.headers["WWW-Authenticate"]


@pytest.mark.row("DP-01")
def test_a_resource_too_wants_exactly_one(platform: Platform) -> None:
    bank, token = platform.bank, platform.tokens()["access_token"]
    proofs = [bank.proof("GET", f"{bank.issuer}/userinfo", token=token) for _ in range(2)]
    two = [("Authorization", f"DPoP {token}"), *(("DPoP", proof) for proof in proofs)]
    refused(bank.browser.get("/userinfo", headers=two), 401, "invalid_dpop_proof")


@pytest.mark.row("DP-09")
@pytest.mark.parametrize("scheme", ["dpop", "DPOP", "dPOP", "DPoP  "])  # RFC 9110 section 11.4: any number of spaces
def test_the_scheme_is_compared_without_case_and_may_stand_apart(platform: Platform, scheme: str) -> None:
    assert userinfo(platform.bank, platform.tokens()["access_token"], scheme=scheme).status_code == 200


@pytest.mark.row("DP-10")
def test_a_resource_demands_a_nonce_where_the_settings_say_so(nonce_platform: Platform, platform: Platform) -> None:
    bank, token = nonce_platform.bank, platform.tokens()["access_token"]
    challenged = userinfo(bank, token)
    refused(challenged, 401, "use_dpop_nonce")
    assert 'error="use_dpop_nonce"' in challenged.headers["WWW-Authenticate"]
    (nonce,) = challenged.headers.getlist("DPoP-Nonce")
    assert re.fullmatch(r"[\x21\x23-\x5b\x5d-\x7e]+", nonce)
    with_nonce = bank.proof("GET", f"{bank.issuer}/userinfo", token=token, nonce=nonce)
    assert userinfo(bank, token, proof=with_nonce).status_code == 200


@pytest.mark.row("DP-10")
def test_no_nonce_is_spoken_of_where_none_is_demanded(platform: Platform) -> None:
    assert "DPoP-Nonce" not in platform.bank.redeem("x").headers


@pytest.mark.row("DP-12")
def test_refused_attempts_leave_a_dataset_token_and_the_record_alone(platform: Platform) -> None:
    fetch = dataset_token(platform)
    before = len(rows(platform, AuditEntry, event="token.leased"))
    refused(fetch.exchange(dpop_jkt=new_key().thumbprint), 400)
    refused(fetch.exchange(client_assertion="x"), 401)
    assert len(rows(platform, AuditEntry, event="token.leased")) == before
    (token,) = rows(platform, DatasetToken, digest=secrets.digest(fetch.token))
    assert token.state == "issued"


@pytest.mark.row("DP-13", "T-17")
def test_there_is_no_refresh_token_to_bind(platform: Platform) -> None:
    body = platform.tokens(platform.detail("ris.personal"), scope="openid", prompt="consent")
    assert "refresh_token" not in body
    refused(platform.bank.redeem("x", grant_type="refresh_token", refresh_token="x"), 400, "unsupported_grant_type")
