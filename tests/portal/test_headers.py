"""What every page says to browsers, so that nothing of it leaks."""

import re

import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st

from authz_server.portal.headers import PAGE, content_security_policy, source
from tests.support.belongings import OF_AGENCIES, OF_CLIENTS, addresses, belongings
from tests.support.callers import CITIZEN, caller_of
from tests.support.platform import Platform

PAGES = ["/", "/sign-in", "/authorize", "/consent/unknown", "/no-such-page"]


@pytest.mark.parametrize("path", PAGES)
def test_a28_no_page_is_cached_framed_or_referred_to(app: Flask, path: str) -> None:
    answer = app.test_client().get(path, headers={"Accept": "text/html"}, follow_redirects=True)
    assert answer.mimetype == "text/html"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("path", PAGES)
def test_a_page_may_run_no_script_and_load_only_our_style_and_pictures(app: Flask, path: str) -> None:
    answer = app.test_client().get(path, headers={"Accept": "text/html"}, follow_redirects=True)
    policy = dict(part.strip().split(" ", 1) for part in answer.headers["Content-Security-Policy"].split(";"))
    assert policy == {
        "default-src": "'none'",
        "style-src": "'self'",
        "img-src": "'self'",
        "form-action": "'self'",
        "base-uri": "'none'",
        "frame-ancestors": "'none'",
    }
    assert "<script" not in answer.text
    assert " style=" not in answer.text
    assert "<style" not in answer.text


def test_every_answer_at_an_address_of_a_citizen_keeps_itself_to_itself(platform: Platform) -> None:
    """Class 28 of published vulnerabilities and its kin: whatever the address says, nobody in between keeps it."""
    mine, pages = belongings(platform), 0
    for rule, method in addresses(platform.app):
        if rule.arguments & (OF_CLIENTS | OF_AGENCIES):
            continue
        # Also the answers to forms that are refused; signing out is refused too, for its token is missing.
        answer = mine.browser.client.open(mine.path(rule) if rule.endpoint != "static" else "/none", method=method)
        told = f"{method} {rule.rule}: {answer.status}"
        assert answer.status_code < 500, told
        assert answer.headers["X-Content-Type-Options"] == "nosniff", told
        if caller_of(rule.endpoint) == CITIZEN:
            assert answer.headers["Cache-Control"] == "no-store", told
        if answer.mimetype == "text/html":
            pages += 1
            assert {name: answer.headers.get(name) for name in PAGE} == PAGE, told
            policy = answer.headers["Content-Security-Policy"]
            assert policy.startswith("default-src 'none'; "), told
            assert "unsafe" not in policy, told
            assert not re.search(r"<style|\sstyle=|\son[a-z]+=|<script(?![^>]*\ssrc=)", answer.text), told
    assert pages > 20


def test_s05_every_answer_of_an_https_server_demands_https(app: Flask) -> None:
    for path in ("/", "/jwks", "/static/mydata.css"):
        with app.test_client().get(path) as answer:
            assert answer.headers["Strict-Transport-Security"].startswith("max-age=63072000")


def test_an_asset_is_cached_under_the_address_that_changes_with_it(app: Flask) -> None:
    browser = app.test_client()
    address = browser.get("/").text.split('rel="stylesheet" href="')[1].split('"')[0]
    with browser.get(address) as answer:
        assert "immutable" in answer.headers["Cache-Control"]
    with browser.get("/static/mydata.css") as answer:
        assert "immutable" not in answer.headers["Cache-Control"]


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("https://bank.example/callback?a=b", "https://bank.example"),
        ("https://bank.example:8443/", "https://bank.example:8443"),
        ("http://127.0.0.1:5000/cb", "http://127.0.0.1:5000"),
        ("http://[::1]:5000/cb", "http://[::1]:5000"),
        ("https://user@bank.example/", "https://bank.example"),
        ("https://銀行.example/cb", "https://xn--jn2ax2s.example"),
        ("com.example.bank:/callback", "com.example.bank:"),
    ],
)
def test_a_form_may_end_at_the_origin_of_the_redirect_uri(uri: str, expected: str) -> None:
    assert source(uri) == expected
    assert f"form-action 'self' {expected};" in content_security_policy((uri,))


@given(st.text(st.characters(codec="ascii", exclude_characters="#[]"), max_size=30))
def test_no_redirect_uri_can_add_to_the_policy(path: str) -> None:
    policy = content_security_policy((f"https://bank.example/{path}",))
    assert policy == content_security_policy(("https://bank.example/",))
