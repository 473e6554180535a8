"""Health-insurance card and two documents: who is right comes in, at the level that the registry vouches for; who is
wrong, who has no account and who does not exist can't be told apart, and guesses are few (class 30)."""

import logging
from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, Response
from sqlalchemy import MetaData, event, func, select
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from authz_server import config
from authz_server.audit.models import AuditEntry
from authz_server.config import Settings
from authz_server.core import clock, jose
from authz_server.core.secrets import digest
from authz_server.database import db
from authz_server.identity import registry_client, service
from authz_server.identity.methods.two_documents import KINDS, read_date
from authz_server.identity.models import SIGN_IN_ATTEMPT
from client_examples.registry.books import documents_of
from tests.identity.support import NOW, ORIGIN, OTHER_PERSON, PERSON, Browser, KnownRequests, enrol
from tests.support.registry import RunningRegistry, running_registry

KEYS = jose.parse_private_keys({"keys": [jose.generate_key("ES256")]})
PATHS = {"health_card": "/sign-in/health-card", "two_documents": "/sign-in/two-documents"}
LEVELS = {"health_card": 3, "two_documents": 4}
MOST = {"health_card": 5, "two_documents": 3}
NOBODY = "F131104093"  # valid by its check digit, in the registry's books, without an account here
WRONG_CARD = "123456789012"
OTHERS = ("B223456782", "C187654325", "D123456782", "E123456783")
both = pytest.mark.parametrize("method", sorted(PATHS))


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[RunningRegistry]:
    """The sandbox's registry."""
    with running_registry(tmp_path, issuer=ORIGIN, platform_keys=KEYS) as running:
        yield running


@pytest.fixture
def limits() -> dict[str, int]:
    """Limits that differ from the usual ones."""
    return {}


@pytest.fixture
def settings(database_url: str, tmp_path: Path, registry: RunningRegistry, limits: dict[str, int]) -> Settings:
    """Settings of a server that asks it."""
    document = {
        "issuer": ORIGIN,
        "database_url": database_url,
        "keys_file": "keys.json",
        "secret_file": "secret",
        "proxy_url": "https://data.example",
        "sandbox": True,  # the registry is on loopback
        "method_levels": {"password_totp": 3} | LEVELS,
        "registries": dict.fromkeys(PATHS, registry.settings()),
        "limits": limits,
    }
    return config.parse(document, base=tmp_path)


@pytest.fixture(autouse=True)
def connected(app: Flask, settings: Settings) -> None:
    """The server's connectors."""
    registry_client.init_app(app, settings, KEYS)


def typed(method: str, national_id: str = PERSON.national_id) -> dict[str, str]:
    """What this person reads off their cards, in a form's fields."""
    known = documents_of(national_id)
    if method == "health_card":
        return {"national_id": national_id, "card_number": known.card_number, "password": known.card_password}
    return {
        "national_id": national_id,
        "birthdate": known.birthdate,
        "issued_on": known.issued_on,
        "issued_at": known.issued_at,
        "issue_kind": known.issue_kind,
        "card_number": known.card_number,
    }


def send(browser: Browser, method: str, form: Mapping[str, str], *, query: str = "", **more: Any) -> TestResponse:
    """Open the page of a method and send it filled in."""
    browser.get(f"/sign-in?method={method}{query}")
    hidden = {"csrf": browser.page["csrf"], "method": method, "action": "sign-in", **browser.page["visit"].named}
    return browser.post(PATHS[method], hidden | dict(form), **more)


def fail(browser: Browser, method: str, national_id: str = PERSON.national_id, **more: Any) -> TestResponse:
    """Send a wrong card number."""
    return send(browser, method, typed(method, national_id) | {"card_number": WRONG_CARD}, **more)


@both
def test_who_is_right_comes_in_at_the_level_that_the_registry_vouches_for(
    session: Session, browser: Browser, method: str
) -> None:
    enrol(session)
    answer = send(browser, method, typed(method), query="&return_to=/mine")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/mine")
    assert browser.get("/mine").get_json()["acr"] == f"urn:mydata:acr:level-{LEVELS[method]}"
    assert "kba" in browser.get("/mine").get_json()["amr"]


