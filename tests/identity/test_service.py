"""Accounts: what is stored of their secrets, and what the operator may do with them."""

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from authz_server.audit.models import AuditEntry
from authz_server.core import clock
from authz_server.identity import contact, credentials, national_id, passwords, recovery, service, sessions, totp
from authz_server.identity.errors import AccountProblem, WrongCredentials
from authz_server.identity.methods.password_totp import PasswordTotp, set_totp
from authz_server.identity.models import CITIZEN, Citizen
from tests.identity.support import NOW, OTHER_PERSON, PASSWORD, PERSON, SERVER_SECRET, TOTP_SECRET, code_at, enrol

CANARIES = (PASSWORD, TOTP_SECRET)


def stored(session: Session) -> Any:
    return session.execute(select(CITIZEN)).one()


def test_neither_password_nor_code_secret_is_stored(session: Session, database_url: str) -> None:
    """Class 25 of published vulnerabilities: secrets at rest."""
    enrolment = enrol(session)
    row = stored(session)
    for canary in CANARIES:
        assert canary not in repr(row._mapping)
        assert canary.encode() not in row.totp_secret_encrypted
        assert canary not in repr(enrolment)
    assert row.password_hash.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    session.commit()
    if database_url.startswith("sqlite"):
        folder = Path(database_url.removeprefix("sqlite:///")).parent
        files = b"".join(path.read_bytes() for path in folder.iterdir() if path.is_file())
        assert not [canary for canary in CANARIES if canary.encode() in files]


def test_a_code_secret_opens_for_its_citizen_under_the_servers_key_only(session: Session) -> None:
    citizen_id = enrol(session).citizen_id
    encrypted = stored(session).totp_secret_encrypted
    assert totp.decrypt(encrypted, SERVER_SECRET, citizen_id) == TOTP_SECRET
    altered = encrypted[:-1] + bytes([encrypted[-1] ^ 1])
    for wrong in (
        (encrypted, SERVER_SECRET, citizen_id + 1),
        (encrypted, bytes(32), citizen_id),
        (altered, SERVER_SECRET, citizen_id),
        (b"", SERVER_SECRET, citizen_id),
    ):
        with pytest.raises(ValueError, match="does not open"):
            totp.decrypt(*wrong)


def test_the_same_secret_is_never_encrypted_alike(session: Session) -> None:
    assert totp.encrypt(TOTP_SECRET, SERVER_SECRET, 1) != totp.encrypt(TOTP_SECRET, SERVER_SECRET, 1)


def test_an_app_gets_what_it_needs(session: Session) -> None:
    uri = enrol(session).otpauth_uri
    assert uri == f"otpauth://totp/MyData:citizen-a?secret={TOTP_SECRET}&issuer=MyData"


def test_new_secrets_have_160_random_bits(session: Session) -> None:
    secrets = {totp.new_secret() for _ in range(100)}
    assert len(secrets) == 100
    assert {len(secret) for secret in secrets} == {32}


@pytest.mark.parametrize(
    "other",
    [replace(OTHER_PERSON, username=PERSON.username), replace(OTHER_PERSON, national_id=PERSON.national_id)],
)
def test_a_user_name_and_a_national_id_have_one_account(session: Session, other: service.Person) -> None:
    enrol(session)
    with pytest.raises(AccountProblem, match="account already"):
        enrol(session, other)
    assert len(session.execute(select(CITIZEN)).all()) == 1


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"username": "A"}, "username"),
        ({"username": "citizen\0"}, "username"),
        ({"username": "x" * 65}, "username"),
        ({"name": ""}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"name": " " * 99 + "ab"}, "name"),
        ({"national_id": "A123456788"}, "national_id"),
        ({"birthdate": (NOW + timedelta(days=2)).date()}, "birthdate"),
        ({"email": "nobody"}, "email"),
        ({"phone": "call me"}, "phone"),
        ({"phone": "+" + "1-" * 16}, "phone"),
        ({"locale": "fr"}, "locale"),
    ],
)
def test_what_an_account_can_not_hold_is_refused(session: Session, changed: dict[str, Any], problem: str) -> None:
    with pytest.raises(AccountProblem, match=problem):
        enrol(session, replace(PERSON, **changed))


@pytest.mark.parametrize("phone", ["0900 000 000", "+886-900-000-000", "1 2 3 4 5 6 7 8 9 0 1 2 3 4 5"])
def test_a_telephone_number_is_kept_as_citizens_own_changes_are(session: Session, phone: str) -> None:
    enrol(session, replace(PERSON, phone=phone))
    assert stored(session).phone == contact.normal("phone", phone)


def test_today_is_that_of_taiwan(session: Session) -> None:
    evening = NOW.replace(hour=20)
    today = (NOW + timedelta(days=1)).date()
    with pytest.raises(AccountProblem, match="birthdate"):
        service.create_citizen(
            session,
            replace(PERSON, birthdate=today + timedelta(days=1)),
            password=PASSWORD,
            server_secret=SERVER_SECRET,
            now=evening,
        )
    service.create_citizen(
        session, replace(PERSON, birthdate=today), password=PASSWORD, server_secret=SERVER_SECRET, now=evening
    )


@pytest.mark.parametrize(("password", "secret"), [("short", TOTP_SECRET), ("x" * 257, TOTP_SECRET), (PASSWORD, "1")])
def test_weak_credentials_are_refused(session: Session, password: str, secret: str) -> None:
    weak: dict[str, Any] = {"password": password, "totp_secret": secret, "server_secret": SERVER_SECRET, "now": NOW}
    with pytest.raises(AccountProblem, match=r"password|totp_secret"):
        service.create_citizen(session, PERSON, **weak)
    with pytest.raises(AccountProblem, match=r"password|totp_secret"):
        service.reset_credentials(session, PERSON.username, **weak)


