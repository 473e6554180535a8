"""What the server answers when it has no room: the pages and the JSON that it gives anyway, made beforehand."""

from uuid import uuid4

import pytest
from flask import Flask
from werkzeug.test import Client as Caller

from authz_server.core.admission import RETRY_AFTER_S
from authz_server.portal import busy

HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
TRACE_HEADER = "X-FAPI-Interaction-ID"


@pytest.fixture
def caller(app: Flask) -> Caller:
    return Caller(busy.refusal(app))


@pytest.mark.parametrize("path", ["/token", "/par", "/userinfo", "/introspect", "/revoke"])
def test_the_back_channel_is_told_in_json_when_to_come_back(caller: Caller, path: str) -> None:
    trace_id = str(uuid4())
    answer = caller.post(path, data={"anything": "at all"}, headers={TRACE_HEADER: trace_id})
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, str(RETRY_AFTER_S))
    assert answer.get_json()["error"] == "temporarily_unavailable"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers[TRACE_HEADER] == trace_id


@pytest.mark.parametrize(
    ("path", "language", "headline"),
    [
        ("/authorize", "en", "We are busy or under maintenance"),
        ("/consent/x", "zh-TW", "系統忙碌或維護中"),
        ("/record", "en-GB,zh;q=0.5", "We are busy or under maintenance"),
        ("/record?lang=en", "zh-TW", "We are busy or under maintenance"),
    ],
)
def test_people_are_told_on_a_page_in_their_language(caller: Caller, path: str, language: str, headline: str) -> None:
    trace_id = str(uuid4())
    answer = caller.get(path, headers=HTML | {"Accept-Language": language, TRACE_HEADER: trace_id})
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, str(RETRY_AFTER_S))
    assert f"<h1>{headline}</h1>" in answer.text
    assert trace_id in answer.text
    assert answer.headers[TRACE_HEADER] == trace_id


def test_the_other_language_is_one_click_away_on_the_page_that_was_asked_for(caller: Caller) -> None:
    assert 'href="?lang=en"' in caller.get("/consent/x", headers=HTML).text


def test_a_refusal_has_the_headers_of_every_page(caller: Caller, app: Flask) -> None:
    usual = app.test_client().get("/nowhere", headers=HTML).headers.keys()
    refused = caller.get("/record", headers=HTML).headers.keys()
    assert set(refused) == {*usual, "Retry-After"}


def test_nobody_is_given_a_cookie_or_anybody_elses_trace(caller: Caller) -> None:
    first, second = (caller.get("/record", headers=HTML) for _ in range(2))
    assert first.headers[TRACE_HEADER] != second.headers[TRACE_HEADER]
    assert "Set-Cookie" not in first.headers
