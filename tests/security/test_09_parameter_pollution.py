"""Class 9: two readers of one request read different things (Keycloak CVE-2026-9689)."""

import re
from urllib.parse import urlencode

import pytest
from flask import Flask

from tests.support.belongings import addresses
from tests.support.callers import ANYONE, CITIZEN, caller_of
from tests.support.platform import ASSERTION_TYPE, Platform, hidden_fields
from tests.support.protocol import dataset_token, opened, refused, userinfo

FORM = "application/x-www-form-urlencoded"


def form_of(platform: Platform, path: str) -> dict[str, str]:
    """A good form for this endpoint."""
    bank, proxy = platform.bank, platform.proxy
    if path == "/par":
        return bank.parameters() | {"client_assertion_type": ASSERTION_TYPE, "client_assertion": bank.assertion()}
    if path == "/outcomes":
        return {"lease": dataset_token(platform).exchange().get_json()["lease"], "outcome": "delivered"}
    form = {"client_assertion_type": ASSERTION_TYPE, "client_assertion": proxy.assertion(), "token": "x"}
    if path == "/token":
        code = {"grant_type": "authorization_code", "code": platform.code(), "code_verifier": bank.verifier}
        return form | code | {"client_assertion": bank.assertion()}
    return form


@pytest.mark.parametrize("path", ["/par", "/token", "/introspect", "/revoke", "/outcomes"])
def test_a_parameter_that_comes_twice_is_refused(platform: Platform, path: str) -> None:
    form = form_of(platform, path)
    url = platform.settings.issuer + path
    for name, value in [*form.items(), ("unknown", "x")]:
        for other in (value, "other", ""):
            encoded = urlencode([*(form | {name: value}).items(), (name, other)])
            headers = {"DPoP": platform.bank.proof("POST", url)} if path == "/token" else {}
            answer = platform.browser().post(path, data=encoded, content_type=FORM, headers=headers)
            refused(answer, 400, "invalid_request")


def test_a_field_of_a_page_that_comes_twice_is_refused(app: Flask) -> None:
    browser, looked_at = app.test_client(), set()
    for rule, method in addresses(app):
        if method == "POST" and caller_of(rule.endpoint) in {ANYONE, CITIZEN}:
            path = re.sub(r"<[^>]*>", "1", rule.rule)
            assert browser.post(path, data={"csrf": ["one", "other"]}).status_code == 400, path
            looked_at.add(rule.endpoint)
    assert {"consent.decide", "counter.ask", "download.ask", "correction.send"} <= looked_at


@pytest.mark.parametrize("path", ["/par", "/token", "/introspect", "/revoke", "/outcomes"])
def test_the_query_is_never_read(platform: Platform, path: str) -> None:
    form = form_of(platform, path)
    headers = {"DPoP": platform.bank.proof("POST", platform.settings.issuer + path)} if path == "/token" else {}
    everything = platform.browser().post(path, query_string=form, content_type=FORM, headers=headers)
    refused(everything, {400, 401})
    beside = dict.fromkeys(form, "overridden")
    answer = platform.browser().post(path, data=form, query_string=beside, headers=headers)
    assert answer.status_code in {200, 201, 204}, answer.text


def test_what_was_pushed_can_not_be_overridden_at_the_authorization_endpoint(platform: Platform) -> None:
    citizen, bank = platform.citizen(), platform.bank
    request_uri = bank.push()
    plain = opened(citizen, bank, request_uri).text
    assert opened(citizen, bank, request_uri, scope="openid email", claims='{"userinfo":{"email":null}}').text == plain


def test_a_doubled_field_of_the_consent_form_is_refused(platform: Platform) -> None:
    citizen, bank = platform.citizen(), platform.bank
    page = opened(citizen, bank, bank.push())
    fields = hidden_fields(page.text)
    action = page.text.split('action="/consent/')[1].split('"')[0]
    answer = citizen.client.post(f"/consent/{action}", data=fields | {"decision": ["deny", "approve"]})
    assert answer.status_code == 400
    assert opened(citizen, bank, bank.push()).status_code == 200


def test_two_credentials_in_one_request_are_refused(platform: Platform) -> None:
    bank, token = platform.bank, platform.tokens()["access_token"]
    headers = {"Authorization": "Basic eDp4", "DPoP": bank.proof("POST", f"{bank.issuer}/token")}
    refused(bank.redeem(platform.code(), headers=headers), 401, "invalid_client")
    refused(bank.post("/par", bank.parameters(client_secret="x")), 401, "invalid_client")
    refused(userinfo(bank, token, query_string={"access_token": token}), 401, "invalid_token")
