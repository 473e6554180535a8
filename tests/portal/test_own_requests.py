"""The page on which a developer looks up what their client has asked, where the operator has that kept."""

import html
import logging
import re
from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest
from flask.testing import FlaskClient
from sqlalchemy import func, select
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from authz_server.clients import own_requests, standing
from authz_server.clients import service as clients
from authz_server.clients.models import ClientRequest
from authz_server.config import Settings
from authz_server.core import clock
from authz_server.core.identifiers import TRACE_HEADER
from authz_server.oauth.client_access import QUERY
from tests.support.platform import ISSUER, Bank, Platform, hidden_fields, new_key
from tests.support.protocol import dataset_token, pushed, refused, rows, userinfo, writing

PAGE = "/developer/requests"
AN_HOUR = 3600


@pytest.fixture
def kept_s() -> int:
    return AN_HOUR


@pytest.fixture
def settings(settings: Settings, kept_s: int) -> Settings:
    return replace(settings, limits=replace(settings.limits, client_requests_s=kept_s))


def looked(browser: FlaskClient, assertion: str = "", **fields: str) -> TestResponse:
    """The page after the form that is on it was sent."""
    form = hidden_fields(browser.get(f"{PAGE}?lang=en").text)
    return browser.post(PAGE, data=form | {"assertion": assertion} | fields)


def again(browser: FlaskClient, page: TestResponse, **fields: str) -> TestResponse:
    """The page after the button on it was pressed."""
    return browser.post(PAGE, data=hidden_fields(page.text) | fields)


def listed(page: TestResponse) -> list[str]:
    """Each entry in one line, as a reader sees it, without its time."""
    assert page.status_code == 200, page.text
    entries = re.findall(r"<li>\s*<time.*?</time>(.*?)</li>", page.text, re.DOTALL)
    return [
        " ".join(html.unescape(re.sub(r"<[^>]+>", " ", re.sub(r"</?code[^>]*>", "", entry))).split())
        for entry in entries
    ]


def seen(platform: Platform, bank: Bank | None = None) -> list[str]:
    return listed(looked(platform.browser(), (bank or platform.bank).assertion()))


def test_what_was_asked_is_listed_with_how_and_why(own_platform: Platform) -> None:
    bank, traces = own_platform.bank, [str(uuid4()) for _ in range(2)]
    bank.post("/par", bank.parameters(), {TRACE_HEADER: traces[0]})
    answer = bank.post("/par", bank.parameters(scope="openid nonsense"), {TRACE_HEADER: traces[1]})
    why = refused(answer, 400, "invalid_scope")["error_description"]
    assert seen(own_platform) == [
        f"POST /par: 400 invalid_scope {why} Trace id {traces[1]}",
        f"POST /par: 201 Trace id {traces[0]}",
    ]


def test_of_a_refusal_the_log_and_the_list_say_the_same(
    own_platform: Platform, caplog: pytest.LogCaptureFixture
) -> None:
    bank = own_platform.bank
    with caplog.at_level(logging.INFO):
        refused(bank.redeem("unknown", headers={}), 400, "invalid_dpop_proof")
    (told,) = (record.__dict__["identifiers"] for record in caplog.records if record.message == "request.refused")
    assert told["client_id"] == bank.client_id
    (entry,) = seen(own_platform)
    assert entry.startswith(f"POST /token: 400 invalid_dpop_proof {told['detail']} Trace id ")


def test_an_assertion_that_is_used_twice_is_told_here_alone(own_platform: Platform) -> None:
    bank = own_platform.bank
    assertion = bank.assertion()
    statuses = [pushed(bank, client_assertion=assertion).status_code for _ in range(2)]
    assert statuses == [201, 401]
    assert "POST /par: 401 invalid_client jti seen before Trace id" in seen(own_platform)[0]


def test_whoever_proves_no_client_is_on_no_list(own_platform: Platform) -> None:
    bank = own_platform.bank
    impostor = Bank(bank.client_id, bank.issuer, bank.browser, new_key())
    refused(pushed(impostor), 401, "invalid_client")
    refused(pushed(bank, client_assertion=bank.assertion(aud="x")), 401, "invalid_client")
    refused(pushed(bank, client_id="yi-bank"), 401, "invalid_client")
    refused(bank.post("/par", bank.parameters(client_assertion=None)), 401, "invalid_client")
    assert rows(own_platform, ClientRequest) == []
    assert "Your client has asked nothing lately." in looked(own_platform.browser(), bank.assertion()).text


