"""Password, authenticator and recovery codes, renewed by the citizen: who may, and what becomes of the old ones."""

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import pyotp
import pytest
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from authz_server import worker
from authz_server.audit.models import AuditEntry
from authz_server.config import Settings
from authz_server.core import clock
from authz_server.identity import csrf, sessions
from authz_server.identity.models import Citizen
from authz_server.notices.wording import SECURITY, TOLD
from tests.support.platform import PASSWORD, CitizenBrowser, Platform, hidden_fields
from tests.support.protocol import WAYS_TO_SHUT_OUT, everything, rows, shut_out
from tests.support.waiting import left_meanwhile

HUB = "/account/methods/password_totp"
PAGES = (f"{HUB}/password", f"{HUB}/authenticator", f"{HUB}/recovery-codes")
NEW_PASSWORD = "another 密碼 of several words"
FIELDS = {"username": "citizen1", "password": PASSWORD}


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Settings with the levels of a real server, and methods that need nothing besides."""
    levels = {"password_totp": 3, "passkey": 2, "two_documents": 4, "health_card": 3, "email_code": 5}
    return replace(settings, method_levels=levels)


@pytest.fixture
def someone(own_platform: Platform) -> CitizenBrowser:
    """A citizen who has just signed in by password and one-time code."""
    return own_platform.citizen(level=3)


def send(browser: CitizenBrowser, path: str, **fields: str) -> TestResponse:
    """Open a form and send it."""
    page = browser.client.get(path)
    assert page.status_code == 200, page.location
    return browser.client.post(path, data=hidden_fields(page.text) | fields)


def change_password(browser: CitizenBrowser) -> TestResponse:
    return send(browser, PAGES[0], password=NEW_PASSWORD, again=NEW_PASSWORD)


def change_authenticator(browser: CitizenBrowser) -> TestResponse:
    page = browser.client.get(PAGES[1])
    code = pyotp.TOTP(new_secret(page.text)).at(clock.now())
    return browser.client.post(PAGES[1], data=hidden_fields(page.text) | {"one_time_code": code})


def renew_codes(browser: CitizenBrowser) -> TestResponse:
    return send(browser, PAGES[2])


RENEWALS: dict[str, Callable[[CitizenBrowser], TestResponse]] = {
    "password.changed": change_password,
    "authenticator.changed": change_authenticator,
    "recovery.renewed": renew_codes,
}


def new_secret(page: str) -> str:
    found = re.search(r'id="secret">([A-Z2-7 ]+)<', page)
    assert found is not None
    return found[1].replace(" ", "")


def codes_of(page: str) -> list[str]:
    return re.findall(r"<li>(\d{4}(?: \d{4}){3})</li>", page)


def try_in(platform: Platform, **fields: str) -> int:
    """The status of a sign-in: 303 if it succeeds."""
    browser = platform.browser()
    form = hidden_fields(browser.get("/sign-in").text) | FIELDS | {"action": "sign-in"} | fields
    return browser.post("/sign-in", data=form).status_code


def old_code(platform: Platform) -> str:
    return pyotp.TOTP(platform.totp_secrets["citizen1"]).at(clock.now())


def test_a_new_password_counts_at_once_and_the_old_one_no_longer(
    someone: CitizenBrowser, own_platform: Platform
) -> None:
    other = own_platform.citizen(level=3)
    answer = change_password(someone)
    assert (answer.status_code, answer.location) == (303, f"{HUB}?password=1")
    assert "Your new password counts from now on" in someone.client.get(f"{HUB}?password=1&lang=en").text
    assert other.client.get("/account").status_code == 303, "signed out"
    assert try_in(own_platform, one_time_code=old_code(own_platform)) == 400
    assert try_in(own_platform, one_time_code=old_code(own_platform), password=NEW_PASSWORD) == 303
    assert "You changed your password" in someone.client.get("/record?lang=en").text


@pytest.mark.parametrize(
    ("password", "again"),
    [("short", "short"), ("", ""), ("x" * 257, "x" * 257), (NEW_PASSWORD, PASSWORD), (NEW_PASSWORD, "")],
)
def test_a_password_that_is_too_short_too_long_or_mistyped_changes_nothing(
    someone: CitizenBrowser, own_platform: Platform, password: str, again: str
) -> None:
    before = rows(own_platform, Citizen)
    answer = send(someone, PAGES[0], password=password, again=again)
    assert answer.status_code == 400
    assert not password or password not in answer.text
    assert rows(own_platform, Citizen) == before


def test_a_new_authenticator_counts_once_it_has_shown_its_code(someone: CitizenBrowser, own_platform: Platform) -> None:
    other = own_platform.citizen(level=3)
    with clock.frozen(clock.now()):
        page = someone.client.get(PAGES[1])
        form, secret = hidden_fields(page.text), new_secret(page.text)
        app = pyotp.TOTP(secret)
        wrong = someone.client.post(PAGES[1], data=form | {"one_time_code": old_code(own_platform)})
        assert (wrong.status_code, new_secret(wrong.text)) == (400, secret), "it was scanned already"
        code = app.at(clock.now())
        answer = someone.client.post(PAGES[1], data=form | {"one_time_code": f"{code[:3]} {code[3:]}"})
        assert (answer.status_code, answer.location) == (303, f"{HUB}?authenticator=1")
        again = someone.client.post(PAGES[1], data=form | {"one_time_code": code})
        assert again.status_code == 400, "a handle is good once"
        assert other.client.get("/account").status_code == 303, "signed out"
        assert try_in(own_platform, one_time_code=old_code(own_platform)) == 400
        assert try_in(own_platform, one_time_code=code) == 400, "the code that confirmed it is spent"
        clock.advance(timedelta(seconds=30))
        assert try_in(own_platform, one_time_code=app.at(clock.now())) == 303
    assert len(rows(own_platform, AuditEntry, event="authenticator.changed")) == 1


def test_the_secret_of_an_authenticator_is_of_one_browser_for_a_quarter_of_an_hour(
    someone: CitizenBrowser, own_platform: Platform
) -> None:
    with clock.frozen(clock.now()):
        page = someone.client.get(PAGES[1])
        form, secret = hidden_fields(page.text), new_secret(page.text)
        assert secret not in str(everything(own_platform)), "it rests nowhere"
        thief, elsewhere = own_platform.citizen("citizen2", level=3), own_platform.citizen(level=3)
        for browser in (thief, elsewhere):
            token = hidden_fields(browser.client.get(PAGES[1]).text)["csrf"]
            code = pyotp.TOTP(secret).at(clock.now())
            answer = browser.client.post(PAGES[1], data=form | {"csrf": token, "one_time_code": code})
            assert answer.status_code == 400
        clock.advance(timedelta(minutes=4))
        code = pyotp.TOTP(secret).at(clock.now())
        assert someone.client.post(PAGES[1], data=form | {"one_time_code": code}).status_code == 303


def test_new_recovery_codes_are_shown_once_and_make_the_old_ones_void(
    someone: CitizenBrowser, own_platform: Platform
) -> None:
    first, second = codes_of(renew_codes(someone).text), codes_of(renew_codes(someone).text)
    assert (len(first), len(second), set(first) & set(second)) == (10, 10, set())
    assert not codes_of(someone.client.get(PAGES[2]).text)
    assert "Recovery codes left: 10" in someone.client.get("/account/methods?lang=en").text
    assert try_in(own_platform, one_time_code=first[0]) == 400
    assert try_in(own_platform, one_time_code=second[0]) == 303
    assert "Left: 9." in someone.client.get(f"{HUB}?lang=en").text
    worker.tick(own_platform.engine, now=clock.now())
    told = someone.client.get("/messages?lang=en").text
    assert "New recovery codes were made for your account" in told
    assert "There was a sign-in to your account with a recovery code" in told


def test_the_language_of_the_page_with_new_codes_can_be_switched(someone: CitizenBrowser) -> None:
    shown = renew_codes(someone)
    switched = someone.client.post(PAGES[2], data=hidden_fields(shown.text) | {"lang": "zh-TW"})
    assert codes_of(switched.text) == codes_of(shown.text)
    assert "您的新復原碼" in switched.text
    assert not codes_of(someone.client.post(PAGES[2], data={"lang": "en", "codes": "1234 5678 9012 3456"}).text)


@pytest.mark.parametrize("event", RENEWALS)
def test_what_was_renewed_is_told_and_that_can_not_be_switched_off(
    someone: CitizenBrowser, own_platform: Platform, event: str
) -> None:
    RENEWALS[event](someone)
    worker.tick(own_platform.engine, now=clock.now())
    assert event in SECURITY
    assert TOLD[event].title.en in someone.client.get("/messages?lang=en").text


def propose(browser: CitizenBrowser) -> TestResponse:
    return send(browser, "/account/contact/email", value="new@example.org")


def forget_email(browser: CitizenBrowser) -> TestResponse:
    return send(browser, "/account/contact/email/remove")


def silence(browser: CitizenBrowser) -> TestResponse:
    return send(browser, "/account/notices")


def leave(browser: CitizenBrowser) -> TestResponse:
    return send(browser, "/account/leave/confirm")


CHANGES: dict[str, Callable[[CitizenBrowser], TestResponse]] = RENEWALS | {
    "contact.proposed": propose,
    "contact.changed": forget_email,
    "choice": silence,
    "account.left": leave,
}


@pytest.mark.parametrize("act", CHANGES.values(), ids=CHANGES.keys())
@pytest.mark.parametrize("shut", WAYS_TO_SHUT_OUT)
def test_who_is_shut_out_while_the_request_is_looked_at_changes_nothing(
    someone: CitizenBrowser,
    own_platform: Platform,
    monkeypatch: pytest.MonkeyPatch,
    act: Callable[[CitizenBrowser], TestResponse],
    shut: str,
) -> None:
    """Whoever has stolen the session would else be the one whom the account is open to later."""
    before = list[object]()

    def shut_and_check(*_seen: Any) -> bool:
        shut_out(own_platform, "citizen1", shut)
        before.append(everything(own_platform))
        return True  # also for a page that has no form, because no channel is configured

    monkeypatch.setattr(csrf, "check", shut_and_check)
    answer = act(someone)
    assert answer.status_code == 303
    assert everything(own_platform) == before[0]


def test_who_renews_an_authenticator_while_they_leave_waits_for_that_and_is_waited_for_by_nobody(
    someone: CitizenBrowser, own_platform: Platform
) -> None:
    """Who leaves erases the question that the new authenticator answers: each would have what the other waits for."""
    (citizen,) = rows(own_platform, Citizen, username="citizen1")
    page = someone.client.get(PAGES[1])
    form = hidden_fields(page.text) | {"one_time_code": pyotp.TOTP(new_secret(page.text)).at(clock.now())}
    send_it = partial(someone.client.post, PAGES[1], data=form)
    answer = left_meanwhile(own_platform.settings, own_platform.engine, citizen.id, send_it)
    assert (answer.status_code, answer.location) == (303, PAGES[1])


@pytest.mark.parametrize("forged", [{}, {"csrf": "x"}])
def test_a_foreign_page_renews_nothing(someone: CitizenBrowser, own_platform: Platform, forged: dict[str, str]) -> None:
    handle = hidden_fields(someone.client.get(PAGES[1]).text)["handle"]
    before = everything(own_platform)
    fields = {"password": NEW_PASSWORD, "again": NEW_PASSWORD, "handle": handle, "one_time_code": "000000"}
    for path in PAGES:
        assert someone.client.post(path, data=fields | forged).status_code == 403
    assert everything(own_platform) == before


@pytest.mark.parametrize(
    ("proofs", "minutes", "lacking"),
    [
        ([(3, "password_totp")], 0, None),
        ([(3, "password_totp")], 6, "level=3&again=1"),
        ([(2, "passkey")], 0, None),
        ([(3, "health_card")], 0, "again=1&second=1"),
        ([(3, "health_card"), (4, "two_documents")], 0, None),
        ([(4, "two_documents")], 0, "level=3&again=1"),
        ([(5, "email_code")], 0, "level=3&again=1"),
    ],
)
def test_renewing_demands_a_fresh_proof_by_this_method_or_what_adding_it_would_demand(
    own_platform: Platform, proofs: list[tuple[int, str]], minutes: int, lacking: str | None
) -> None:
    citizen = own_platform.citizen(signed_in=False)
    (row,) = rows(own_platform, Citizen, username="citizen1")
    with clock.frozen(clock.now()):
        secret = None
        with Session(own_platform.engine) as session, session.begin():
            for level, method in proofs:
                secret = sessions.open_session(
                    session, row.id, level=level, amr=(), method=method, now=clock.now(), replaces=secret
                )
        citizen.client.set_cookie("__Host-mydata", secret or "")
        clock.advance(timedelta(minutes=minutes))
        before = everything(own_platform)
        for path in PAGES:
            for answer in (citizen.client.get(path), citizen.client.post(path, data={"csrf": "x"})):
                if lacking is None:
                    assert answer.status_code in {200, 403}
                else:
                    assert answer.location == f"/sign-in?return_to={path.replace('/', '%2F')}&{lacking}"
        if lacking is not None:
            assert everything(own_platform)["citizen"] == before["citizen"]
        assert citizen.client.get(HUB).status_code == 200


def test_who_has_no_password_has_none_to_renew(someone: CitizenBrowser, own_platform: Platform) -> None:
    with own_platform.engine.begin() as connection:
        connection.execute(Citizen.__table__.update().values(password_hash=None))  # type: ignore[attr-defined]
    for path in (HUB, *PAGES):
        assert someone.client.get(path).status_code == 404
