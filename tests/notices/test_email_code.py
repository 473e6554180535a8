"""A code by e-mail: it goes to the verified address alone, opens the member area once, tells nothing of accounts."""

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from authz_server.audit.models import AuditEntry
from authz_server.config import MailSettings, Settings
from authz_server.core import clock
from authz_server.identity.models import CitizenSession
from tests.notices.conftest import SENDER
from tests.notices.support import Hands
from tests.notices.test_email import text_of
from tests.support.platform import Platform, hidden_fields
from tests.support.protocol import another, everything, rows
from tests.support.smtp import PostOffice

PATH = "/sign-in/email-code"
MAILBOX = "citizen1@citizen.example"
AHEAD = timedelta(seconds=10)  # of another host's clock


@pytest.fixture
def settings(settings: Settings, office: PostOffice) -> Settings:
    """A server that can send e-mail, and takes codes."""
    mail = MailSettings(host="127.0.0.1", port=office.port, sender=SENDER, tls="none")
    return replace(settings, mail=mail, method_levels={"password_totp": 3, "email_code": 5})


@pytest.fixture
def browser(own_platform: Platform, hands: Hands) -> FlaskClient:
    """Somebody's browser; nothing is left to be told."""
    return own_platform.browser()


def ask(browser: FlaskClient, username: str = "citizen1", query: str = "") -> TestResponse:
    """Have a code sent."""
    form = hidden_fields(browser.get(f"/sign-in?method=email_code&lang=en{query}").text) | {"username": username}
    return browser.post(PATH, data=form | {"action": "sign-in"})


def answer(browser: FlaskClient, page: TestResponse, code: str, **changes: str) -> TestResponse:
    """Type the code into the page that came."""
    return browser.post(PATH, data=hidden_fields(page.text) | {"code": code, "action": "sign-in"} | changes)


def letters(hands: Hands, office: PostOffice) -> list[str]:
    """To whom letters go now."""
    office.recipients.clear()
    office.letters.clear()
    hands.tick()
    hands.deliver("email")
    return list(office.recipients)


def code_of(hands: Hands, office: PostOffice) -> str:
    assert letters(hands, office) == [MAILBOX]
    found = re.search(r"Code: (\d{6})\b", text_of(office.letters[-1]))
    assert found is not None
    return found[1]


def now_where_it_says(change: dict[str, str | None]) -> dict[str, Any]:
    return {name: clock.now() if value == "now" else value for name, value in change.items()}


def test_the_code_opens_the_member_area_once_and_no_more(
    browser: FlaskClient, own_platform: Platform, hands: Hands, office: PostOffice
) -> None:
    page = ask(browser)
    code = code_of(hands, office)
    assert code not in str(everything(own_platform)), "nothing of it rests"
    assert "Somebody wants to sign in to your pages" in text_of(office.letters[-1])
    assert "List-Unsubscribe" not in office.letters[-1]
    signed_in = answer(browser, page, f"{code[:3]} {code[3:]}")
    assert (signed_in.status_code, signed_in.location) == (303, "/")
    (row,) = rows(own_platform, CitizenSession)
    assert (row.level, row.amr) == (5, ["otp"])
    assert "A code to sign in was sent to your e-mail address" in browser.get("/record?lang=en").text
    browser.delete_cookie("__Host-mydata")
    assert answer(browser, page, code).status_code in {400, 403}
    assert len(rows(own_platform, CitizenSession)) == 1


@pytest.mark.parametrize("unreached", ["nobody", "no address", "not verified", "suspended", "é" * 70, ""])
def test_the_answer_is_the_same_where_nobody_can_be_reached(
    own_platform: Platform, hands: Hands, office: PostOffice, unreached: str
) -> None:
    changes: dict[str, Any] = {
        "no address": {"email": None},
        "not verified": {"email_verified_at": None},
        "suspended": {"suspended_at": clock.now()},
    }
    known = ask(own_platform.browser(), "citizen2")
    if unreached in changes:
        hands.change(**changes[unreached])
    username = "citizen1" if unreached in changes else unreached
    browser = own_platform.browser()
    page = ask(browser, username)
    typed = re.compile(r'value="[^"]*"')
    assert (page.status_code, typed.sub("", page.text)) == (known.status_code, typed.sub("", known.text))
    assert letters(hands, office) == ["citizen2@citizen.example"]
    wrong = answer(browser, page, "000000")
    assert (wrong.status_code, "The code is not right" in wrong.text) == (400, True)