def test_requests_with_a_token_are_of_the_client_that_has_it(own_platform: Platform) -> None:
    bank = own_platform.bank
    token = own_platform.tokens()["access_token"]
    userinfo(bank, token)
    userinfo(bank, token, proof=bank.proof("GET", f"{ISSUER}/userinfo", token=token, key=new_key()))
    userinfo(bank, "unknown")
    form = {"grant_type": "client_credentials", "scope": QUERY}
    own = bank.post("/token", form, {"DPoP": bank.proof("POST", f"{ISSUER}/token")}).get_json()["access_token"]
    url = f"{ISSUER}/grants/none"
    headers = {"Authorization": f"DPoP {own}", "DPoP": bank.proof("GET", url, token=own)}
    assert bank.browser.get("/grants/none", headers=headers).status_code == 404
    told = [entry.partition(" Trace id")[0] for entry in seen(own_platform)]
    assert told[0].startswith("GET /grants/<grant_id>: 404 ")
    assert told[1:] == [
        "POST /token: 200",
        "GET /userinfo: 401 invalid_dpop_proof the proof is by another key than the token's",
        "GET /userinfo: 200",
        "POST /token: 200",
        "POST /par: 201",
    ]


def test_each_client_sees_its_own_alone(own_platform: Platform) -> None:
    pushed(own_platform.bank)
    dataset_token(own_platform).deliver()
    assert seen(own_platform, own_platform.other_bank) == []
    assert len(seen(own_platform)) == 3
    proxy = own_platform.proxy
    entries = seen(own_platform, Bank(proxy.client_id, ISSUER, proxy.browser, proxy.key))
    assert [entry.partition(" Trace")[0] for entry in entries] == ["POST /token: 200"]


def test_the_assertion_is_used_up(own_platform: Platform) -> None:
    bank, assertion = own_platform.bank, own_platform.bank.assertion()
    assert looked(own_platform.browser(), assertion).status_code == 200
    page = looked(own_platform.browser(), assertion)
    assert page.status_code == 400
    assert "This assertion was used before. Make a new one." in page.text
    refused(pushed(bank, client_assertion=assertion), 401, "invalid_client")


@pytest.mark.parametrize(
    ("changes", "check"),
    [
        ({"aud": "x"}, "aud is not the issuer"),
        ({"sub": "nobody"}, "unknown client"),
        ({"exp": 1}, "exp is missing, past, or too far ahead"),
    ],
)
def test_what_proves_nothing_shows_nothing(own_platform: Platform, changes: dict[str, object], check: str) -> None:
    pushed(own_platform.bank)
    page = looked(own_platform.browser(), own_platform.bank.assertion(**changes))
    assert page.status_code == 400
    assert f'<code class="code" lang="en">{check}</code>' in page.text
    assert "/par" not in page.text


@pytest.mark.parametrize("pasted", ["", " ", "x", "\ufffd", "a.b.c", "é" * 9000])
def test_garbage_is_refused_with_a_page(own_platform: Platform, pasted: str) -> None:
    page = looked(own_platform.browser(), pasted)
    assert page.status_code == 400
    assert "<title>Error: " in page.text


def test_nothing_pasted_is_no_assertion_that_was_refused(own_platform: Platform) -> None:
    page = looked(own_platform.browser(), " ")
    assert page.status_code == 400
    assert "Paste a client assertion first." in page.text
    page = looked(own_platform.browser(), "", lang="zh-TW")
    assert page.status_code == 200
    assert "現在產生的 client assertion" in page.text
    assert "錯誤" not in page.text


@pytest.mark.parametrize("token", ["", "wrong"])
def test_a_form_from_elsewhere_uses_nothing_up(own_platform: Platform, token: str) -> None:
    bank, assertion = own_platform.bank, own_platform.bank.assertion()
    page = looked(own_platform.browser(), assertion, csrf=token)
    assert page.status_code == 403
    assert "The form was too old, or cookies are switched off." in page.text
    assert own_platform.browser().post(PAGE, data={"assertion": assertion}).status_code == 403
    assert pushed(bank, client_assertion=assertion).status_code == 201


def test_a_suspended_client_is_shown_nothing_any_more(own_platform: Platform) -> None:
    browser, bank = own_platform.browser(), own_platform.bank
    pushed(bank)
    page = looked(browser, bank.assertion())
    assert len(listed(page)) == 1
    with writing(own_platform) as session:
        clients.suspend(session, bank.client_id, now=clock.now())
    assert "/par" not in again(browser, page).text
    assert looked(browser, bank.assertion()).status_code == 400


