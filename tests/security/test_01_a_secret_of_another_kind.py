"""Class 1: an untyped store of single-use things. Each kind of secret, at every endpoint that takes another kind.

Where it happened: Keycloak CVE-2026-4282, Mattermost CVE-2025-12421.
"""

import pytest
from werkzeug.test import TestResponse

from tests.support.platform import Platform
from tests.support.protocol import dataset_token, opened, refused, userinfo

KINDS = ("request_uri", "code", "access token", "dataset token", "lease", "session", "id_token", "assertion", "proof")
HOMES = {
    "authorize": "request_uri",
    "code": "code",
    "userinfo": "access token",
    "exchange": "dataset token",
    "introspect": "dataset token",
    "outcomes": "lease",
    "cookie": "session",
}


def secret_of(platform: Platform, kind: str) -> str:
    """A fresh and usable secret."""
    bank = platform.bank
    if kind == "request_uri":
        return bank.push()
    if kind == "code":
        return platform.code()
    if kind == "session":
        cookie = platform.citizen().client.get_cookie("__Host-mydata")
        assert cookie is not None
        return cookie.value
    if kind == "assertion":
        return bank.assertion()
    if kind == "proof":
        return bank.proof("POST", f"{bank.issuer}/token")
    if kind == "lease":
        return str(dataset_token(platform).exchange().get_json()["lease"])
    if kind == "dataset token":
        return dataset_token(platform).token
    return str(platform.tokens()["id_token" if kind == "id_token" else "access_token"])


def present(platform: Platform, place: str, secret: str) -> TestResponse:
    """Present a secret where another kind is expected, everything else right."""
    bank, proxy = platform.bank, platform.proxy
    if place == "authorize":
        return opened(platform.citizen(), bank, secret)
    if place == "code":
        return bank.redeem(secret)
    if place == "userinfo":
        return userinfo(bank, secret)
    if place == "exchange":
        return proxy.exchange(secret, "ris.personal", jkt=bank.dpop_key.thumbprint)
    if place == "introspect":
        return proxy.post("/introspect", {"token": secret})
    if place == "outcomes":
        return proxy.report(secret, "delivered")
    browser = platform.browser()
    browser.set_cookie("__Host-mydata", secret)
    return browser.get("/record")


@pytest.mark.parametrize("place", HOMES)
def test_a_secret_of_another_kind_is_worth_nothing(platform: Platform, place: str) -> None:
    for kind in KINDS:
        if kind == HOMES[place]:
            continue
        secret = secret_of(platform, kind)
        # With and without the prefix that names the kind: the prefix must not be all that keeps kinds apart.
        for shown in (secret, HOMES_PREFIX.get(place, "") + secret[-43:]):
            answer = present(platform, place, shown)
            if place == "introspect":
                assert answer.get_json() == {"active": False}, kind
            elif place == "cookie":
                assert answer.location.startswith("/sign-in"), kind
            elif place == "authorize":
                assert answer.status_code == 400, kind
                assert "invalid_request_uri" in answer.text
            else:
                refused(answer, {400, 401, 409})


HOMES_PREFIX = {
    "authorize": "urn:ietf:params:oauth:request_uri:",
    "code": "mdc_",
    "userinfo": "mda_",
    "exchange": "mdt_",
    "introspect": "mdt_",
    "outcomes": "mdl_",
    "cookie": "mds_",
}
