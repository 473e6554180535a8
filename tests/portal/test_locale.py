"""Which language a page speaks, in the order of who has the say."""

import re

import pytest
from flask import Flask, g

from authz_server.portal import locale
from authz_server.portal.context import heard
from tests.support.tree import ROOT


@pytest.mark.parametrize(
    ("query", "cookie", "account", "client", "browser", "expected"),
    [
        ("en", "zh-TW", "zh-TW", "zh-TW", "zh-TW", "en"),
        ("", "en", "zh-TW", "zh-TW", "zh-TW", "en"),
        ("", "", "en", "zh-TW", "zh-TW", "en"),
        ("", "", "", "en-GB", "zh-TW", "en"),
        ("", "", "", "", "en-US,en;q=0.9", "en"),
        ("", "", "", "", "zh-HK,en;q=0.9", "zh-TW"),
        ("", "", "", "se", "fr-FR,de;q=0.5", "zh-TW"),
        ("klingon", "xx", "", "", "en", "en"),
        ("", "", "", "", "", "zh-TW"),
    ],
)
def test_the_nearest_wish_counts(
    app: Flask, query: str, cookie: str, account: str, client: str, browser: str, expected: str
) -> None:
    headers = {"Cookie": f"lang={cookie}" if cookie else "", "Accept-Language": browser}
    with app.test_request_context("/", query_string={"lang": query} if query else {}, headers=headers):
        g.citizen_locale, g.ui_locales = account or None, client
        assert locale.select() == expected
        assert locale.current() == expected


def test_a_choice_is_remembered(app: Flask) -> None:
    browser = app.test_client()
    assert '<html class="govuk-template" lang="en">' in browser.get("/?lang=en").text
    assert '<html class="govuk-template" lang="en">' in browser.get("/").text
    assert 'lang="zh-Hant-TW">' in browser.get("/?lang=zh-TW").text


def test_the_cookie_of_the_choice_is_out_of_reach_of_scripts_and_http(app: Flask) -> None:
    cookie = app.test_client().get("/?lang=en").headers["Set-Cookie"]
    assert {"Secure", "HttpOnly", "SameSite=Lax", "Path=/"} <= set(cookie.split("; "))


def test_a_language_that_is_not_ours_is_not_remembered(app: Flask) -> None:
    assert "Set-Cookie" not in app.test_client().get("/?lang=en%0d%0aX-Evil:1").headers


def test_the_switch_keeps_the_page(app: Flask) -> None:
    page = app.test_client().get("/?a=1&a=2&lang=en&b=%22%3E")
    assert 'href="?a=1&amp;a=2&amp;b=%22%3E&amp;lang=zh-TW"' in page.text


@pytest.mark.parametrize(("language", "expected"), [("zh-TW", "（甲 &lt;b&gt;、乙）"), ("en", " (甲 &lt;b&gt;, 乙)")])
def test_what_is_heard_alone_stands_in_the_brackets_of_the_language(app: Flask, language: str, expected: str) -> None:
    with app.test_request_context("/", query_string={"lang": language}):
        assert heard("甲 <b>", "", "乙") == f'<span class="govuk-visually-hidden">{expected}</span>'


def test_no_template_brackets_it_otherwise() -> None:
    templates = (ROOT / "authz_server" / "templates").rglob("*.html")
    assert not [path.name for path in templates if re.search(r'visually-hidden">[ (:,]+\{\{ (?!_\()', path.read_text())]
