"""Class 30 of published vulnerabilities: guesses are limited, in the database, for accounts that exist and others."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, event, func, select
from sqlalchemy.orm import Session

from authz_server.audit.models import AuditEntry
from authz_server.config import Limits
from authz_server.core import clock
from authz_server.database import db, new_engine
from authz_server.identity import lockout, passwords
from authz_server.identity.errors import PasswordHashingBusy, SignInLocked
from authz_server.identity.models import SIGN_IN_ATTEMPT
from tests.identity.support import NOW, PERSON, Browser, code_at, enrol

LIMITS = Limits()
MINUTE = timedelta(minutes=1)
DOOR = lockout.account_door("password_totp", PERSON.username, LIMITS)


def attempts(session: Session, count: int, at: timedelta = timedelta()) -> list[bool]:
    return [lockout.count(session, DOOR, now=NOW + at) is not None for _ in range(count)]


def locked(session: Session, at: timedelta) -> bool:
    try:
        lockout.count(session, DOOR, now=NOW + at)
    except SignInLocked as refusal:
        return refusal.until == NOW + 15 * MINUTE
    return False


def test_the_fifth_failure_locks_for_a_quarter_of_an_hour(session: Session) -> None:
    assert attempts(session, 5) == [False, False, False, False, True]
    assert locked(session, timedelta())
    assert locked(session, 15 * MINUTE - timedelta(seconds=1))
    assert not locked(session, 15 * MINUTE)
    assert attempts(session, 4, 15 * MINUTE) == [False, False, False, True]


def test_asking_while_locked_does_not_prolong_it(session: Session) -> None:
    attempts(session, 5)
    assert all(locked(session, minutes * MINUTE) for minutes in range(15))
    assert not locked(session, 15 * MINUTE)


def test_failures_are_forgotten_after_the_window(session: Session) -> None:
    attempts(session, 4)
    assert attempts(session, 5, 15 * MINUTE) == [False, False, False, False, True]


def test_a_success_forgets_the_failures_of_its_account(session: Session) -> None:
    attempts(session, 4)
    lockout.reopen(session, DOOR)
    assert attempts(session, 5) == [False, False, False, False, True]


def test_taking_back_undoes_one_count_and_the_lock_that_it_made(session: Session) -> None:
    attempts(session, 5)
    lockout.take_back(session, DOOR)
    assert attempts(session, 1) == [True]
    assert locked(session, timedelta())


def test_taking_back_does_not_open_a_door_that_others_have_locked(session: Session) -> None:
    attempts(session, 5)
    assert locked(session, timedelta())
    lockout.take_back(session, DOOR)
    assert locked(session, timedelta())


@pytest.mark.parametrize("undo", [lockout.reopen, lockout.take_back])
def test_what_is_undone_at_one_door_is_undone_at_no_other(
    session: Session, undo: Callable[[Session, lockout.Door], None]
) -> None:
    attempts(session, 5)
    for other in (lockout.account_door("password_totp", "another", LIMITS), replace(DOOR, kind=lockout.ADDRESS)):
        lockout.count(session, other, now=NOW)
        undo(session, other)
        assert lockout.left(session, other, now=NOW) == (other.most, None)
    assert locked(session, timedelta())


@pytest.mark.parametrize(
    ("failures", "later", "left"),
    [
        (0, timedelta(), 5),
        (1, timedelta(), 4),
        (4, 15 * MINUTE - timedelta(seconds=1), 1),
        (4, 15 * MINUTE, 5),
        (5, 15 * MINUTE - timedelta(seconds=1), 0),
        (5, 15 * MINUTE, 5),
    ],
)
def test_what_is_left_is_what_the_next_attempts_find_and_asking_for_it_counts_nothing(
    session: Session, failures: int, later: timedelta, left: int
) -> None:
    attempts(session, failures)
    for _ in range(2):
        told, until = lockout.left(session, DOOR, now=NOW + later)
        assert (told, until) == (left, None if left else NOW + 15 * MINUTE)
    if left:
        assert attempts(session, left, later) == [False] * (left - 1) + [True]
    else:
        assert locked(session, later)


def test_the_count_survives_a_restart(session: Session, engine: Engine, database_url: str) -> None:
    attempts(session, 5)
    session.commit()
    session.close()
    engine.dispose()
    restarted = new_engine(database_url)
    with Session(restarted) as later:
        assert locked(later, MINUTE)
    restarted.dispose()


def test_accounts_are_kept_as_digests(session: Session) -> None:
    attempts(session, 1)
    row = session.execute(select(SIGN_IN_ATTEMPT)).one()
    assert PERSON.username.encode() not in row.key
    assert len(row.key) == 32


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
        (None, "not an address", True),
    ],
)
def test_an_address_counts_as_its_subscriber(one: str | None, other: str | None, same: bool) -> None:
    assert (lockout.address_door(one, LIMITS) == lockout.address_door(other, LIMITS)) is same


def test_an_address_locks_later_than_an_account() -> None:
    assert (DOOR.most, lockout.address_door("192.0.2.1", LIMITS).most) == (5, 50)


@pytest.mark.parametrize("username", [PERSON.username, "nobody", "", "\0", "x" * 500])
def test_a_locked_account_answers_alike_for_right_and_wrong_known_and_unknown(
    session: Session, browser: Browser, username: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    enrol(session)
    monkeypatch.setattr(passwords, "check_password", lambda *_: False)
    answers = [browser.sign_in(username=username) for _ in range(5)]
    assert [answer.status_code for answer in answers] == [400] * 4 + [429]
    monkeypatch.undo()
    for changed in ({}, {"password": "wrong"}, {"one_time_code": "000000"}):
        answer = browser.sign_in(**{"username": username} | changed)
        page = browser.page
        assert (answer.status_code, answer.headers["Retry-After"]) == (429, "900")
        assert (page["error"], page["locked_minutes"], answer.text) == ("locked", 15, "sign in")
    clock.advance(15 * MINUTE - timedelta(seconds=61))
    browser.sign_in(username=username)
    assert browser.page["locked_minutes"] == 2
    clock.advance(timedelta(seconds=61))
    assert browser.sign_in(clock.now(), username=username).status_code == (303 if username == PERSON.username else 400)


def test_a_locked_account_is_told_once_on_the_record(session: Session, browser: Browser) -> None:
    citizen_id = enrol(session).citizen_id
    for _ in range(8):
        browser.sign_in(password="wrong")
    of_citizen = select(AuditEntry.event).where(AuditEntry.citizen_id == citizen_id).order_by(AuditEntry.id)
    assert list(session.scalars(of_citizen)) == ["account.created", *["sign_in.failed"] * 5, "sign_in.locked"]


def test_the_spelling_of_a_user_name_gives_no_further_guesses(session: Session, browser: Browser) -> None:
    enrol(session)
    spellings = ["citizen-a", "CITIZEN-A", " citizen-a", "Citizen-A ", "citizeN-a"]
    assert [browser.sign_in(username=name, password="wrong").status_code for name in spellings] == [400] * 4 + [429]
    assert browser.sign_in().status_code == 429


def test_guessing_at_many_accounts_from_one_address_is_limited(
    session: Session, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    enrol(session)
    monkeypatch.setattr(passwords, "check_password", lambda *_: False)
    browser.get("/sign-in")
    answers = [browser.resend(username=f"guess-{number}").status_code for number in range(51)]
    assert answers == [400] * 50 + [429]
    monkeypatch.undo()
    elsewhere = {"environ_base": {"REMOTE_ADDR": "192.0.2.77"}}
    form = {
        "csrf": browser.page["csrf"],
        "username": PERSON.username,
        "password": "wrong",
        "one_time_code": code_at(NOW),
    }
    assert browser.post("/sign-in", form, **elsewhere).status_code == 400
    assert browser.resend().status_code == 429


def test_right_sign_ins_do_not_use_up_an_address(session: Session, browser: Browser) -> None:
    enrol(session)
    for _ in range(3):
        assert Browser(browser.app).sign_in(clock.now()).status_code == 303
        clock.advance(timedelta(seconds=30))
    assert session.execute(select(func.max(SIGN_IN_ATTEMPT.c.failures))).scalar() == 0


def test_forwarded_addresses_are_not_believed(
    session: Session, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Class 23 of published vulnerabilities: trust in proxy headers."""
    enrol(session)
    monkeypatch.setattr(passwords, "check_password", lambda *_: False)
    browser.get("/sign-in")
    for number in range(50):
        form = {"csrf": browser.page["csrf"], "method": "password_totp", "username": f"guess-{number}"}
        browser.post("/sign-in", form, headers={"X-Forwarded-For": f"198.51.100.{number}"})
    assert browser.resend().status_code == 429


@pytest.mark.parametrize("busy", [False, True])
def test_doors_are_taken_in_one_order_so_that_no_two_sign_ins_wait_for_each_other(
    session: Session, browser: Browser, busy: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    enrol(session)
    taken: list[str] = []

    def note(_connection: Any, _statement: Any, several: Any, one: Any, _options: Any) -> None:
        taken.extend(asked["door_kind"] for asked in (*several, one) if "door_kind" in asked)

    if busy:
        monkeypatch.setattr(passwords, "check_password", refuse_to_hash)
    with browser.app.app_context():
        event.listen(db.engine, "before_execute", note)
    assert browser.sign_in().status_code == (503 if busy else 303)
    assert taken == ["address", "account"] * 2


def refuse_to_hash(*_: object) -> bool:
    raise PasswordHashingBusy("tests")