def test_a_code_is_of_the_browser_that_asked_and_for_ten_minutes(
    browser: FlaskClient, own_platform: Platform, hands: Hands, office: PostOffice
) -> None:
    page = ask(browser)
    code = code_of(hands, office)
    thief = own_platform.browser()
    theirs = ask(thief, "nobody")
    handle = hidden_fields(page.text)["handle"]
    assert answer(thief, theirs, code).status_code == 400
    assert answer(thief, theirs, code, handle=handle).status_code == 400
    clock.advance(timedelta(minutes=10))
    assert answer(browser, page, code).status_code == 400
    assert not rows(own_platform, CitizenSession)


def test_five_wrong_codes_lock_the_method_for_the_account_in_every_browser(
    browser: FlaskClient, own_platform: Platform, hands: Hands, office: PostOffice
) -> None:
    page = ask(browser)
    code = code_of(hands, office)
    statuses = [answer(browser, page, another(code), username=f"other-{number}").status_code for number in range(5)]
    assert statuses == [400, 400, 400, 400, 429]
    assert answer(browser, page, code).status_code == 429
    clock.advance(timedelta(minutes=1, seconds=1))
    second = own_platform.browser()
    more = ask(second)
    assert letters(hands, office) == [MAILBOX, MAILBOX], "that it is locked, and one more code"
    found = [match[1] for letter in office.letters if (match := re.search(r"Code: (\d{6})\b", text_of(letter)))]
    assert answer(second, more, found[0]).status_code == 429
    assert [row.reason for row in rows(own_platform, AuditEntry, event="sign_in.locked")] == ["too_many_failures"]
    assert not rows(own_platform, CitizenSession)


@pytest.mark.parametrize("username", ["citizen1", "nobody"])
def test_after_each_code_there_is_a_pause_and_five_are_sent_in_a_day(
    own_platform: Platform, hands: Hands, office: PostOffice, username: str
) -> None:
    sent = 0
    for number in range(7):
        page = ask(own_platform.browser(), username)
        assert page.status_code == (200 if number < 5 else 429)
        assert ask(own_platform.browser(), username).status_code == 429
        sent += len(letters(hands, office))
        clock.advance(timedelta(minutes=1))
    assert sent == (5 if username == "citizen1" else 0)
    clock.advance(timedelta(days=1))
    assert ask(own_platform.browser(), username).status_code == 200


def test_one_address_asks_for_fifty_in_a_day(own_platform: Platform, hands: Hands) -> None:
    statuses = [ask(own_platform.browser(), f"name-{number}").status_code for number in range(51)]
    assert statuses == [200] * 50 + [429]


def test_who_asks_from_an_address_that_gets_no_more_codes_takes_none_from_anybody(
    own_platform: Platform, hands: Hands, office: PostOffice
) -> None:
    for number in range(50):
        assert ask(own_platform.browser(), f"name-{number}").status_code == 200
    for _ in range(6):
        assert ask(own_platform.browser()).status_code == 429
        clock.advance(timedelta(minutes=1))
    assert ask(own_platform.browser()).status_code == 429
    elsewhere = own_platform.browser()
    elsewhere.environ_base["REMOTE_ADDR"] = "192.0.2.77"
    assert ask(elsewhere).status_code == 200
    assert letters(hands, office) == [MAILBOX]


@pytest.mark.parametrize(
    "change",
    [
        {"email": "thief@elsewhere.example", "email_verified_at": "now"},
        {"email": None, "email_verified_at": None},
    ],
)
def test_a_code_that_was_asked_for_before_the_address_changed_goes_nowhere_and_opens_nothing(
    browser: FlaskClient, own_platform: Platform, hands: Hands, office: PostOffice, change: dict[str, str | None]
) -> None:
    page, sent_before = ask(browser), own_platform.browser()
    hands.tick()
    clock.advance(timedelta(seconds=1))
    hands.change(**now_where_it_says(change))
    assert letters(hands, office) == []
    hands.change(email=MAILBOX, email_verified_at=clock.now() - timedelta(hours=1))
    clock.advance(timedelta(minutes=1))
    page = ask(sent_before)
    code = code_of(hands, office)
    clock.advance(timedelta(seconds=1))
    hands.change(**now_where_it_says(change))
    assert answer(sent_before, page, code).status_code == 400
    assert not rows(own_platform, CitizenSession)