def test_a_client_that_is_suspended_in_this_moment_is_shown_nothing(
    own_platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    pushed(own_platform.bank)
    monkeypatch.setattr(standing, "check", lambda *_, **__: False)
    page = looked(own_platform.browser(), own_platform.bank.assertion())
    assert page.status_code == 400
    assert "unknown or suspended client" in page.text
    assert "/par" not in page.text


class TestLookingAgain:
    """For an hour, and in the browser in which the client was proved."""

    def test_no_other_assertion_is_needed(self, own_platform: Platform) -> None:
        browser = own_platform.browser()
        page = looked(browser, own_platform.bank.assertion())
        assert listed(page) == []
        pushed(own_platform.bank)
        page = again(browser, page)
        assert len(listed(page)) == 1
        assert len(listed(again(browser, page, lang="zh-TW"))) == 1

    def test_an_hour_long(self, own_platform: Platform) -> None:
        browser = own_platform.browser()
        with clock.frozen(clock.now().replace(microsecond=0)):
            page = looked(browser, own_platform.bank.assertion())
            pushed(own_platform.bank)
            clock.advance(timedelta(hours=1) - timedelta(seconds=1))
            assert len(listed(again(browser, page))) == 1
            clock.advance(timedelta(seconds=1))
            assert again(browser, page).status_code == 400

    @pytest.mark.parametrize("changes", [{"client": "yi-bank"}, {"until": "9999999999"}, {"until": ""}, {"pass": "é"}])
    def test_nothing_of_it_can_be_changed(self, own_platform: Platform, changes: dict[str, str]) -> None:
        browser = own_platform.browser()
        pushed(own_platform.bank)
        pushed(own_platform.other_bank)
        page = looked(browser, own_platform.bank.assertion())
        answer = again(browser, page, **changes)
        assert answer.status_code == 400
        assert "/par" not in answer.text

    def test_in_no_other_browser(self, own_platform: Platform) -> None:
        pushed(own_platform.bank)
        page = looked(own_platform.browser(), own_platform.bank.assertion())
        other = own_platform.browser()
        own = hidden_fields(other.get(PAGE).text)
        answer = other.post(PAGE, data=hidden_fields(page.text) | own)
        assert answer.status_code == 400
        assert "/par" not in answer.text


def test_only_the_newest_are_shown(own_platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_requests, "MOST_SHOWN", 2)
    for status in range(3):
        with writing(own_platform) as session:
            own_requests.keep(session, a_request(own_platform, status=200 + status))
    assert [entry.split()[2] for entry in seen(own_platform)] == ["202", "201"]


def test_what_is_too_old_is_not_shown_even_if_it_is_there(own_platform: Platform) -> None:
    with clock.frozen(clock.now()):
        pushed(own_platform.bank)
        clock.advance(timedelta(hours=1))
        assert len(seen(own_platform)) == 1
        clock.advance(timedelta(microseconds=1))
        assert seen(own_platform) == []
        assert len(rows(own_platform, ClientRequest)) == 1


def test_a_long_reason_is_cut(own_platform: Platform) -> None:
    with writing(own_platform) as session:
        own_requests.keep(session, a_request(own_platform, detail="x" * 400))
    (row,) = rows(own_platform, ClientRequest)
    assert row.detail == "x" * 300


def a_request(platform: Platform, status: int = 200, detail: str | None = None) -> ClientRequest:
    who = platform.bank.client_id
    return ClientRequest(
        client_id=who, at=clock.now(), method="POST", endpoint="/par", status=status, error=None, detail=detail
    )


def test_what_was_answered_stands_though_it_can_not_be_listed(
    own_platform: Platform, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def gone(*_: object) -> None:
        raise OperationalError("INSERT", None, Exception("the database is away"))

    monkeypatch.setattr(own_requests, "keep", gone)
    code = own_platform.code(own_platform.detail("ris.personal"))
    answer = own_platform.bank.redeem(code)
    assert answer.status_code == 200
    assert userinfo(own_platform.bank, answer.get_json()["access_token"]).status_code == 200
    assert "client_request.not_kept" in caplog.messages
    assert rows(own_platform, ClientRequest) == []


def test_a_refused_request_changes_nothing_else(own_platform: Platform) -> None:
    code = own_platform.code()
    refused(own_platform.bank.redeem(code, headers={}), 400, "invalid_dpop_proof")
    assert own_platform.bank.redeem(code).status_code == 200


@pytest.mark.parametrize("kept_s", [0])
def test_by_default_nothing_is_kept_and_there_is_no_page(own_platform: Platform) -> None:
    browser = own_platform.browser()
    pushed(own_platform.bank)
    with Session(own_platform.engine) as session:
        assert session.scalar(select(func.count()).select_from(ClientRequest)) == 0
    assert browser.get(PAGE).status_code == 404
    assert browser.post(PAGE, data={"assertion": own_platform.bank.assertion()}).status_code == 404
    assert PAGE not in browser.get("/developer").text


def test_the_page_for_developers_leads_there(own_platform: Platform) -> None:
    assert f'href="{PAGE}"' in own_platform.browser().get("/developer").text
