"""Errors as people read them, and as machines do."""

import re
from unittest.mock import Mock

import pytest
from flask import Flask
from sqlalchemy.exc import OperationalError

from authz_server.consent.errors import RequestNotUsable, WrongCitizen
from authz_server.core.errors import DomainError
from authz_server.identity import sessions
from authz_server.notices import inbox
from authz_server.portal.errors import BY_ERROR
from tests.support.belongings import addresses
from tests.support.platform import CALLBACK, Platform

HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


def test_an_unknown_address_is_a_page_for_people_and_json_for_machines(app: Flask) -> None:
    browser = app.test_client()
    assert "There is no such page" in browser.get("/nowhere?lang=en", headers=HTML).text
    answer = browser.get("/nowhere")
    assert answer.status_code == 404
    assert answer.get_json() == {"error": "invalid_request", "error_description": "Not Found"}


def test_a_part_of_a_file_that_there_is_not_is_answered_with_its_length(app: Flask) -> None:
    browser = app.test_client()
    with (
        browser.get("/static/mark.svg") as whole,
        browser.get("/static/mark.svg", headers={"Range": "bytes=9999999-"}) as answer,
    ):
        assert answer.status_code == 416
        assert answer.headers["Content-Range"] == f"bytes */{len(whole.data)}"  # RFC 9110 section 15.5.17


def test_who_is_signed_in_finds_their_pages_on_the_page_of_an_error(platform: Platform) -> None:
    citizen, nobody = platform.citizen().client, platform.browser()
    for path in ("/nowhere", "/consents/none", "/consent/unknown", "/authorize?client_id=nobody"):
        page = citizen.get(path, headers=HTML)
        assert page.status_code in {400, 404}, path
        assert 'href="/consents"' in page.text, path
        assert 'href="/sign-out"' in page.text, path
        assert 'href="/consents"' not in nobody.get(path, headers=HTML).text, path


def test_an_address_that_there_is_not_is_told_as_that_also_while_the_database_is_away(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    citizen = platform.citizen().client
    away = Mock(side_effect=OperationalError("", {}, Exception("connection refused")))
    with monkeypatch.context() as patch:
        patch.setattr(inbox, "count_unread", away)
        page = citizen.get("/nowhere", headers=HTML)
        assert (page.status_code, 'href="/consents"' in page.text) == (404, True)
    monkeypatch.setattr(sessions, "find", away)
    page = citizen.get("/nowhere", headers=HTML)
    assert (page.status_code, 'href="/consents"' in page.text) == (404, False)


@pytest.mark.parametrize("path", ["/token", "/par", "/introspect", "/revoke", "/outcomes"])
def test_x08_the_back_channel_answers_json_whatever_is_accepted(app: Flask, path: str) -> None:
    answer = app.test_client().get(path, headers=HTML)
    assert answer.status_code == 405
    assert answer.mimetype == "application/json"
    assert "POST" in answer.headers["Allow"]
    assert answer.headers["Cache-Control"] == "no-store"


def test_a_page_that_takes_no_such_method_says_so(app: Flask) -> None:
    answer = app.test_client().put("/record", headers=HTML)
    assert answer.status_code == 405
    assert "GET" in answer.headers["Allow"]
    assert answer.mimetype == "text/html"


def test_a_line_break_in_an_address_is_refused_by_every_page(app: Flask) -> None:
    browser, looked_at = app.test_client(), 0
    for rule, method in addresses(app):
        if "<" in rule.rule:
            answer = browser.open(re.sub(r"<[^>]*>", "a%0d%0ab", rule.rule), method=method, headers=HTML)
            assert answer.status_code in {400, 401, 403, 404, 405}, rule.rule
            looked_at += 1
    assert looked_at > 20


def test_too_large_a_form_is_refused_by_a_page(app: Flask) -> None:
    answer = app.test_client().post("/sign-in", data={"username": "a" * 100_000}, headers=HTML)
    assert answer.status_code == 413
    assert answer.mimetype == "text/html"


def test_the_500_page_says_what_became_of_the_data(app: Flask) -> None:
    app.add_url_rule("/record/broken", "broken", lambda: str(1 / 0))
    answer = app.test_client().get("/record/broken", headers=HTML)
    assert answer.status_code == 500
    assert "keeps none of your data" in answer.text
    assert "不留存您的資料" in answer.text
    assert "ZeroDivisionError" not in answer.text


@pytest.mark.parametrize(("path", "mimetype"), [("/record/down", "text/html"), ("/token/down", "application/json")])
def test_without_its_database_the_server_says_when_to_come_back(app: Flask, path: str, mimetype: str) -> None:
    def fail() -> str:
        raise OperationalError("SELECT secret", {}, Exception("connection refused"))

    app.add_url_rule(path, "down", fail)
    answer = app.test_client().get(path, headers=HTML)
    assert answer.status_code == 503
    assert answer.mimetype == mimetype
    assert answer.headers["Retry-After"] == "30"
    assert "SELECT" not in answer.text


def test_every_error_of_a_request_has_its_explanation() -> None:
    assert {RequestNotUsable.public, WrongCitizen.public} <= set(BY_ERROR)


def test_n_the_stable_words_stand_on_the_page_in_both_languages(app: Flask) -> None:
    for lang in ("en", "zh-TW"):
        answer = app.test_client().get(f"/authorize?client_id=nobody&lang={lang}", headers=HTML)
        assert answer.status_code == 400
        assert "Location" not in answer.headers
        assert "client_id is unknown" in answer.text
        assert "Nothing was sent to it." in answer.text
        assert "沒有送出任何資料給它" in answer.text


def test_other_errors_of_the_domain_never_show_their_detail(app: Flask) -> None:
    def fail() -> str:
        raise DomainError("the detail is for the log")

    app.add_url_rule("/record/refused", "refused", fail)
    answer = app.test_client().get("/record/refused", headers=HTML)
    assert answer.status_code == 400
    assert "the detail" not in answer.text


def test_a_spent_request_leads_back_to_the_client_but_not_to_its_redirect_uri(platform: Platform) -> None:
    citizen = platform.citizen()
    request_uri = platform.bank.push(platform.detail("ris.personal"))
    page = citizen.authorize(platform.bank.client_id, request_uri)
    citizen.decide(page, "deny")
    again = citizen.authorize(platform.bank.client_id, request_uri)
    assert again.status_code == 400
    assert "invalid_request_uri" in again.text
    assert 'id="start-again" href="https://bank.example/"' in again.text
    assert CALLBACK not in again.text


def test_health_is_told_without_a_cookie(app: Flask) -> None:
    answer = app.test_client().get("/health")
    assert answer.status_code == 200
    assert answer.get_json() == {"status": "ok"}
