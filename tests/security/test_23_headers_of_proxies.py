"""Class 23: trust in headers that anybody can send (ORY CVE-2026-33495, oauth2-proxy CVE-2026-40575)."""

import pytest

from authz_server.core import jose
from tests.support.platform import Platform
from tests.support.protocol import opened, refused, userinfo

SPOOFED = {
    "X-Forwarded-Host": "attacker.example",
    "X-Forwarded-Proto": "http",
    "X-Forwarded-Port": "8080",
    "X-Forwarded-Prefix": "/attacker",
    "X-Forwarded-For": "127.0.0.1",
    "Forwarded": "host=attacker.example;proto=http",
    "X-Original-URL": "/attacker",
    "X-Rewrite-URL": "/attacker",
    "X-Forwarded-Client-Cert": "Hash=00;Subject=CN=jia-bank",
    "X-SSL-Client-Cert": "MIIB",
    "X-Remote-User": "citizen1",
    "Remote-User": "citizen1",
}


@pytest.mark.parametrize("host", ["attacker.example", "mydata.example:8080", "mydata.example@attacker.example"])
def test_our_name_comes_from_the_settings(platform: Platform, host: str) -> None:
    headers = SPOOFED | {"Host": host}
    for path in ("/.well-known/openid-configuration", "/jwks", "/catalogue"):
        assert "attacker" not in platform.browser().get(path, headers=headers).text
    citizen, bank = platform.citizen(signed_in=False), platform.bank
    answer = citizen.client.get(
        "/authorize", query_string={"client_id": bank.client_id, "request_uri": bank.push()}, headers=headers
    )
    assert answer.location.startswith("/sign-in?")


def test_a_proof_is_for_our_url_whatever_the_request_says(platform: Platform) -> None:
    bank = platform.bank
    for url in ("http://attacker.example/token", "https://attacker.example/token", "http://localhost/token"):
        proof = {"DPoP": bank.proof("POST", url), "Host": "attacker.example"}
        refused(bank.redeem("x", headers=SPOOFED | proof), 400, "invalid_dpop_proof")
    right = {"DPoP": bank.proof("POST", f"{bank.issuer}/token"), "Host": "attacker.example"}
    answer = bank.redeem(platform.code(), headers=SPOOFED | right)
    assert jose.unverified(answer.get_json()["id_token"]).claims["iss"] == platform.settings.issuer
    assert userinfo(bank, answer.get_json()["access_token"], headers=SPOOFED).status_code == 200


def test_nobody_is_signed_in_or_authenticated_by_a_header(platform: Platform) -> None:
    assert platform.browser().get("/record", headers=SPOOFED).location.startswith("/sign-in")
    form = platform.bank.parameters(client_id=platform.bank.client_id)
    refused(platform.browser().post("/par", data=form, headers=SPOOFED), 401, "invalid_client")
    assert opened(platform.citizen(), platform.bank, platform.bank.push()).status_code == 200