def test_a_reset_ends_sessions_and_old_credentials(session: Session) -> None:
    citizen_id = enrol(session).citizen_id
    cookie = sessions.open_session(session, citizen_id, level=3, amr=(), now=NOW)
    enrolment = service.reset_credentials(
        session, PERSON.username, password="another password", server_secret=SERVER_SECRET, now=NOW
    )
    assert enrolment.totp_secret != TOTP_SECRET
    row = stored(session)
    assert not passwords.check_password(row.password_hash, PASSWORD)
    assert passwords.check_password(row.password_hash, "another password")
    assert sessions.find(session, cookie, now=NOW) is None


def test_after_a_reset_nothing_that_was_bound_opens_the_account(session: Session) -> None:
    """Whoever had it in hand may have bound a passkey of their own."""
    citizen_id, other_id = enrol(session).citizen_id, enrol(session, OTHER_PERSON).citizen_id
    for owner in (citizen_id, other_id):
        for method in ("passkey", "certificate", "upstream"):
            external_id = f"{method} of {owner}"
            credentials.add(session, owner, method=method, external_id=external_id, label="", data={}, now=NOW)
        recovery.renew(session, owner, server_secret=SERVER_SECRET, now=NOW)
    service.reset_credentials(session, PERSON.username, password=PASSWORD, server_secret=SERVER_SECRET, now=NOW)
    assert credentials.of_citizen(session, citizen_id) == []
    assert len(credentials.of_citizen(session, other_id)) == 3 + recovery.COUNT


def test_suspending_and_resuming_twice_is_told(session: Session) -> None:
    enrol(session)
    service.suspend(session, PERSON.username, now=NOW)
    with pytest.raises(AccountProblem, match="so already"):
        service.suspend(session, PERSON.username, now=NOW)
    service.resume(session, PERSON.username, now=NOW)
    with pytest.raises(AccountProblem, match="so already"):
        service.resume(session, PERSON.username, now=NOW)
    for act in (service.suspend, service.resume):
        with pytest.raises(AccountProblem, match="no account"):
            act(session, "nobody", now=NOW)
    entries = select(AuditEntry.event, AuditEntry.actor).order_by(AuditEntry.id)
    assert [tuple(row) for row in session.execute(entries)] == [
        ("account.created", "operator"),
        ("account.suspended", "operator"),
        ("account.resumed", "operator"),
    ]


def test_what_the_register_says_otherwise_is_set_right_and_on_record(session: Session) -> None:
    enrol(session, OTHER_PERSON)
    citizen_id = enrol(session).citizen_id
    service.correct(session, PERSON.username, name="測試市民新", now=NOW)
    service.correct(session, PERSON.username, birthdate=date(2010, 5, 6), now=NOW)
    known = {row.id: (row.name, row.birthdate) for row in session.scalars(select(Citizen))}
    assert known.pop(citizen_id) == ("測試市民新", date(2010, 5, 6))
    assert list(known.values()) == [(OTHER_PERSON.name, OTHER_PERSON.birthdate)]
    entries = select(AuditEntry.event, AuditEntry.actor).where(AuditEntry.citizen_id == citizen_id)
    told = [tuple(row) for row in session.execute(entries.order_by(AuditEntry.id))]
    assert told == [("account.created", "operator"), *[("account.corrected", "operator")] * 2]


@pytest.mark.parametrize(
    ("username", "changes", "problem"),
    [
        (PERSON.username, {}, "nothing is said to be otherwise"),
        ("nobody", {"name": "測試市民新"}, "no account"),
        (PERSON.username, {"name": " "}, "name: 1 to 100"),
        (PERSON.username, {"birthdate": clock.day_of(NOW) + timedelta(days=1)}, "birthdate: lies in the future"),
    ],
)
def test_what_can_not_be_right_changes_nothing(
    session: Session, username: str, changes: dict[str, Any], problem: str
) -> None:
    enrol(session)
    with pytest.raises(AccountProblem, match=f"^{problem}"):
        service.correct(session, username, **changes, now=NOW)
    (row,) = session.scalars(select(Citizen))
    assert (row.name, row.birthdate) == (PERSON.name, PERSON.birthdate)


def test_what_was_right_by_older_rules_is_in_nobodys_way(session: Session) -> None:
    enrol(session)
    session.execute(update(Citizen).values(phone="12"))
    service.correct(session, PERSON.username, name="測試市民新", now=NOW)


@pytest.mark.parametrize("number", ["A123456789", "B200000004", "A800000005", "C187654325"])
def test_valid_national_ids(number: str) -> None:
    assert national_id.check(number)


@pytest.mark.parametrize(
    "number", ["", "A123456780", "a123456789", "A12345678", "A1234567890", "A323456789", "1123456789", "A12345678９"]
)
def test_invalid_national_ids(number: str) -> None:
    assert not national_id.check(number)


def test_a_new_authenticator_counts_at_once_against_who_was_just_proving_the_old_one(session: Session) -> None:
    citizen_id = enrol(session).citizen_id
    form = {"username": PERSON.username, "password": PASSWORD, "one_time_code": code_at(NOW)}
    attempt = PasswordTotp().begin(session, form, server_secret=SERVER_SECRET)
    attempt.prove(now=NOW)
    set_totp(session, citizen_id, totp.encrypt(TOTP_SECRET[::-1], SERVER_SECRET, citizen_id))
    with pytest.raises(WrongCredentials):
        attempt.accept(session)
