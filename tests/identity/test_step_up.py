"""One session, several proofs: first use by two methods, a stronger method in mid-flow, a page that demands more."""

from dataclasses import replace
from datetime import timedelta
from functools import partial

import pytest
from flask import Flask
from sqlalchemy import Engine, select, update
from sqlalchemy.orm import Session

from authz_server.audit.models import AuditEntry
from authz_server.config import Settings
from authz_server.core import clock
from authz_server.identity import service as accounts
from authz_server.identity import views
from authz_server.identity.methods.password_totp import PASSWORD_TOTP
from authz_server.identity.models import CITIZEN
from authz_server.tokens import withdrawal
from tests.identity.second_method import SecondMethod
from tests.identity.support import (
    NOW,
    OTHER_PERSON,
    PERSON,
    TOTP_SECRET,
    Browser,
    KnownRequests,
    code_at,
    enrol,
    in_the_moment_of_a_sign_in,
)

SESSION_COOKIE = "__Host-mydata"


@pytest.fixture
def settings(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings of a server with two methods."""
    monkeypatch.setattr(views, "METHODS", (PASSWORD_TOTP, SecondMethod()))
    return replace(settings, method_levels={"password_totp": 3, "two_documents": 4})


def offered(browser: Browser) -> list[str]:
    return [method.id for method in browser.page["methods"]]


def second(browser: Browser) -> str | None:
    """Send the second method's form of the page that is open; where it leads."""
    return browser.resend(method="two_documents", national_id=PERSON.national_id).location


def verified(session: Session) -> object:
    found = session.execute(select(CITIZEN.c.verified_at).where(CITIZEN.c.username == PERSON.username)).scalar_one()
    session.rollback()
    return found


def test_the_first_use_needs_a_second_method_and_the_request_goes_on(
    session: Session, browser: Browser, requests: KnownRequests
) -> None:
    enrol(session, checked_in_person=False)
    requests.add("r1", needed_level=3)
    assert browser.sign_in(query="?request=r1").location == "/consent/r1"
    assert browser.get("/sign-in?request=r1").status_code == 200
    assert (browser.page["reason"], offered(browser)) == ("second", ["two_documents"])
    assert browser.page["visit"].first_use
    clock.advance(timedelta(seconds=30))
    assert browser.resend(clock.now()).status_code == 400  # the same one again is no second one
    assert verified(session) is None
    browser.get("/sign-in?request=r1")
    assert second(browser) == "/consent/r1"
    assert browser.get("/sign-in?request=r1").location == "/consent/r1"
    assert (browser.get("/mine").json or {})["amr"] == ["pwd", "otp", "mfa", "kba"]
    assert verified(session) == clock.now()
    events = session.scalars(select(AuditEntry.event).where(AuditEntry.event == "account.verified")).all()
    assert len(events) == 1


def test_a_freeze_in_the_moment_of_the_second_method_waits_and_then_ends_what_came_of_it(
    session: Session, browser: Browser, requests: KnownRequests, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    citizen_id = enrol(session, checked_in_person=False).citizen_id
    requests.add("r1", needed_level=3)
    browser.sign_in(query="?request=r1")
    browser.get("/sign-in?request=r1")
    freeze = partial(withdrawal.freeze, citizen_id=citizen_id, actor="operator", reason="by_operator", now=NOW)
    with in_the_moment_of_a_sign_in(engine, monkeypatch, freeze):
        assert second(browser) == "/consent/r1"
    assert verified(session) is not None
    assert browser.get("/mine").status_code == 303


@pytest.mark.parametrize("shut", ["suspended", "frozen"])
def test_an_account_that_is_shut_in_the_moment_of_a_sign_in_is_shut_after_it_and_ends_what_came_of_it(
    session: Session, browser: Browser, engine: Engine, monkeypatch: pytest.MonkeyPatch, shut: str
) -> None:
    citizen_id = enrol(session).citizen_id
    browser.get("/sign-in")
    freeze = partial(withdrawal.freeze, citizen_id=citizen_id, actor="operator", reason="by_operator", now=NOW)
    suspend = partial(accounts.suspend, username=PERSON.username, now=NOW)
    with in_the_moment_of_a_sign_in(engine, monkeypatch, suspend if shut == "suspended" else freeze):
        assert second(browser) == "/"
    with Session(engine) as other, other.begin():
        other.execute(update(CITIZEN).values(suspended_at=None, frozen_at=None))
    assert browser.get("/mine").status_code == 303


def test_once_verified_one_method_is_enough_for_good(
    session: Session, browser: Browser, requests: KnownRequests
) -> None:
    enrol(session, checked_in_person=False)
    requests.add("r1", needed_level=4)
    browser.sign_in(query="?request=r1")
    browser.get("/sign-in?request=r1")
    second(browser)
    clock.advance(timedelta(minutes=1))
    later = Browser(browser.app)
    assert later.sign_in(clock.now(), query="?request=r1").location == "/consent/r1"
    assert later.get("/sign-in?request=r1").location == "/consent/r1"


def test_two_methods_in_two_sessions_are_not_two_in_one(
    session: Session, browser: Browser, requests: KnownRequests
) -> None:
    enrol(session, checked_in_person=False)
    requests.add("r1", needed_level=4)
    browser.sign_in()
    other = Browser(browser.app)
    other.get("/sign-in")
    assert second(other) == "/"
    assert verified(session) is None


def test_a_weaker_session_is_offered_what_is_stronger_and_says_for_what(
    session: Session, browser: Browser, requests: KnownRequests
) -> None:
    enrol(session)
    requests.add("r1", needed_level=3)
    browser.get("/sign-in")
    second(browser)
    weak = browser.cookie(SESSION_COOKIE)
    assert browser.get("/sign-in?request=r1").status_code == 200
    assert (browser.page["reason"], offered(browser)) == ("level", ["password_totp"])
    assert browser.resend().location == "/consent/r1"
    assert (browser.get("/mine").json or {})["acr"] == "urn:mydata:acr:level-3"
    assert browser.cookie(SESSION_COOKIE) != weak
    planted = Browser(browser.app)
    planted.client.set_cookie(SESSION_COOKIE, weak or "", domain="id.example", secure=True, httponly=True)
    assert planted.get("/mine").status_code == 303  # class 29: the identifier changes when the session steps up


@pytest.mark.parametrize(("needed", "lifted"), [(2, True), (3, False)])
def test_the_page_says_where_a_method_is_enough_in_the_sandbox_only(
    app: Flask, requests: KnownRequests, needed: int, lifted: bool
) -> None:
    known = app.extensions["mydata"]
    levels = {"password_totp": 2}
    app.extensions["mydata"] = replace(known, settings=replace(known.settings, sandbox=True, method_levels=levels))
    requests.add("r1", needed_level=needed)
    browser = Browser(app)
    browser.get("/sign-in?request=r1")
    assert (offered(browser), browser.page["in_sandbox_only"]) == (["password_totp"], lifted)


def asked_of_another(session: Session, browser: Browser, requests: KnownRequests) -> dict[str, str]:
    """A session is to be stepped up; the proof of somebody else, which is right."""
    enrol(session)
    enrol(session, OTHER_PERSON, totp_secret=TOTP_SECRET[::-1])
    requests.add("r1", needed_level=3)
    browser.get("/sign-in")
    second(browser)
    browser.get("/sign-in?request=r1")
    return {"username": OTHER_PERSON.username, "one_time_code": code_at(NOW, TOTP_SECRET[::-1])}


def test_another_citizens_proof_does_not_step_up_a_session(
    session: Session, browser: Browser, requests: KnownRequests
) -> None:
    theirs = asked_of_another(session, browser, requests)
    answer = browser.resend(**theirs)
    assert (answer.status_code, browser.page["error"]) == (403, "other")
    assert (browser.get("/mine").json or {})["name"] == PERSON.name
    failed = select(AuditEntry.reason).where(AuditEntry.event == "sign_in.failed")
    assert session.scalars(failed).all() == ["another_citizen"]


def test_whose_proof_was_right_is_not_locked_out_for_bringing_it_to_somebody_elses_session(
    session: Session, browser: Browser, requests: KnownRequests
) -> None:
    theirs = asked_of_another(session, browser, requests)
    for _ in range(5):
        assert (browser.resend(**theirs).status_code, browser.page["error"]) == (403, "other")
    own = Browser(browser.app)
    own.get("/sign-in")
    assert own.resend(**theirs).status_code == 303


@pytest.mark.parametrize(
    ("query", "reason", "methods"),
    [
        ("&again=1", "again", ["password_totp", "two_documents"]),
        ("&second=1", "second", ["two_documents"]),
        ("&level=2", "level", []),
        ("&level=3&again=1", "again", ["password_totp"]),
        ("&level=9", None, None),
        ("&level=x&again=2", None, None),
    ],
)
def test_a_page_can_demand_more_and_the_form_is_shown_for_it(
    session: Session, browser: Browser, query: str, reason: str | None, methods: list[str] | None
) -> None:
    enrol(session)
    browser.sign_in()
    clock.advance(timedelta(minutes=6))
    answer = browser.get(f"/sign-in?return_to=/mine{query}")
    if reason is None:
        assert answer.location == "/mine"
        return
    assert answer.status_code == 200
    assert (browser.page["reason"], offered(browser)) == (reason, methods)


def test_what_a_page_demands_survives_a_wrong_form_and_ends_when_it_is_met(session: Session, browser: Browser) -> None:
    enrol(session)
    browser.sign_in()
    browser.get("/sign-in?return_to=/mine&second=1")
    assert browser.resend(method="two_documents", national_id="").status_code == 400
    assert browser.page["reason"] == "second"
    assert second(browser) == "/mine"
    assert browser.get("/sign-in?return_to=/mine&second=1").location == "/mine"


def test_a_stronger_proof_that_is_only_wished_is_offered_and_can_be_left(
    session: Session, browser: Browser, requests: KnownRequests
) -> None:
    enrol(session)
    requests.add("r1", needed_level=4, wished_level=3)
    browser.get("/sign-in")
    second(browser)
    assert browser.get("/sign-in?request=r1").location == "/consent/r1"
    answer = browser.get("/sign-in?request=r1&wish=1")
    assert (answer.status_code, browser.page["reason"], offered(browser)) == (200, "wish", ["password_totp"])
    assert browser.resend(password="wrong").status_code == 400
    assert (browser.page["error"], browser.page["reason"]) == ("wrong", "wish")
    assert browser.resend().location == "/consent/r1"
    assert browser.get("/sign-in?request=r1&wish=1").location == "/consent/r1"


def test_what_nothing_here_can_fulfil_is_not_asked_of_the_citizen_if_it_is_only_a_wish(
    session: Session, browser: Browser, requests: KnownRequests
) -> None:
    enrol(session)
    requests.add("r1", needed_level=4, wished_level=1)
    browser.sign_in()
    assert browser.get("/sign-in?request=r1&wish=1").location == "/consent/r1"


def test_a_demand_that_nothing_here_can_fulfil_goes_back_with_its_own_error(
    session: Session, browser: Browser, requests: KnownRequests
) -> None:
    enrol(session)
    requests.add("r1", needed_level=1)
    browser.sign_in()
    assert browser.get("/sign-in?request=r1").status_code == 200
    assert (browser.page["reason"], offered(browser)) == ("level", [])
    assert (browser.resend(action="cancel").location or "").endswith("error=unmet_authentication_requirements")
