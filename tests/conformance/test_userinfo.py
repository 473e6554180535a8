"""Group U at UserInfo, and what holds for every resource. The proxy's own: tests/resource_proxy/test_conformance.py."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from authz_server.core import clock
from tests.support.platform import Platform, new_key
from tests.support.protocol import dataset_token, refused, userinfo

TRACE = "X-FAPI-Interaction-ID"
UUID = "6F5b1f0e-8f8e-4a3c-9d0a-1d9a52c3a111"


@pytest.mark.row("U-01", "U-13")
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_get_and_post_answer_the_subject_as_json_that_nobody_keeps(platform: Platform, method: str) -> None:
    from_elsewhere = {"Origin": "https://a.example"}
    answer = userinfo(platform.bank, platform.tokens()["access_token"], method=method, headers=from_elsewhere)
    assert (answer.status_code, answer.mimetype) == (200, "application/json")
    assert set(answer.get_json()) == {"sub"}
    assert answer.headers["Cache-Control"] == "no-store"
    assert not [name for name, _ in answer.headers if name.startswith("Access-Control-")]


@pytest.mark.row("U-01")
@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS"])
def test_no_other_method(platform: Platform, method: str) -> None:
    refused(platform.browser().open("/userinfo", method=method, headers={"Origin": "https://a.example"}), 405)


@pytest.mark.row("U-05")
def test_each_scope_opens_its_claims_and_what_is_lacking_is_left_out(platform: Platform) -> None:
    body = platform.tokens(scope="openid profile email phone")
    claims = userinfo(platform.bank, body["access_token"]).get_json()
    assert {name: claims[name] for name in claims if name != "sub"} == {
        "name": "測試市民甲",
        "birthdate": "1980-01-02",
        "locale": "en",
        "email": "citizen1@citizen.example",
    }


@pytest.mark.row("U-02", "U-03")
def test_a_token_anywhere_but_in_the_header_is_refused(platform: Platform) -> None:
    bank, token = platform.bank, platform.tokens()["access_token"]
    refused(userinfo(bank, token, query_string={"access_token": token}), {400, 401})
    proof = bank.proof("POST", f"{bank.issuer}/userinfo", token=token)
    in_body = bank.browser.post("/userinfo", data={"access_token": token}, headers={"DPoP": proof})
    refused(in_body, 401, "invalid_token")
    assert userinfo(bank, token).status_code == 200


@pytest.mark.row("U-07")
def test_the_token_is_good_until_it_expires(platform: Platform) -> None:
    with clock.frozen(clock.now()):
        token = platform.tokens()["access_token"]
        answers = [userinfo(platform.bank, token) for _ in range(33)]
        assert {(answer.status_code, answer.data) for answer in answers} == {(200, answers[0].data)}
        clock.advance(timedelta(seconds=platform.settings.limits.access_token_ttl_s - 1))
        assert userinfo(platform.bank, token).status_code == 200
        clock.advance(timedelta(seconds=1))
        refused(userinfo(platform.bank, token), 401, "invalid_token")


@pytest.mark.row("U-08", "X-03", "DP-11")
@pytest.mark.parametrize("kind", ["unknown", "dataset token", "code", "id_token"])
def test_no_other_secret_opens_it(platform: Platform, kind: str) -> None:
    secrets: dict[str, Callable[[], str]] = {
        "unknown": lambda: "mda_" + "x" * 43,
        "dataset token": lambda: dataset_token(platform).token,
        "code": lambda: platform.code(),
        "id_token": lambda: str(platform.tokens()["id_token"]),
    }
    token = secrets[kind]()
    answer = userinfo(platform.bank, token)
    refused(answer, 401, "invalid_token")
    said = f'error="invalid_token", error_description="{answer.get_json()["error_description"]}"'
    assert answer.headers["WWW-Authenticate"] == f'DPoP {said}, algs="PS256 ES256 EdDSA Ed25519"'


@pytest.mark.row("U-08")
@pytest.mark.parametrize("path", ["/userinfo", "/grants/any", "/grants/any/erasure"])
def test_a_stranger_is_challenged_and_told_of_no_error(platform: Platform, path: str) -> None:
    answer = platform.browser().get(path)
    refused(answer, 401)
    # RFC 6750 section 3.1: no error code for who sent no credentials at all.
    assert answer.headers["WWW-Authenticate"] == 'DPoP algs="PS256 ES256 EdDSA Ed25519"'


@pytest.mark.row("U-10")
@pytest.mark.parametrize("path", ["/userinfo", "/par", "/jwks", "/authorize", "/nowhere"])
def test_the_interaction_id_is_echoed_or_a_new_one(platform: Platform, path: str) -> None:
    browser = platform.browser()
    assert browser.get(path, headers={TRACE: UUID}).headers[TRACE] == UUID
    for bad in ("", "not-a-uuid", UUID + "0", "x" * 5000, "{" + UUID + "}"):
        given = browser.get(path, headers={TRACE: bad}).headers.getlist(TRACE)
        assert len(given) == 1
        assert len(given[0]) == 36
        assert given[0] != bad


@pytest.mark.row("U-11")
@pytest.mark.parametrize(
    "headers",
    [
        {"Accept": "application/json;charset=UTF-8"},
        {"Accept": "application/json, application/*+json, */*"},
        {"Accept": "text/html"},
        {"Accept-Charset": "UTF-8"},
        {"x-fapi-auth-date": "Tue, 11 Sep 2012 19:43:31 GMT"},
        {"x-fapi-customer-ip-address": "198.51.100.119"},
        {"x-fapi-customer-ip-address": "2001:db8::1893:25c8:1946"},
    ],
)
def test_harmless_headers_do_no_harm(platform: Platform, headers: dict[str, str]) -> None:
    answer = userinfo(platform.bank, platform.tokens()["access_token"], headers=headers)
    assert (answer.status_code, answer.mimetype) == (200, "application/json")


@pytest.mark.row("U-12")
def test_another_clients_key_opens_nothing(platform: Platform) -> None:
    token = platform.tokens()["access_token"]
    refused(userinfo(platform.other_bank, token), 401, "invalid_dpop_proof")
    other = platform.bank.proof("GET", f"{platform.bank.issuer}/userinfo", key=new_key(), token=token)
    refused(userinfo(platform.bank, token, proof=other), 401, "invalid_dpop_proof")
