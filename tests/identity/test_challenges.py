"""Challenges: answered once, in time, by the browser that was asked, for the method and kind that asked."""

from datetime import timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from authz_server.identity import challenges
from authz_server.identity.challenges import Challenge
from authz_server.identity.models import IDENTITY_CHALLENGE
from tests.identity.support import NOW, enrol

BROWSER = "mdf_browser"
TTL = timedelta(minutes=5)


def issue(session: Session, *, browser: str | None = BROWSER, citizen_id: int | None = None) -> str:
    return challenges.issue(
        session,
        method="passkey",
        kind="sign_in",
        browser=browser,
        payload={"visit": {"request": "r1"}},
        ttl=TTL,
        now=NOW,
        citizen_id=citizen_id,
    )


def spend(session: Session, handle: str, **changed: object) -> Challenge | None:
    asked = {"method": "passkey", "kind": "sign_in", "browser": BROWSER, "now": NOW} | changed
    return challenges.spend(session, handle, **asked)  # type: ignore[arg-type] # changed on purpose


def test_a_challenge_is_answered_once(session: Session) -> None:
    citizen_id = enrol(session).citizen_id
    handle = issue(session, citizen_id=citizen_id)
    answered = spend(session, handle)
    assert answered is not None
    assert (answered.citizen_id, answered.payload) == (citizen_id, {"visit": {"request": "r1"}})
    assert spend(session, handle) is None


@pytest.mark.parametrize(
    "changed",
    [
        {"browser": "mdf_another"},
        {"browser": None},
        {"method": "certificate"},
        {"kind": "set_up"},
        {"now": NOW + TTL},
    ],
)
def test_whoever_is_not_asked_can_not_answer_and_spends_nothing(session: Session, changed: dict[str, object]) -> None:
    """Classes 1 and 11 of published vulnerabilities: single use by kind, bound to the browser."""
    handle = issue(session)
    assert spend(session, handle, **changed) is None
    assert spend(session, handle) is not None


@pytest.mark.parametrize("handle", ["", "mdi_", "mdi_" + "x" * 43, "mdi_\0", "mdi_\udc80", "é"])
def test_whatever_else_comes_as_a_handle_is_nothing(session: Session, handle: str) -> None:
    issue(session)
    assert spend(session, handle) is None


def test_a_challenge_without_a_browser_can_not_be_answered(session: Session) -> None:
    handle = issue(session, browser=None)
    assert spend(session, handle, browser="") is None
    assert spend(session, handle, browser=None) is None


def test_the_database_keeps_neither_the_handle_nor_the_cookie(session: Session) -> None:
    handle = issue(session)
    row = session.execute(select(IDENTITY_CHALLENGE)).one()
    assert handle not in repr(row)
    assert BROWSER not in repr(row)
