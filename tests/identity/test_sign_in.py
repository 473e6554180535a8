"""The sign-in in a browser: what it opens, and what it refuses."""

from datetime import timedelta

import pytest
from argon2 import PasswordHasher
from sqlalchemy import select
from sqlalchemy.orm import Session

from authz_server.audit.models import AuditEntry
from authz_server.core import clock
from authz_server.identity import passwords, service, totp
from authz_server.identity.models import CITIZEN
from tests.identity.support import (
    NOW,
    OTHER_PERSON,
    PASSWORD,
    PERSON,
    SERVER_SECRET,
    TOTP_SECRET,
    Browser,
    KnownRequests,
    code_at,
    enrol,
)

SESSION_COOKIE = "__Host-mydata"
FORM_COOKIE = "__Host-mydata-form"


def events(session: Session) -> list[tuple[str, str | None, int | None]]:
    columns = (AuditEntry.event, AuditEntry.reason, AuditEntry.citizen_id)
    rows = session.execute(
        select(*columns).where(AuditEntry.event.startswith("sign_in.")).order_by(AuditEntry.id)
    ).all()
    session.rollback()  # SQLite lets nobody else write while this one reads
    return [(event, reason, citizen_id) for event, reason, citizen_id in rows]


def test_right_credentials_open_a_session(session: Session, browser: Browser) -> None:
    citizen_id = enrol(session).citizen_id
    answer = browser.sign_in()
    assert (answer.status_code, answer.location) == (303, "/")
    mine = browser.get("/mine").json
    assert mine == {"name": "測試市民甲", "acr": "urn:mydata:acr:level-3", "amr": ["pwd", "otp", "mfa"]}
    assert events(session) == [("sign_in.succeeded", "password_totp", citizen_id)]


def test_the_session_cookie_is_for_this_host_https_and_no_script(session: Session, browser: Browser) -> None:
    enrol(session)
    cookies = {header.partition("=")[0]: header for header in browser.sign_in().headers.getlist("Set-Cookie")}
    attributes = {part.strip() for part in cookies[SESSION_COOKIE].split(";")[1:]}
    assert attributes == {"Secure", "HttpOnly", "Path=/", "SameSite=Lax"}
    assert cookies[SESSION_COOKIE].startswith(f"{SESSION_COOKIE}=mds_")
    assert "Max-Age=0" in cookies[FORM_COOKIE]
    assert "Secure" in cookies[FORM_COOKIE]


def test_the_form_cookie_is_for_this_host_https_and_no_script(browser: Browser) -> None:
    (cookie,) = browser.get("/sign-in").headers.getlist("Set-Cookie")
    assert {part.strip() for part in cookie.split(";")[1:]} == {"Secure", "HttpOnly", "Path=/", "SameSite=Lax"}


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"username": "nobody"}, "unknown_account"),
        ({"username": ""}, "unknown_account"),
        ({"username": "citizen-a\0"}, "unknown_account"),
        ({"username": "' OR 1=1 --"}, "unknown_account"),
        ({"password": "wrong"}, "wrong_password"),
        ({"password": ""}, "wrong_password"),
        ({"password": PASSWORD * 100}, "wrong_password"),
        ({"one_time_code": "000000"}, "wrong_code"),
        ({"one_time_code": ""}, "wrong_code"),
        ({"one_time_code": "１２３４５６"}, "wrong_code"),
        ({"one_time_code": code_at(NOW - timedelta(seconds=60))}, "wrong_code"),
        ({"one_time_code": code_at(NOW + timedelta(seconds=60))}, "wrong_code"),
    ],
)
def test_whatever_was_wrong_the_answer_is_the_same(
    session: Session, browser: Browser, changed: dict[str, str], reason: str
) -> None:
    citizen_id = enrol(session).citizen_id
    answer = browser.sign_in(**changed)
    assert (answer.status_code, answer.text, browser.page["error"]) == (400, "sign in", "wrong")
    assert browser.cookie(SESSION_COOKIE) is None
    assert not set(browser.page) & {"password", "one_time_code"}
    assert events(session) == [("sign_in.failed", reason, None if reason == "unknown_account" else citizen_id)]


