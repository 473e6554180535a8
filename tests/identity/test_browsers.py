"""Browsers: which kind they are, which are known, and what becomes of that when somebody is signed out."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest
from flask import Flask
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from authz_server.audit.models import AuditEntry
from authz_server.audit.service import Entry, record
from authz_server.core import clock
from authz_server.identity import browsers, open_sessions, sessions
from authz_server.identity.browsers import KEPT, RECORD_KEPT, Browser
from authz_server.identity.models import KNOWN_BROWSER
from authz_server.identity.service import Person
from tests.identity.support import NOW, OTHER_PERSON, PERSON, enrol
from tests.identity.support import Browser as Visitor

CHROMIUM = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"
MINUTE = timedelta(minutes=1)
SESSION, COOKIE = "__Host-mydata", "__Host-mydata-browser"


@pytest.mark.parametrize(
    ("user_agent", "kind"),
    [
        ("Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox/Windows"),
        (CHROMIUM, "Chrome/Linux"),
        (CHROMIUM.replace("X11; Linux x86_64", "Linux; Android 15; K"), "Chrome/Android"),
        (CHROMIUM.replace("X11; Linux x86_64", "Windows NT 10.0") + " Edg/140.0", "Edge/Windows"),
        (CHROMIUM.replace("X11; Linux x86_64", "X11; CrOS x86_64 1"), "Chrome/ChromeOS"),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605 Version/18 Safari/605", "Safari/macOS"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605 Safari/604", "Safari/iPhone"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) CriOS/140 Safari/604", "Chrome/iPhone"),
        ("curl/8", "/"),
        ("", "/"),
    ],
)
def test_the_kind_of_a_browser_is_told_coarsely(user_agent: str, kind: str) -> None:
    assert Browser(secret="", user_agent=user_agent).kind == kind


def events(session: Session) -> list[str]:
    found = session.scalars(select(AuditEntry.event).where(AuditEntry.event.like("sign_in.%")).order_by(AuditEntry.id))
    names = [name.removeprefix("sign_in.") for name in found]
    session.rollback()  # SQLite lets nobody else write while this one reads
    return names


def test_the_first_browser_is_told_of_to_nobody_and_each_further_one_once(session: Session, app: Flask) -> None:
    enrol(session)
    first, second = Visitor(app), Visitor(app)
    for minute, visitor in enumerate([first, first, second, second, first]):
        with clock.frozen(NOW + minute * MINUTE):
            visitor.get("/sign-out")
            visitor.client.delete_cookie(SESSION, domain="id.example")
            assert visitor.sign_in(clock.now()).status_code == 303
    assert events(session) == ["succeeded", "succeeded", "succeeded", "new_device", "succeeded", "succeeded"]


def test_a_browser_is_told_of_also_when_the_record_no_longer_has_the_sign_ins_before(
    session: Session, app: Flask
) -> None:
    enrol(session)
    Visitor(app).sign_in()
    session.execute(delete(AuditEntry))  # as the janitor does once the record is old enough
    session.execute(delete(KNOWN_BROWSER))
    session.commit()
    with clock.frozen(NOW + RECORD_KEPT):
        Visitor(app).sign_in(clock.now())
    assert events(session) == ["succeeded", "new_device"]


def test_the_cookie_of_a_browser_is_for_this_host_https_no_script_and_a_year(session: Session, app: Flask) -> None:
    enrol(session)
    visitor = Visitor(app)
    answer = visitor.sign_in()
    (cookie,) = [header for header in answer.headers.getlist("Set-Cookie") if header.startswith(f"{COOKIE}=")]
    attributes = {part.strip() for part in cookie.split(";")[1:] if "Expires" not in part}
    assert attributes == {"Secure", "HttpOnly", "Path=/", "SameSite=Lax", f"Max-Age={365 * 86400}"}
    secret = visitor.cookie(COOKIE) or ""
    (known,) = session.execute(select(KNOWN_BROWSER))
    assert known.digest == Browser(secret=secret).digest_for(known.citizen_id)
    assert secret.encode() not in known.digest


@pytest.mark.parametrize("forged", ["", "x", "mdb_short", "mdb_" + "x" * 44, "mds_" + "x" * 43])
def test_what_can_not_be_a_cookie_of_ours_is_replaced(session: Session, app: Flask, forged: str) -> None:
    enrol(session)
    visitor = Visitor(app)
    visitor.client.set_cookie(COOKIE, forged, domain="id.example", secure=True)
    visitor.sign_in()
    assert visitor.cookie(COOKIE) not in {forged, None}


def test_a_browser_that_was_not_used_for_a_year_is_a_new_one(session: Session) -> None:
    citizen_id = signed_in_once(session)
    browser = Browser(secret="one")
    assert browsers.recognise(session, citizen_id, browser, now=NOW)
    assert not browsers.recognise(session, citizen_id, browser, now=NOW + KEPT - MINUTE)
    assert browsers.recognise(session, citizen_id, browser, now=NOW + 2 * KEPT)


def test_a_browser_is_known_to_who_has_used_it_alone_and_nothing_joins_the_two(session: Session) -> None:
    mine, other = signed_in_once(session), signed_in_once(session, OTHER_PERSON)
    browser = Browser(secret="one")
    assert browsers.recognise(session, mine, browser, now=NOW)
    assert browsers.recognise(session, other, browser, now=NOW)
    first, second = session.scalars(select(KNOWN_BROWSER.c.digest))
    assert first != second


def test_a_browser_that_was_signed_out_from_elsewhere_is_a_new_one(session: Session) -> None:
    citizen_id = signed_in_once(session)
    here, there = Browser(secret="here"), Browser(secret="there")
    cookies = [opened(session, citizen_id, browser) for browser in (here, there)]
    signed_in = sessions.find(session, cookies[0], now=NOW)
    assert signed_in is not None
    (name,) = [one.name for one in listed(session, citizen_id) if one.session_digest != signed_in.session_digest]
    assert not open_sessions.end_other(session, signed_in, "0" * 32, now=NOW)
    assert open_sessions.end_other(session, signed_in, name, now=NOW)
    assert not open_sessions.end_other(session, signed_in, name, now=NOW)
    assert not browsers.recognise(session, citizen_id, here, now=NOW)
    assert browsers.recognise(session, citizen_id, there, now=NOW)
    other_id = signed_in_once(session, OTHER_PERSON)
    opened(session, other_id, here)
    assert not sessions.end_all(session, citizen_id, now=NOW, but=signed_in.session_digest)
    assert not browsers.recognise(session, citizen_id, here, now=NOW)
    assert browsers.recognise(session, citizen_id, there, now=NOW)
    assert sessions.end_all(session, citizen_id, now=NOW)
    assert browsers.recognise(session, citizen_id, here, now=NOW)
    assert not browsers.recognise(session, other_id, here, now=NOW), "another's stays known to them"


def test_only_a_citizen_s_own_sessions_that_are_not_over_are_listed(session: Session) -> None:
    mine, other = signed_in_once(session), signed_in_once(session, OTHER_PERSON)
    opened(session, other, Browser(secret="theirs"))
    opened(session, mine, Browser(secret="mine", user_agent=CHROMIUM))
    (one,) = listed(session, mine)
    assert (one.browser_kind, one.level, one.methods, one.since) == ("Chrome/Linux", 3, ("password_totp",), NOW)
    assert listed(session, mine, now=NOW + timedelta(minutes=20)) == []


def test_a_session_that_was_stepped_up_counts_from_its_first_proof(session: Session) -> None:
    citizen_id = signed_in_once(session)
    cookie = opened(session, citizen_id, Browser(secret="mine"))
    sessions.open_session(
        session, citizen_id, level=1, amr=("sc",), method="certificate", now=NOW + MINUTE, replaces=cookie
    )
    (one,) = listed(session, citizen_id, now=NOW + MINUTE)
    assert (one.since, one.level, one.methods) == (NOW, 1, ("password_totp", "certificate"))


def signed_in_once(session: Session, person: Person = PERSON) -> int:
    citizen_id = enrol(session, person).citizen_id
    record(session, Entry(at=NOW, event=browsers.SIGNED_IN, success=True, actor="citizen", citizen_id=citizen_id))
    return citizen_id


def opened(session: Session, citizen_id: int, browser: Browser) -> str:
    browsers.recognise(session, citizen_id, browser, now=NOW)
    return sessions.open_session(session, citizen_id, level=3, amr=("pwd", "otp"), now=NOW, browser=browser)


def listed(session: Session, citizen_id: int, now: datetime = NOW) -> Sequence[open_sessions.Open]:
    return open_sessions.open_sessions(session, citizen_id, now=now)
