"""A sign-in for an authorization request: who asks, what it demands, and where the browser goes on."""

from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy.orm import Session

from authz_server.config import Settings
from authz_server.core import clock
from authz_server.extensions import Services
from tests.identity.support import CALLBACK, NOW, Browser, KnownRequests, enrol

# What is tested here does not depend on the kind of database.
pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def test_the_page_says_who_asks(browser: Browser, requests: KnownRequests) -> None:
    waiting = requests.add("r1", needed_level=3)
    assert browser.get("/sign-in?request=r1").status_code == 200
    page = browser.page
    assert (page["pending"], page["visit"].named, page["needed_level"]) == (waiting, {"request": "r1"}, 3)
    assert page["reason"] is None
    assert (page["method"].id, [method.id for method in page["methods"]]) == (
        "password_totp",
        ["password_totp", "passkey"],
    )


def test_after_the_sign_in_the_request_goes_on(session: Session, browser: Browser, requests: KnownRequests) -> None:
    enrol(session)
    requests.add("r1")
    answer = browser.sign_in(query="?request=r1", return_to="/record")
    assert (answer.status_code, answer.location) == (303, "/consent/r1")


def test_whoever_is_signed_in_well_enough_goes_on_at_once(
    session: Session, browser: Browser, requests: KnownRequests
) -> None:
    enrol(session)
    browser.sign_in()
    requests.add("r1")
    assert browser.get("/sign-in?request=r1").location == "/consent/r1"
    assert browser.get("/sign-in?return_to=/record").location == "/record"


def test_a_request_can_demand_a_fresh_sign_in(session: Session, browser: Browser, requests: KnownRequests) -> None:
    """Decided by the request's row, not by anything in the address."""
    enrol(session)
    browser.sign_in()
    pushed_at = clock.advance(timedelta(minutes=1))
    requests.add("r1", authenticated_after=pushed_at)
    for query in ("", "&reauth=0", "&max_age=9999", "&prompt=none"):
        assert browser.get(f"/sign-in?request=r1{query}").status_code == 200
        assert browser.page["reason"] == "again"
    assert browser.resend(pushed_at).location == "/consent/r1"
    assert browser.get("/sign-in?request=r1").location == "/consent/r1"


def test_no_form_is_shown_when_no_method_reaches_the_level(
    session: Session, browser: Browser, requests: KnownRequests
) -> None:
    enrol(session)
    browser.sign_in()
    requests.add("r1", needed_level=1)
    assert browser.get("/sign-in?request=r1").status_code == 200
    page = browser.page
    assert (page["reason"], page["needed_level"], page["method"], page["methods"]) == ("level", 1, None, [])
    clock.advance(timedelta(minutes=1))
    # A form that was made up does not get further than the page.
    assert browser.resend(clock.now()).status_code == 400
    assert browser.resend(clock.now(), method="no-such-method").status_code == 400


def test_the_level_of_a_method_is_configuration(
    session: Session, browser: Browser, app: Flask, settings: Settings, requests: KnownRequests
) -> None:
    enrol(session)
    sandbox = settings.__class__(
        **{name: getattr(settings, name) for name in settings.__dataclass_fields__}
        | {"method_levels": {"password_totp": 1}, "sandbox": True}
    )
    services: Services = app.extensions["mydata"]
    app.extensions["mydata"] = Services(
        settings=sandbox,
        catalogue=services.catalogue,
        registry=services.registry,
        keys=services.keys,
        secret=services.secret,
    )
    requests.add("r1", needed_level=1)
    assert browser.sign_in(query="?request=r1").location == "/consent/r1"
    assert browser.page["in_sandbox_only"] is True
    assert (browser.get("/mine").json or {})["acr"] == "urn:mydata:acr:level-1"


def test_cancelling_refuses_the_request_and_nothing_else(
    session: Session, browser: Browser, requests: KnownRequests
) -> None:
    requests.add("r1")
    requests.add("r2")
    browser.get("/sign-in?request=r1")
    answer = browser.resend(action="cancel", username="", password="", one_time_code="")
    assert (answer.status_code, answer.location) == (303, f"{CALLBACK}&error=access_denied")
    assert requests.denied == [("r1", None)]
    assert list(requests.waiting) == ["r2"]