def test_a_code_that_a_host_sends_right_after_another_whose_clock_is_ahead_has_verified_the_address_opens(
    browser: FlaskClient, own_platform: Platform, hands: Hands, office: PostOffice
) -> None:
    hands.change(email_verified_at=clock.now() + AHEAD)
    page = ask(browser)
    assert answer(browser, page, code_of(hands, office)).status_code == 303
    assert rows(own_platform, CitizenSession)


def test_a_code_for_an_address_that_a_host_replaces_whose_clock_is_behind_goes_nowhere_and_opens_nothing(
    browser: FlaskClient, own_platform: Platform, hands: Hands, office: PostOffice
) -> None:
    page = ask(browser)
    code = code_of(hands, office)
    clock.advance(timedelta(minutes=1))
    unsent = own_platform.browser()
    ask(unsent)
    clock.advance(timedelta(seconds=1))
    hands.change(email="thief@elsewhere.example", email_verified_at=clock.now() - AHEAD)
    assert letters(hands, office) == []
    assert answer(browser, page, code).status_code == 400
    assert not rows(own_platform, CitizenSession)


def test_the_address_comes_from_the_record_whatever_is_sent(
    browser: FlaskClient, hands: Hands, office: PostOffice
) -> None:
    """Class 30: redirection of a code."""
    form = hidden_fields(browser.get("/sign-in?method=email_code").text)
    form |= {"username": "citizen1", "email": "thief@elsewhere.example", "to": "thief@elsewhere.example"}
    browser.post(PATH, data=form | {"action": "sign-in"})
    assert letters(hands, office) == [MAILBOX]


@pytest.mark.parametrize("suspended", [True, False])
def test_the_last_word_is_with_the_account(
    browser: FlaskClient, hands: Hands, office: PostOffice, suspended: bool
) -> None:
    page = ask(browser)
    code = code_of(hands, office)
    changed: Any = {"suspended_at" if suspended else "frozen_at": clock.now()}
    hands.change(**changed)
    assert answer(browser, page, code).status_code == (403 if suspended else 303)


def test_where_a_level_is_demanded_it_is_not_offered(browser: FlaskClient, own_platform: Platform) -> None:
    for query in ("&level=4", "&again=1", "&second=1"):
        page = browser.get(f"/sign-in?method=email_code{query}")
        assert "email_code" not in page.text, query
    page = browser.get("/authorize", query_string={"client_id": "jia-bank", "request_uri": own_platform.bank.push()})
    waiting = browser.get(page.location)
    assert "email_code" not in waiting.text
    form = hidden_fields(waiting.text) | {"method": "email_code", "username": "citizen1", "action": "sign-in"}
    assert browser.post(PATH, data=form).status_code == 400
    assert not rows(own_platform, AuditEntry, event="sign_in.code_sent")


def test_switching_the_language_keeps_what_was_begun(browser: FlaskClient, hands: Hands, office: PostOffice) -> None:
    page = ask(browser)
    switched = browser.post(PATH, data=hidden_fields(page.text) | {"lang": "zh-TW"})
    assert "六位數驗證碼" in switched.text
    assert answer(browser, switched, code_of(hands, office)).status_code == 303


@pytest.mark.parametrize("break_it", [lambda form: form.pop("csrf"), lambda form: form.update(csrf="x")])
def test_a_foreign_page_has_no_code_sent(
    browser: FlaskClient, own_platform: Platform, break_it: Callable[[dict[str, str]], object]
) -> None:
    form = hidden_fields(browser.get("/sign-in?method=email_code").text) | {"username": "citizen1"}
    break_it(form)
    assert browser.post(PATH, data=form).status_code == 403
    assert not rows(own_platform, AuditEntry, event="sign_in.code_sent")


def test_the_code_is_sent_also_while_time_goes_on(own_platform: Platform, office: PostOffice) -> None:
    mail = MailSettings(host="127.0.0.1", port=office.port, sender=SENDER, tls="none")
    hands = Hands(own_platform, mail=mail)
    ask(own_platform.browser())
    hands.tick()
    hands.deliver("email")
    assert any("Code: " in text_of(letter) for letter in office.letters)