@pytest.mark.parametrize("changed", [{}, {"username": "nobody"}, {"username": "\0"}, {"password": "wrong"}])
def test_an_unknown_account_costs_the_same_work(
    session: Session, browser: Browser, monkeypatch: pytest.MonkeyPatch, changed: dict[str, str]
) -> None:
    enrol(session)
    work = {"hashes": 0, "codes": 0}
    verify, matching_step = passwords.HASHER.verify, totp.matching_step

    class Counting:
        def verify(self, *arguments: str) -> bool:
            work["hashes"] += 1
            return verify(*arguments)

        check_needs_rehash = passwords.HASHER.check_needs_rehash
        hash = passwords.HASHER.hash

    def counting(*arguments: object) -> int | None:
        work["codes"] += 1
        return matching_step(*arguments)  # type: ignore[arg-type] # passed on as they come

    passwords.check_password(None, "the hash for nobody is made once per process")
    monkeypatch.setattr(passwords, "HASHER", Counting())
    monkeypatch.setattr(totp, "matching_step", counting)
    browser.sign_in(**changed)
    assert work == {"hashes": 1, "codes": 1}


def test_a_code_signs_in_once(session: Session, browser: Browser) -> None:
    enrol(session)
    assert browser.sign_in().status_code == 303
    again = Browser(browser.app)
    assert again.sign_in().status_code == 400
    assert events(session)[-1][:2] == ("sign_in.failed", "used_code")
    # Nor does an older one that is still within the window.
    assert again.sign_in(NOW - timedelta(seconds=30)).status_code == 400
    assert again.sign_in(NOW + timedelta(seconds=30)).status_code == 303


def test_user_names_codes_and_composed_characters_are_taken_as_people_type_them(
    session: Session, browser: Browser
) -> None:
    enrol(session)
    service.reset_credentials(
        session,
        "citizen-a",
        password="cafe\u0301 au lait",
        server_secret=SERVER_SECRET,
        now=NOW,
        totp_secret=TOTP_SECRET,
    )
    session.commit()
    code = code_at(NOW)
    typed = {
        "username": " Citizen-A ",
        "password": "caf\u00e9\u00a0au lait",
        "one_time_code": f" {code[:3]} {code[3:]} ",
    }
    assert browser.sign_in(**typed).status_code == 303


def test_signing_in_changes_the_session_and_ends_the_old_one(session: Session, browser: Browser) -> None:
    """Class 29 of published vulnerabilities: session fixation."""
    enrol(session)
    browser.sign_in()
    first = browser.cookie(SESSION_COOKIE)
    clock.advance(timedelta(minutes=1))
    planted = Browser(browser.app)
    planted.client.set_cookie(SESSION_COOKIE, first or "", domain="id.example", secure=True, httponly=True)
    browser.get("/sign-in")
    browser.client.set_cookie(SESSION_COOKIE, "mds_planted", domain="id.example", secure=True, httponly=True)
    assert browser.sign_in(clock.now()).status_code == 303
    assert browser.cookie(SESSION_COOKIE) not in {first, "mds_planted"}
    assert planted.get("/mine").status_code == 200


def test_a_second_sign_in_ends_the_session_that_the_browser_had(
    session: Session, browser: Browser, requests: KnownRequests
) -> None:
    enrol(session)
    browser.sign_in()
    first = browser.cookie(SESSION_COOKIE)
    clock.advance(timedelta(minutes=1))
    requests.add("r1", authenticated_after=clock.now())
    assert browser.sign_in(clock.now(), query="?request=r1").status_code == 303
    old = Browser(browser.app)
    old.client.set_cookie(SESSION_COOKIE, first or "", domain="id.example", secure=True, httponly=True)
    assert old.get("/mine").status_code == 303


def test_a_form_of_another_browser_is_refused(session: Session, browser: Browser) -> None:
    enrol(session)
    foreign = Browser(browser.app)
    foreign.get("/sign-in")
    answer = browser.sign_in(csrf=foreign.page["csrf"])
    assert (answer.status_code, browser.page["error"]) == (403, "form")
    assert browser.resend().status_code == 303


@pytest.mark.parametrize("token", ["", "x", "é" * 43])
def test_a_form_without_its_token_is_refused(session: Session, browser: Browser, token: str) -> None:
    enrol(session)
    assert browser.sign_in(csrf=token).status_code == 403
    assert browser.cookie(SESSION_COOKIE) is None