def test_cancelling_without_a_request_goes_home(browser: Browser) -> None:
    browser.get("/sign-in?return_to=/record")
    assert browser.resend(action="cancel").location == "/"


def test_a_foreign_page_can_not_cancel(browser: Browser, requests: KnownRequests) -> None:
    requests.add("r1")
    assert browser.post("/sign-in", {"request": "r1", "action": "cancel"}).status_code == 403
    assert requests.denied == []


def test_a_request_that_is_over_is_the_applications_page(browser: Browser, requests: KnownRequests) -> None:
    """Class 10 of published vulnerabilities: steps out of order, restarted, skipped."""
    requests.add("r1")
    browser.get("/sign-in?request=r1")
    requests.waiting.clear()
    for answer in (
        browser.get("/sign-in?request=r1"),
        browser.resend(),
        browser.resend(action="cancel"),
        browser.get("/sign-in?request=never"),
    ):
        assert answer.status_code == 400
        assert "Location" not in answer.headers


def test_switching_the_language_keeps_the_request_and_the_name_and_counts_nothing(
    session: Session, browser: Browser, requests: KnownRequests
) -> None:
    enrol(session)
    requests.add("r1")
    browser.get("/sign-in?request=r1")
    for _ in range(6):
        assert browser.post("/sign-in", {"request": "r1", "username": "citizen-a", "lang": "en"}).status_code == 200
        assert (browser.page["typed"]["username"], browser.page["visit"].named["request"], browser.page["error"]) == (
            "citizen-a",
            "r1",
            None,
        )
    assert browser.resend().location == "/consent/r1"


def test_a_page_that_needs_a_citizen_sends_others_to_sign_in_and_back(session: Session, browser: Browser) -> None:
    enrol(session)
    assert browser.get("/mine?page=2").location == "/sign-in?return_to=%2Fmine%3Fpage%3D2"
    assert browser.sign_in(query="?return_to=%2Fmine%3Fpage%3D2").location == "/mine?page=2"


def test_a_consent_page_sends_to_the_sign_in_of_its_request(browser: Browser) -> None:
    assert browser.get("/consent/r1").location == "/sign-in?request=r1"
    assert browser.post("/consent/r1", {}).location == "/sign-in?request=r1"


def test_a_form_that_has_no_page_of_its_own_leads_home(browser: Browser) -> None:
    assert browser.post("/act", {}).location == "/sign-in?return_to=%2F"


@pytest.mark.parametrize("form", [{"username": ["a", "b"]}, {"csrf": ["a", "b"]}, {"action": ["sign-in", "cancel"]}])
def test_a_doubled_field_is_refused(browser: Browser, form: dict[str, list[str]]) -> None:
    """Class 9 of published vulnerabilities: parameter pollution."""
    assert browser.post("/sign-in", form).status_code == 400


def test_a_doubled_parameter_is_refused_and_the_query_overrides_nothing(
    session: Session, browser: Browser, requests: KnownRequests
) -> None:
    enrol(session)
    requests.add("r1")
    requests.add("r2")
    assert browser.get("/sign-in?request=r1&request=r2").status_code == 400
    browser.get("/sign-in?request=r1")
    form = {"csrf": browser.page["csrf"], "request": "r1", "action": "cancel"}
    browser.post("/sign-in?request=r2&action=sign-in", form)
    assert [request_id for request_id, _ in requests.denied] == ["r1"]


def test_the_time_of_sign_in_is_the_servers(session: Session, browser: Browser, requests: KnownRequests) -> None:
    enrol(session)
    requests.add("r1", authenticated_after=NOW)
    assert browser.sign_in(query="?request=r1", auth_time="2099-01-01").location == "/consent/r1"
    requests.add("r2", authenticated_after=NOW + timedelta(microseconds=1))
    assert browser.get("/sign-in?request=r2").status_code == 200