def test_a_yes_is_worth_no_more_than_the_registry_says(
    session: Session, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    enrol(session)
    monkeypatch.setitem(__import__("client_examples.registry.app", fromlist=["ASSURANCE"]).ASSURANCE, "health_card", 4)
    send(browser, "health_card", typed("health_card"))
    assert browser.get("/mine").get_json()["acr"] == "urn:mydata:acr:level-4"


@both
def test_wrong_unknown_and_without_an_account_are_answered_alike_by_the_same_work(
    session: Session, app: Flask, browser: Browser, registry: RunningRegistry, method: str
) -> None:
    enrol(session)
    statements: list[str] = []
    with app.app_context():
        event.listen(db.engine, "before_cursor_execute", lambda *args: statements.append(args[2]))
    seen = []
    # Wrong; everything right, and no account; not even in the registry's books.
    for form in (
        typed(method) | {"card_number": WRONG_CARD},
        typed(method, NOBODY),
        typed(method, NOBODY) | {"card_number": WRONG_CARD},
    ):
        browser.get(f"/sign-in?method={method}")
        statements.clear()
        registry.questions.clear()
        answer = send(browser, method, form)
        asked = [sorted(registry.opened(question)["evidence"]) for question in registry.questions]
        seen.append(
            (answer.status_code, browser.page["error"], sorted(answer.headers.keys()), asked, tuple(statements))
        )
    assert seen[0] == seen[1] == seen[2]
    assert seen[0][:2] == (400, "wrong")
    assert len(seen[0][3]) == 1


@both
def test_the_record_of_a_failure_is_the_account_owners_and_names_no_value(
    session: Session, browser: Browser, method: str
) -> None:
    citizen_id = enrol(session).citizen_id
    fail(browser, method)
    send(browser, method, typed(method, NOBODY))
    entries = session.execute(
        select(AuditEntry.event, AuditEntry.actor, AuditEntry.citizen_id, AuditEntry.reason)
        .where(AuditEntry.event == "sign_in.failed")
        .order_by(AuditEntry.id)
    ).all()
    assert [tuple(entry) for entry in entries] == [
        ("sign_in.failed", "unknown", citizen_id, "registry_said_no"),
        ("sign_in.failed", "unknown", None, "unknown_account"),
    ]


MALFORMED = {
    "national_id": ("", "A123456788", "A12345678", "12345678901", "' OR 1=1", "\0", "Ａ１２３４５６７８８"),
    "card_number": ("", "12345678901", "1234567890123", "12345678901x", "一二三四五六七八九十一二"),
    "password": ("",),
    "birthdate": ("", "1980-02-30", "yesterday", "2026-03-03", "1980", "1-2-3-4", "99999999999999999999"),
    "issued_on": ("", "114-13-01"),
    "issued_at": ("", "Atlantis", "台北市"),
    "issue_kind": ("", "stolen"),
}


@pytest.mark.parametrize(
    ("method", "field", "value"),
    [(method, field, value) for method in PATHS for field, values in MALFORMED.items() for value in values
     if field in typed(method)],
)  # fmt: skip
def test_what_cannot_be_right_is_told_by_field_and_costs_no_attempt(
    session: Session, browser: Browser, registry: RunningRegistry, method: str, field: str, value: str
) -> None:
    answer = send(browser, method, typed(method) | {field: value})
    assert (answer.status_code, browser.page["error"]) == (400, "fields")
    assert list(browser.page["shown"]["problems"]) == [field]
    assert registry.questions == []
    assert session.scalar(select(func.count()).select_from(SIGN_IN_ATTEMPT)) == 0


@both
def test_what_people_type_in_other_ways_is_understood(session: Session, browser: Browser, method: str) -> None:
    enrol(session)
    form = typed(method)
    form |= {"national_id": " ａ123-456-789 ", "card_number": f"{form['card_number'][:4]} {form['card_number'][4:]}"}
    assert send(browser, method, form).status_code == 303


@both
def test_a_suspended_account_stays_shut(session: Session, browser: Browser, method: str) -> None:
    enrol(session)
    service.suspend(session, PERSON.username, now=NOW)
    session.commit()
    assert send(browser, method, typed(method)).status_code == 403
    assert browser.page["error"] == "suspended"


@both
def test_a_registry_that_is_away_is_nobodys_failure(
    session: Session, browser: Browser, registry: RunningRegistry, method: str
) -> None:
    enrol(session)
    registry.answer_with = lambda _question: Response(status=503)
    for _ in range(MOST[method] + 1):
        answer = send(browser, method, typed(method))
        assert (answer.status_code, browser.page["error"]) == (503, "unavailable")
        assert int(answer.headers["Retry-After"]) > 0
    assert session.scalar(select(func.max(SIGN_IN_ATTEMPT.c.failures))) == 0
    session.rollback()
    registry.answer_with = None
    clock.advance(timedelta(minutes=1))
    assert send(browser, method, typed(method)).status_code == 303


@both
def test_without_a_registry_the_method_is_not_offered(
    app: Flask, browser: Browser, settings: Settings, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    monkeypatch.setattr("authz_server.identity.methods.asked.AskingMethod.available", lambda *_: False)
    browser.get("/sign-in")
    assert [each.id for each in browser.page["methods"]] == ["password_totp"]
    hidden = {"csrf": browser.page["csrf"], "method": method, "action": "sign-in"}
    assert browser.post(PATHS[method], hidden | typed(method)).status_code == 400


def test_two_documents_are_not_enough_for_a_stricter_request(browser: Browser, requests: KnownRequests) -> None:
    requests.add("strict", needed_level=3)
    browser.get("/sign-in?request=strict&method=two_documents")
    assert "two_documents" not in [each.id for each in browser.page["methods"]]
    hidden = {"csrf": browser.page["csrf"], "method": "two_documents", "action": "sign-in", "request": "strict"}
    assert browser.post(PATHS["two_documents"], hidden | typed("two_documents")).status_code == 400


@both
def test_a_form_of_another_page_is_refused_before_anybody_is_asked(
    browser: Browser, registry: RunningRegistry, method: str
) -> None:
    browser.get(f"/sign-in?method={method}")
    assert browser.post(PATHS[method], typed(method) | {"csrf": "x", "action": "sign-in"}).status_code == 403
    assert registry.questions == []


@both
@pytest.mark.parametrize("national_id", [PERSON.national_id, NOBODY])
def test_after_a_few_failures_the_account_is_locked_whoever_it_is(
    session: Session, browser: Browser, registry: RunningRegistry, method: str, national_id: str
) -> None:
    enrol(session)
    answers = [fail(browser, method, national_id) for _ in range(MOST[method])]
    assert [answer.status_code for answer in answers] == [400] * (MOST[method] - 1) + [429]
    registry.questions.clear()
    answer = send(browser, method, typed(method, national_id))
    assert (answer.status_code, answer.headers["Retry-After"], browser.page["error"]) == (429, "900", "locked")
    assert registry.questions == []
    clock.advance(timedelta(minutes=15))
    assert fail(browser, method, national_id).status_code == 400


@both
def test_a_lock_of_one_method_leaves_the_others_open(session: Session, browser: Browser, method: str) -> None:
    enrol(session)
    for _ in range(MOST[method]):
        fail(browser, method)
    assert browser.sign_in().status_code == 303


@both
def test_in_a_day_there_are_few_guesses_at_one_account_and_success_gives_none_back(
    session: Session, app: Flask, method: str
) -> None:
    """Who knows their own cards must not reset what somebody else has guessed wrongly today."""
    enrol(session)
    guesses = 0
    while guesses < 9:
        assert fail(Browser(app), method).status_code in {400, 429}
        guesses += 1
        if guesses % 2 == 0:
            clock.advance(timedelta(minutes=16))
            assert send(Browser(app), method, typed(method)).status_code == 303
    browser = Browser(app)
    assert (fail(browser, method).status_code, browser.page["locked_minutes"]) == (429, 24 * 60)
    clock.advance(timedelta(minutes=16))
    answer = send(browser, method, typed(method))
    assert (answer.status_code, browser.page["error"]) == (429, "locked")
    assert browser.page["locked_minutes"] > 23 * 60
    clock.advance(timedelta(days=1))
    assert send(browser, method, typed(method)).status_code == 303


@pytest.mark.parametrize("limits", [{"knowledge_address_day": 4}])
@both
def test_in_a_day_there_are_few_guesses_from_one_address(session: Session, app: Flask, method: str) -> None:
    enrol(session)
    here, elsewhere = {"REMOTE_ADDR": "192.0.2.1"}, {"REMOTE_ADDR": "192.0.2.2"}
    for national_id in OTHERS:
        assert fail(Browser(app), method, national_id, environ_overrides=here).status_code == 400
    assert send(Browser(app), method, typed(method), environ_overrides=here).status_code == 429
    assert send(Browser(app), method, typed(method), environ_overrides=elsewhere).status_code == 303
    clock.advance(timedelta(days=1))
    assert send(Browser(app), method, typed(method), environ_overrides=here).status_code == 303


@pytest.mark.parametrize("limits", [{"knowledge_registry_day": 4}])
def test_in_a_day_there_are_few_guesses_in_all_whoever_they_are_at_and_both_methods_count(
    session: Session, app: Flask, registry: RunningRegistry
) -> None:
    enrol(session)
    methods = ["health_card", "two_documents"] * 2
    for number, method in enumerate(methods):
        address = {"REMOTE_ADDR": f"192.0.2.{number}"}
        assert fail(Browser(app), method, OTHERS[number], environ_overrides=address).status_code == 400
    registry.questions.clear()
    browser = Browser(app)
    answer = send(browser, "health_card", typed("health_card"), environ_overrides={"REMOTE_ADDR": "192.0.2.99"})
    assert (answer.status_code, browser.page["error"]) == (429, "closed")
    assert registry.questions == []
    assert browser.sign_in().status_code == 303  # the password is no affair of this registry's
    clock.advance(timedelta(days=1))
    assert send(Browser(app), "health_card", typed("health_card")).status_code == 303


@pytest.mark.parametrize("limits", [{"knowledge_registry_day": 4}])
@both
def test_what_nobody_looked_at_is_held_against_nobody(session: Session, app: Flask, method: str) -> None:
    """While it is closed to everybody, people try again; it must not lock them out when it opens."""
    enrol(session)
    for national_id in OTHERS:
        assert fail(Browser(app), method, national_id).status_code == 400
    for _ in range(11):
        browser = Browser(app)
        assert send(browser, method, typed(method)).status_code == 429
        assert browser.page["error"] == "closed"
    clock.advance(timedelta(days=1))
    assert send(Browser(app), method, typed(method)).status_code == 303


@both
def test_nothing_that_was_typed_is_left_in_the_database_the_record_or_a_log(
    session: Session, browser: Browser, registry: RunningRegistry, method: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    enrol(session, OTHER_PERSON)
    canaries = {"card_number": WRONG_CARD, "password": "CANARY-password", "birthdate": "1911-11-11"}
    form = {name: canaries.get(name, value) for name, value in typed(method, NOBODY).items()}
    send(browser, method, form)  # a no
    send(browser, method, typed(method, NOBODY))  # a yes for nobody
    registry.answer_with = lambda _question: Response(status=500)
    send(browser, method, form)  # no answer
    meta = MetaData()
    meta.reflect(session.connection())
    rows = "".join(str(tuple(row)) for table in meta.sorted_tables for row in session.execute(select(table)))
    assert "sign_in.failed" in rows
    values = {*form.values(), *typed(method, NOBODY).values(), *documents_of(NOBODY).evidence(method).values()}
    secrets = values - {kind.value for kind in KINDS}
    assert [value for value in secrets if value in rows or value in caplog.text] == []


@both
def test_a_count_of_failures_does_not_name_whom_they_were_about(
    session: Session, browser: Browser, method: str
) -> None:
    fail(browser, method, NOBODY)
    keys = set(session.scalars(select(SIGN_IN_ATTEMPT.c.key)))
    texts = [NOBODY, f"{method}\0{NOBODY}", f"day\0{NOBODY}", f"day\0{method}\0{NOBODY}"]
    assert keys
    assert not keys & {digest(text) for text in texts}


@both
def test_the_password_is_never_shown_again(session: Session, browser: Browser, method: str) -> None:
    fail(browser, method)
    assert browser.page["typed"]["national_id"] == PERSON.national_id
    assert "password" not in browser.page["typed"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("1980-02-29", date(1980, 2, 29)),
        ("1980/2/29", date(1980, 2, 29)),
        ("19800229", date(1980, 2, 29)),
        ("民國 69 年 2 月 29 日", date(1980, 2, 29)),
        ("民國069年02月29日", date(1980, 2, 29)),
        ("0690229", date(1980, 2, 29)),
        ("690229", date(1980, 2, 29)),
        ("69.2.29", date(1980, 2, 29)),
        ("１０９－０８－２３", date(2020, 8, 23)),
        ("1090823", date(2020, 8, 23)),
        ("70-2-29", None),
        ("0-1-1", date(1911, 1, 1)),
        ("10000-1-1", None),
        ("12345", None),
        ("123456789", None),
        ("", None),
        ("1-1", None),
    ],
)
def test_a_date_is_read_in_either_calendar(text: str, found: date | None) -> None:
    assert read_date(text) == found