def test_a_browser_without_cookies_is_told_so(session: Session, browser: Browser) -> None:
    enrol(session)
    browser.get("/sign-in")
    browser.client.delete_cookie(FORM_COOKIE, domain="id.example")
    assert browser.resend().status_code == 403
    assert browser.page["error"] == "form"


def test_a_suspended_citizen_learns_it_only_with_every_credential_right(session: Session, browser: Browser) -> None:
    enrol(session)
    service.suspend(session, "citizen-a", now=NOW)
    session.commit()
    assert browser.sign_in(password="wrong").status_code == 400
    assert browser.sign_in().status_code == 403
    assert browser.page["error"] == "suspended"
    assert browser.cookie(SESSION_COOKIE) is None


def test_a_citizen_suspended_in_mid_session_is_out_at_once_and_for_good(session: Session, browser: Browser) -> None:
    """Class 24 of published vulnerabilities: a deactivated principal still works."""
    enrol(session)
    browser.sign_in()
    service.suspend(session, "citizen-a", now=NOW)
    session.commit()
    assert browser.get("/mine").status_code == 303
    service.resume(session, "citizen-a", now=NOW)
    session.commit()
    assert browser.get("/mine").status_code == 303


def test_an_idle_session_ends_and_a_used_one_lives_on(session: Session, browser: Browser) -> None:
    enrol(session)
    browser.sign_in()
    for _ in range(3):
        clock.advance(timedelta(minutes=15))
        assert browser.get("/mine").status_code == 200
    clock.advance(timedelta(minutes=20))
    assert browser.get("/mine").status_code == 303


def test_a_busy_server_says_when_to_come_back_and_does_not_count_it(
    session: Session, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    enrol(session)
    monkeypatch.setattr(passwords, "LONGEST_WAIT_S", 0.01)
    with passwords._slot(), passwords._slot():
        for _ in range(6):
            answer = browser.sign_in()
            assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert browser.sign_in().status_code == 303
    assert [event for event, *_ in events(session)] == ["sign_in.succeeded"]


def test_a_hash_with_old_parameters_is_made_anew(
    session: Session, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as before:
        before.setattr(passwords, "HASHER", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
        enrol(session)
    assert browser.sign_in().status_code == 303
    clock.advance(timedelta(seconds=30))
    assert stored_hash(session).startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert Browser(browser.app).sign_in(clock.now()).status_code == 303


def stored_hash(session: Session) -> str:
    found = str(session.execute(select(CITIZEN.c.password_hash)).scalar_one())
    session.rollback()
    return found


def test_signing_out_needs_the_button(session: Session, browser: Browser) -> None:
    """Class 29 of published vulnerabilities: logout CSRF."""
    enrol(session)
    browser.sign_in()
    assert browser.get("/sign-out").text == "sign out"
    token = browser.page["csrf"]
    assert browser.post("/sign-out", {}).status_code == 403
    assert browser.post("/sign-out", {"csrf": "x"}).status_code == 403
    assert browser.post("/sign-out", {"csrf": token, "lang": "en"}).text == "sign out"
    assert browser.get("/mine").status_code == 200
    cookie = browser.cookie(SESSION_COOKIE)
    answer = browser.post("/sign-out", {"csrf": token})
    assert (answer.status_code, answer.location) == (303, "/")
    assert browser.cookie(SESSION_COOKIE) is None
    browser.client.set_cookie(SESSION_COOKIE, cookie or "", domain="id.example", secure=True, httponly=True)
    assert browser.get("/mine").status_code == 303
    assert browser.get("/sign-out").location == "/"


def test_two_citizens_get_their_own_sessions(session: Session, browser: Browser) -> None:
    enrol(session)
    enrol(session, OTHER_PERSON, totp_secret=TOTP_SECRET[::-1])
    browser.sign_in()
    other = Browser(browser.app)
    other.sign_in(username="citizen-b", one_time_code=code_at(NOW, TOTP_SECRET[::-1]))
    assert (other.get("/mine").json or {})["name"] == OTHER_PERSON.name
    assert (browser.get("/mine").json or {})["name"] == PERSON.name
