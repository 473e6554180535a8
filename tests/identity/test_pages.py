"""The real pages of the sign-in, in every state and both languages, in the whole application."""

import re
from collections.abc import Iterator

import orjson
import pytest
from flask import Flask
from sqlalchemy.orm import Session

from authz_server.app import create_app
from authz_server.catalogue.model import Catalogue
from authz_server.config import Settings
from authz_server.core import jose
from authz_server.database import db
from authz_server.identity import entry, passwords, service, visits
from tests.identity.support import NOW, PASSWORD, PERSON, SERVER_SECRET, Browser, enrol

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
def app(settings: Settings, catalogue: Catalogue) -> Iterator[Flask]:
    """The authorization server."""
    settings.keys_file.write_bytes(orjson.dumps({"keys": [jose.generate_key("ES256")]}))
    settings.keys_file.chmod(0o600)
    settings.secret_file.write_bytes(SERVER_SECRET)
    app = create_app(settings, catalogue=catalogue)
    yield app
    with app.app_context():
        db.engine.dispose()


@pytest.fixture(params=["zh-TW", "en"])
def browser(app: Flask, request: pytest.FixtureRequest) -> Browser:
    """A browser that prefers one of the two languages."""
    browser = Browser(app)
    browser.client.set_cookie("lang", request.param, domain="id.example")
    return browser


def shown(browser: Browser) -> str:
    error = browser.page["error"]
    assert error is None or isinstance(error, str)
    return error or ""


def test_the_form_has_the_names_and_ids_that_others_rely_on(browser: Browser) -> None:
    text = browser.get("/sign-in").text
    for part in (
        'name="username"',
        'name="password"',
        'name="one_time_code"',
        'id="login-submit"',
        'id="login-cancel"',
    ):
        assert part in text
    for part in ('autocomplete="username"', 'autocomplete="current-password"', 'autocomplete="one-time-code"'):
        assert part in text
    assert "<script" not in text


def test_every_refusal_has_its_page_and_none_repeats_a_secret(
    session: Session, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    enrol(session)
    answers = {}
    for name, changed in (("wrong", {"password": "another-canary"}), ("form", {"csrf": "x"})):
        answers[name] = browser.sign_in(**changed)
        assert shown(browser) == name
    service.suspend(session, PERSON.username, now=NOW)
    session.commit()
    answers["suspended"] = browser.sign_in()
    assert shown(browser) == "suspended"
    monkeypatch.setattr(passwords, "LONGEST_WAIT_S", 0.01)
    with passwords._slot(), passwords._slot():
        answers["busy"] = browser.sign_in()
    assert shown(browser) == "busy"
    while shown(browser) != "locked":
        answers["locked"] = browser.sign_in(password="another-canary")
    assert {name: answer.status_code for name, answer in answers.items()} == {
        "wrong": 400, "form": 403, "suspended": 403, "busy": 503, "locked": 429
    }  # fmt: skip
    assert len({answer.text for answer in answers.values()}) == len(answers)
    for answer in answers.values():
        assert PASSWORD not in answer.text
        assert "another-canary" not in answer.text
        assert answer.headers["Cache-Control"] == "no-store"
        assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]


def test_signing_in_and_out_shows_its_pages(session: Session, browser: Browser) -> None:
    enrol(session)
    assert browser.sign_in(query="?return_to=/record").location == "/record"
    assert browser.get("/record").status_code == 200
    assert 'id="logout-confirm"' in browser.get("/sign-out").text
    assert browser.post("/sign-out", {"csrf": browser.page["csrf"]}).status_code == 303
    assert browser.get("/record").location == "/sign-in?return_to=%2Frecord"
    assert browser.get("/").status_code == 200


def test_a_request_that_nobody_knows_is_an_error_page(browser: Browser) -> None:
    answer = browser.get("/sign-in?request=unknown")
    assert answer.status_code == 400
    assert "Location" not in answer.headers


@pytest.mark.parametrize(
    ("minutes", "wait"), [(1, "1 minute"), (60, "60 minutes"), (91, "2 hours"), (130, "3 hours"), (24 * 60, "24 hours")]
)
def test_a_lock_is_told_in_a_unit_that_fits_and_no_shorter_than_it_is(app: Flask, minutes: int, wait: str) -> None:
    with app.test_request_context("/sign-in?lang=en"):
        for error in ("locked", "closed"):
            told = entry.page(visits.visit_of({}), error=error, status=429, locked_minutes=minutes)
            assert re.search(
                rf"(wait|closed for you for|closed for everybody for) {wait}\b", told.get_data(as_text=True)
            )
