"""Class 18: `cnf` is not enforced on one path (Duende CVE-2024-49755). The proxy's own path: tests/resource_proxy."""

import pytest

from tests.support.platform import Platform, new_key
from tests.support.protocol import dataset_token, refused, userinfo


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("how", ["no proof", "another key", "as Bearer", "as Bearer without proof", "another token"])
def test_a_bound_token_opens_userinfo_with_its_own_key_only(platform: Platform, method: str, how: str) -> None:
    bank, token = platform.bank, platform.tokens()["access_token"]
    url = f"{bank.issuer}/userinfo"
    proofs = {
        "no proof": "",
        "another key": bank.proof(method, url, token=token, key=new_key()),
        "as Bearer": bank.proof(method, url, token=token),
        "as Bearer without proof": "",
        "another token": bank.proof(method, url, token="mda_" + "x" * 43),
    }
    scheme = "Bearer" if "Bearer" in how else "DPoP"
    refused(userinfo(bank, token, method=method, scheme=scheme, proof=proofs[how]), 401)
    assert userinfo(bank, token, method=method).status_code == 200


def test_a_bound_dataset_token_is_exchanged_for_its_own_key_only(platform: Platform) -> None:
    fetch = dataset_token(platform)
    for jkt in (new_key().thumbprint, "", "x" * 43, fetch.platform.bank.dpop_key.thumbprint.lower()):
        refused(fetch.exchange(dpop_jkt=jkt), 400, "invalid_request")
    assert fetch.exchange().status_code == 200


def test_tokens_are_bound_to_the_key_of_the_redemption(platform: Platform) -> None:
    bank, key = platform.bank, new_key()
    body = bank.redeem(platform.code(), headers={"DPoP": bank.proof("POST", f"{bank.issuer}/token", key=key)})
    token = body.get_json()["access_token"]
    refused(userinfo(bank, token), 401, "invalid_dpop_proof")
    own = bank.proof("GET", f"{bank.issuer}/userinfo", key=key, token=token)
    assert userinfo(bank, token, proof=own).status_code == 200
