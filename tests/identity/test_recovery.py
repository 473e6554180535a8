"""Recovery codes: each signs in once in place of the authenticator's code, and nothing else does."""

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from authz_server.audit.models import AuditEntry
from authz_server.database import new_engine
from authz_server.identity import recovery
from authz_server.identity.models import CREDENTIAL
from tests.identity.support import NOW, OTHER_PERSON, SERVER_SECRET, Browser, enrol


def renew(session: Session, citizen_id: int) -> list[str]:
    codes = list(recovery.renew(session, citizen_id, server_secret=SERVER_SECRET, now=NOW))
    session.commit()
    return codes


def left(session: Session, citizen_id: int) -> int:
    count = recovery.left(session, citizen_id).count
    session.rollback()  # SQLite lets nobody else write while this one reads
    return count


def events(session: Session) -> list[tuple[str, str | None]]:
    found = session.execute(select(AuditEntry.event, AuditEntry.reason).order_by(AuditEntry.id)).all()
    session.rollback()
    return [(event, reason) for event, reason in found if event != "account.created"]


def test_a_code_signs_in_once_with_the_password_and_is_told(session: Session, browser: Browser) -> None:
    citizen_id = enrol(session).citizen_id
    code, *others = renew(session, citizen_id)
    assert browser.sign_in(one_time_code=code).status_code == 303
    assert browser.get("/mine").json == {
        "name": "測試市民甲",
        "acr": "urn:mydata:acr:level-3",
        "amr": ["pwd", "otp", "mfa"],
    }
    assert left(session, citizen_id) == len(others) == 9
    assert events(session) == [("sign_in.succeeded", "password_totp"), ("recovery.used", "password_totp")]
    browser.client.delete_cookie("__Host-mydata", domain="id.example")
    assert browser.sign_in(one_time_code=code).status_code == 400
    assert browser.sign_in(one_time_code=others[0].replace(" ", "-")).status_code == 303


def test_without_the_password_a_code_is_worth_nothing_and_stays(session: Session, browser: Browser) -> None:
    citizen_id = enrol(session).citizen_id
    code, *_ = renew(session, citizen_id)
    assert browser.sign_in(one_time_code=code, password="wrong").status_code == 400
    assert left(session, citizen_id) == 10
    assert events(session)[-1] == ("sign_in.failed", "wrong_password")


def test_somebody_else_s_codes_void_ones_and_what_is_none_open_nothing(session: Session, browser: Browser) -> None:
    citizen_id, other = enrol(session).citizen_id, enrol(session, OTHER_PERSON).citizen_id
    void, theirs = renew(session, citizen_id), renew(session, other)
    good = renew(session, citizen_id)
    row = session.execute(select(CREDENTIAL.c.external_id).where(CREDENTIAL.c.removed_at.is_(None))).first()
    session.rollback()
    assert row is not None
    for guess in (void[0], theirs[0], row.external_id):
        assert browser.sign_in(one_time_code=guess).status_code == 400, guess
    assert left(session, other) == 10
    assert browser.sign_in(one_time_code=good[0][:-1]).status_code == 400
    assert browser.sign_in(one_time_code=good[0] + "0").status_code == 429
    assert browser.sign_in(one_time_code=good[0]).status_code == 429, "one door for all that the method takes"
    assert left(session, citizen_id) == 10


def test_nothing_of_a_code_rests_in_the_table(session: Session) -> None:
    citizen_id = enrol(session).citizen_id
    codes = renew(session, citizen_id)
    plain = [code.replace(" ", "") for code in codes]
    assert len(set(plain)) == 10
    assert all(len(code) == 16 and code.isdecimal() for code in plain)
    for row in session.execute(select(CREDENTIAL)):
        assert not [code for code in (*codes, *plain) if code in str(row)]
    # Under another server's secret, and for another citizen, the same number is another code.
    for server_secret, owner in ((bytes(32), citizen_id), (SERVER_SECRET, citizen_id + 1), (SERVER_SECRET, None)):
        assert recovery.find(session, owner, plain[0], server_secret=server_secret) is None


@pytest.mark.parametrize("shown", [[], [""], ["0" * 16], ["x"]])
def test_only_who_has_the_codes_is_shown_them_again(session: Session, shown: list[str]) -> None:
    citizen_id = enrol(session).citizen_id
    codes = renew(session, citizen_id)
    assert recovery.all_in_force(session, citizen_id, codes, server_secret=SERVER_SECRET)
    assert not recovery.all_in_force(session, citizen_id, shown, server_secret=SERVER_SECRET)
    assert not recovery.all_in_force(session, citizen_id, [codes[0], *shown, "1"], server_secret=SERVER_SECRET)


def test_what_is_void_or_used_stays_so_after_a_restart(session: Session, browser: Browser, database_url: str) -> None:
    """Class 3 of published vulnerabilities: revocation lost at restart."""
    citizen_id = enrol(session).citizen_id
    void, (used, good, *_) = renew(session, citizen_id), renew(session, citizen_id)
    assert browser.sign_in(one_time_code=used).status_code == 303
    restarted = new_engine(database_url)
    with Session(restarted) as later:
        found = [
            recovery.find(later, citizen_id, code.replace(" ", ""), server_secret=SERVER_SECRET)
            for code in (void[0], used, good)
        ]
    restarted.dispose()
    assert [one is not None for one in found] == [False, False, True]
