"""Group I: ID tokens, read with jwcrypto as a client would."""

import json
from datetime import timedelta
from typing import Any

import pytest
from jwcrypto import jwk, jws

from authz_server.core import clock
from authz_server.oauth.scopes import CLAIMS
from tests.support.platform import Platform, answer_of
from tests.support.protocol import opened, pushed, userinfo


def read(platform: Platform, token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims, verified with the published keys."""
    keys = jwk.JWKSet.from_json(platform.browser().get("/jwks").text)
    received = jws.JWS()
    received.deserialize(token)
    received.verify(keys.get_key(received.jose_header["kid"]))
    return received.jose_header, json.loads(received.payload)


def id_token(platform: Platform, **changes: Any) -> dict[str, Any]:
    """The claims of a new id_token."""
    return read(platform, platform.tokens(**changes)["id_token"])[1]


@pytest.mark.row("I-01", "I-02", "I-03", "I-05", "I-06", "I-10")
def test_an_id_token_says_who_for_whom_and_until_when(platform: Platform) -> None:
    body = platform.tokens(nonce="n-1")
    header, claims = read(platform, body["id_token"])
    moment = clock.now().timestamp()
    assert body["id_token"].count(".") == 2
    assert header["alg"] == "ES256"
    assert claims["iss"] == platform.settings.issuer
    assert claims["aud"] == platform.bank.client_id
    for name in ("iat", "exp", "auth_time"):
        assert isinstance(claims[name], int)
    assert moment - 300 < claims["auth_time"] <= claims["iat"] <= moment + 1
    assert claims["iat"] < claims["exp"] < claims["iat"] + 3600
    assert claims["nonce"] == "n-1"
    assert claims["acr"] == "urn:mydata:acr:level-1"
    assert claims["amr"] == ["pwd", "otp"]
    assert 0 < len(claims["sub"]) <= 255
    assert claims["sub"].isascii()
    assert claims["sub"].isprintable()
    assert not {"at_hash", "c_hash", "s_hash", "azp"} & set(claims)
    assert userinfo(platform.bank, body["access_token"]).get_json()["sub"] == claims["sub"]


@pytest.mark.row("I-02")
def test_the_subject_is_stable_and_differs_between_people(platform: Platform) -> None:
    first, second = id_token(platform)["sub"], id_token(platform)["sub"]
    bank, other = platform.bank, platform.citizen("citizen2")
    code = answer_of(other.decide(opened(other, bank, bank.push())))["code"]
    assert first == second
    assert read(platform, bank.redeem(code).get_json()["id_token"])[1]["sub"] != first


@pytest.mark.row("I-04", "A-13", "A-14")
def test_a_sign_in_that_is_too_old_is_repeated(platform: Platform) -> None:
    with clock.frozen(clock.now()):
        citizen, bank = platform.citizen(), platform.bank
        clock.advance(timedelta(seconds=100))
        fresh_enough = opened(citizen, bank, bank.push(max_age="200"))
        assert fresh_enough.status_code == 200
        assert opened(citizen, bank, bank.push(max_age="50")).location.startswith("/sign-in")
        assert opened(citizen, bank, bank.push(prompt="login")).location.startswith("/sign-in")
        code = answer_of(citizen.decide(fresh_enough))["code"]
        claims = read(platform, bank.redeem(code).get_json()["id_token"])[1]
        assert claims["auth_time"] == int((clock.now() - timedelta(seconds=100)).timestamp())


@pytest.mark.row("I-05", "A-12")
def test_acr_is_one_of_the_values_that_were_asked_for_or_the_level_that_was_reached(platform: Platform) -> None:
    assert id_token(platform)["acr"] == "urn:mydata:acr:level-1"
    wish = "urn:mydata:acr:level-3 urn:unknown"
    assert id_token(platform, acr_values=wish)["acr"] == "urn:mydata:acr:level-3"
    assert id_token(platform, acr_values="urn:unknown")["acr"] == "urn:mydata:acr:level-1"
    values = ["urn:mydata:acr:level-4", "urn:mydata:acr:level-2"]
    essential = json.dumps({"id_token": {"acr": {"essential": True, "values": values}}})
    assert id_token(platform, claims=essential)["acr"] == "urn:mydata:acr:level-2"


@pytest.mark.row("I-07", "I-09")
def test_claims_come_where_they_were_asked_for(platform: Platform) -> None:
    claims = '{"id_token": {"email": null, "unknown": null, "phone_number": null}, "userinfo": {"birthdate": null}}'
    body = platform.tokens(scope="openid profile", claims=claims)
    in_id_token = read(platform, body["id_token"])[1]
    at_userinfo = userinfo(platform.bank, body["access_token"]).get_json()
    assert in_id_token["email"] == "citizen1@citizen.example"
    assert not {"name", "birthdate", "locale", "unknown", "phone_number"} & set(in_id_token)
    assert set(at_userinfo) == {"sub", "name", "birthdate", "locale"}


@pytest.mark.row("I-09")
def test_what_the_claims_parameter_opens_was_shown_on_the_consent_page(platform: Platform) -> None:
    bank, citizen = platform.bank, platform.citizen()
    plain = opened(citizen, bank, bank.push()).text
    asking = opened(citizen, bank, bank.push(claims='{"userinfo": {"email": null}}')).text
    assert "e-mail" in asking.lower()
    assert asking.lower().count("e-mail") > plain.lower().count("e-mail")


@pytest.mark.row("I-09", "P-19")
@pytest.mark.parametrize(
    "claims",
    [
        '{"userinfo": {"x": {"deep": %s}}}' % ("[" * 400 + "]" * 400),
        '{"userinfo": {"x": {"y": 1e999, "z": %s}}}' % (10**40),
        r'{"id_token": {"x": {"y": "\ud800", "\u0000": null}}}',
        '{"userinfo": {"name": {"essential": true, "values": [1, null, {}]}}, "other": []}',
        '{"userinfo": null, "id_token": {}}',
        "{}",
    ],
)
def test_whatever_else_the_claims_parameter_holds_is_passed_over(platform: Platform, claims: str) -> None:
    answer = pushed(platform.bank, claims=claims)
    assert answer.status_code == 201, answer.text
    citizen = platform.citizen()
    code = answer_of(citizen.decide(opened(citizen, platform.bank, answer.get_json()["request_uri"])))["code"]
    assert set(read(platform, platform.bank.redeem(code).get_json()["id_token"])[1]) <= {
        "iss", "aud", "iat", "exp", "nonce", *CLAIMS,
    }  # fmt: skip
