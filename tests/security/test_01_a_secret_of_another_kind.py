"""Class 1: an untyped store of single-use things. Each kind of secret, at every endpoint that takes another kind.

Where it happened: Keycloak CVE-2026-4282, Mattermost CVE-2025-12421.
"""

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from authz_server.config import MailSettings, Settings
from authz_server.core import clock
from authz_server.core.secrets import new_secret
from authz_server.identity import browsers, challenges, recovery, sign_in_codes
from authz_server.identity.models import Citizen
from tests.support.platform import PASSWORD, Platform, hidden_fields
from tests.support.protocol import dataset_token, one_time_code, opened, refused, rows, services_of, userinfo

KINDS = (
    "request_uri", "code", "access token", "dataset token", "lease", "session", "id_token", "assertion", "proof",
    "browser", "recovery code", "challenge",
)  # fmt: skip
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
    if kind == "browser":
        return new_secret(browsers.PREFIX)
    if kind in {"recovery code", "challenge"}:
        return of_citizen(platform, kind)
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


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """A server that takes codes by e-mail, if there were a server to send them."""
    mail = MailSettings(host="smtp.example", sender="notices@mydata.example")
    return replace(settings, mail=mail, method_levels={"password_totp": 3, "email_code": 5})


def of_citizen(platform: Platform, kind: str) -> str:
    """A recovery code of the first citizen, or the handle of a challenge to whoever sends no cookie."""
    (row,) = rows(platform, Citizen, username="citizen1")
    now = clock.now()
    with Session(platform.engine) as session, session.begin():
        if kind == "recovery code":
            return recovery.renew(session, row.id, server_secret=services_of(platform).secret, now=now)[0]
        return challenges.issue(
            session, method="passkey", kind="sign_in", browser="x", payload={}, ttl=timedelta(minutes=5), now=now
        )


def test_what_opens_one_way_to_sign_in_opens_no_other(own_platform: Platform) -> None:
    """A code by e-mail, of the authenticator, on paper; the handle of a code, of a new authenticator; cookies."""
    citizen, browser = own_platform.citizen(level=3), own_platform.browser()
    form = hidden_fields(browser.get("/sign-in?method=email_code").text) | {"action": "sign-in"}
    asked = hidden_fields(browser.post("/sign-in/email-code", data=form | {"username": "citizen1"}).text)
    with Session(own_platform.engine) as session:
        cookie = browser.get_cookie("__Host-mydata-form")
        assert cookie is not None
        sent = sign_in_codes.find(session, asked["handle"], browser=cookie.value, now=clock.now())
    assert sent is not None
    by_mail, paper = sent.digits(services_of(own_platform).secret), of_citizen(own_platform, "recovery code")
    handle = hidden_fields(citizen.client.get("/account/methods/password_totp/authenticator").text)["handle"]
    session_cookie = citizen.client.get_cookie("__Host-mydata")
    assert session_cookie is not None
    by_password = form | {"method": "password_totp", "username": "citizen1", "password": PASSWORD}
    for wrong in (by_mail, asked["handle"], handle, session_cookie.value):
        assert browser.post("/sign-in", data=by_password | {"one_time_code": wrong}).status_code == 400, wrong
    for wrong in (one_time_code(citizen), paper, asked["handle"]):
        assert browser.post("/sign-in/email-code", data=asked | {"code": wrong, "action": "sign-in"}).status_code == 400
    for wrong in (handle, session_cookie.value, cookie.value, new_secret(browsers.PREFIX)):
        answer = browser.post("/sign-in/email-code", data=asked | {"handle": wrong, "code": by_mail, "action": "x"})
        assert answer.status_code == 400, wrong
    # Each is still good where it belongs.
    assert browser.post("/sign-in/email-code", data=asked | {"code": by_mail, "action": "sign-in"}).status_code == 303
    other = own_platform.browser()
    form = by_password | {"csrf": hidden_fields(other.get("/sign-in").text)["csrf"], "one_time_code": paper}
    assert other.post("/sign-in", data=form).status_code == 303
