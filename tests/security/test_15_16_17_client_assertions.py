"""Class 15: a `jti` is taken twice (Hydra CVE-2020-5300, fosite CVE-2020-15222).

Class 16: an absent claim is taken as a good one (ZITADEL CVE-2026-55669, Keycloak CVE-2026-23552). Here assertions and
proofs; agency tickets: tests/client_examples/test_agency_ticket.py; packages: tests/client_examples.
Class 17: an audience that names another server too. Races for one `jti` have tests of their own.
"""

from datetime import timedelta
from typing import Any

import pytest

from authz_server import worker
from authz_server.core import clock
from tests.support.platform import Platform
from tests.support.protocol import dataset_token, pushed, refused, userinfo

ODD: list[Any] = [None, "", "x", 0, -1, 1.5, True, [], {}, ["x"], {"x": 1}, "9" * 5000]


def now() -> int:
    return int(clock.now().timestamp())


@pytest.mark.parametrize("second", ["/par", "/token", "/revoke"])
def test_a_clients_assertion_is_taken_once_whatever_the_endpoint(platform: Platform, second: str) -> None:
    bank = platform.bank
    used = {"client_assertion": bank.assertion()}
    assert bank.post("/par", bank.parameters(**used)).status_code == 201
    code = {"grant_type": "authorization_code", "code": platform.code(), "code_verifier": bank.verifier}
    form = {"/par": bank.parameters(), "/token": code, "/revoke": {"token": "x"}}[second]
    headers = {"DPoP": bank.proof("POST", f"{bank.issuer}/token")} if second == "/token" else None
    refused(bank.post(second, form | used, headers), 401, "invalid_client")


@pytest.mark.parametrize("second", ["/token", "/introspect", "/revoke"])
def test_a_resource_servers_too(platform: Platform, second: str) -> None:
    proxy, fetch = platform.proxy, dataset_token(platform)
    used = {"client_assertion": proxy.assertion()}
    assert proxy.post("/introspect", {"token": "x"} | used).status_code == 200
    if second == "/token":
        refused(fetch.exchange(**used), 401, "invalid_client")
        assert fetch.exchange().status_code == 200
    else:
        refused(proxy.post(second, {"token": "x"} | used), 401, "invalid_client")


def test_it_is_remembered_for_as_long_as_it_could_be_used(platform: Platform) -> None:
    with clock.frozen(clock.now()):
        bank = platform.bank
        assertion = bank.assertion(exp=now() + 300)
        assert pushed(bank, client_assertion=assertion).status_code == 201
        clock.advance(timedelta(seconds=305))
        worker.purge(platform.engine, limits=platform.settings.limits)
        refused(pushed(bank, client_assertion=assertion), 401, "invalid_client")


@pytest.mark.parametrize("ahead_s", [311, 3600, 10**9, 10**18])
def test_an_assertion_for_the_far_future_is_refused(platform: Platform, ahead_s: int) -> None:
    with clock.frozen(clock.now()):  # 311 s ahead is 310 a second later, and that is accepted
        assertion = platform.bank.assertion(exp=now() + ahead_s)
        refused(pushed(platform.bank, client_assertion=assertion), 401)


@pytest.mark.parametrize("claim", ["iss", "sub", "aud", "exp", "jti", "iat", "nbf"])
def test_a_claim_of_an_assertion_that_is_absent_or_odd_is_refused(platform: Platform, claim: str) -> None:
    for value in ODD:
        if (claim in {"iat", "nbf"} and (value is None or value in (0, -1, 1.5))) or (claim, value) == ("jti", "x"):
            continue  # these two may be missing or past; any short text is a jti
        if claim in {"iat", "nbf"} and value is True:
            value = "now"
        answer = pushed(platform.bank, client_assertion=platform.bank.assertion(**{claim: value}))
        refused(answer, 401, "invalid_client")


@pytest.mark.parametrize("claim", ["jti", "htm", "htu", "iat", "ath"])
def test_a_claim_of_a_proof_that_is_absent_or_odd_is_refused(platform: Platform, claim: str) -> None:
    bank, token = platform.bank, platform.tokens()["access_token"]
    for value in ODD:
        if claim == "jti" and isinstance(value, str) and value:
            continue
        proof = bank.proof("GET", f"{bank.issuer}/userinfo", token=token, **{claim: value})
        refused(userinfo(bank, token, proof=proof), 401, "invalid_dpop_proof")


@pytest.mark.parametrize(
    "wrap", [list, lambda issuer: {issuer: 1}, lambda issuer: [issuer], lambda issuer: f"{issuer} x"]
)
def test_the_audience_is_one_string(platform: Platform, wrap: Any) -> None:
    bank = platform.bank
    refused(pushed(bank, client_assertion=bank.assertion(aud=wrap(bank.issuer))), 401, "invalid_client")
