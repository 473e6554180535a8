"""Accounts of citizens: made, suspended and equipped anew by the operator."""

import re
from dataclasses import dataclass, field, fields, replace
from datetime import date, datetime
from typing import Any

from cryptography.x509 import Certificate
from sqlalchemy import bindparam, select, update
from sqlalchemy.orm import Session

from authz_server.audit.service import Entry, record
from authz_server.core import clock
from authz_server.core.identifiers import PLATFORM_NAME, CitizenId
from authz_server.database import insert_if_absent
from authz_server.identity import credentials, national_id, passwords, recovery, sessions, totp
from authz_server.identity.contact import EMAIL, PHONE, normal
from authz_server.identity.errors import AccountProblem
from authz_server.identity.language import LOCALES
from authz_server.identity.methods import certificate_proof
from authz_server.identity.methods.password_totp import USERNAME, set_totp
from authz_server.identity.models import CITIZEN, Citizen

BATCH = 1000
_TOTP_SECRET = re.compile(r"([A-Z2-7]{8}){2,8}")  # at least 80 bits; RFC 4226 section 4, R6 recommends 160
_RESEAL = update(CITIZEN).where(CITIZEN.c.id == bindparam("citizen")).values(totp_secret_encrypted=bindparam("sealed"))


@dataclass(frozen=True, kw_only=True)
class Person:
    """Who an account is for, as the register says it."""

    username: str
    name: str = field(repr=False)
    national_id: str = field(repr=False)
    birthdate: date = field(repr=False)
    email: str | None = field(default=None, repr=False)
    phone: str | None = field(default=None, repr=False)
    locale: str = ""  # none chosen


@dataclass(frozen=True, kw_only=True)
class Enrolment:
    """What the citizen takes home; the secret is shown once and afterwards known to this server only encrypted."""

    citizen_id: CitizenId
    totp_secret: str = field(repr=False)
    otpauth_uri: str = field(repr=False)


def create_citizen(
    session: Session,
    person: Person,
    *,
    password: str,
    server_secret: bytes,
    now: datetime,
    totp_secret: str | None = None,
    checked_in_person: bool = False,
) -> Enrolment:
    """Make an account with password and one-time code. The caller commits.

    Args:
        totp_secret: base32, for test data that must be known in advance; a new one by default.
        checked_in_person: the operator has seen who it is, so that no second method is demanded at the first use.
    Raises: AccountProblem, with every reason.
    """
    if problems := _problems(person, clock.day_of(now)) + _credential_problems(password, totp_secret):
        raise AccountProblem("; ".join(problems))
    password_hash = passwords.hash_password(password)
    values = {name: getattr(person, name) for name in person.__dataclass_fields__}
    values |= {"created_at": now, "password_hash": password_hash, "verified_at": now if checked_in_person else None}
    if person.phone is not None:
        values["phone"] = normal("phone", person.phone)
    # What the operator enters comes from a register.
    values |= {f"{name}_verified_at": now for name in ("email", "phone") if values[name] is not None}
    add = insert_if_absent(session.get_bind().dialect.name, Citizen).returning(CITIZEN.c.id)
    citizen_id = session.execute(add, values).scalar_one_or_none()
    if citizen_id is None:
        raise AccountProblem("the user name or the national id belongs to an account already")
    _tell(session, citizen_id, "account.created", now=now)
    return _enrol(session, citizen_id, person.username, totp_secret=totp_secret, server_secret=server_secret)


def reset_credentials(
    session: Session,
    username: str,
    *,
    password: str,
    server_secret: bytes,
    now: datetime,
    totp_secret: str | None = None,
) -> Enrolment:
    """Give an account a new password and one-time code secret, end its sessions and whatever else opens it.

    For whoever has their passkey, certificate or provider bound to it has the account. The caller commits.
    Raises: AccountProblem.
    """
    if problems := _credential_problems(password, totp_secret):
        raise AccountProblem("; ".join(problems))
    password_hash = passwords.hash_password(password)
    changed = update(CITIZEN).where(CITIZEN.c.username == username).values(password_hash=password_hash)
    citizen_id = session.execute(changed.returning(CITIZEN.c.id)).scalar_one_or_none()
    if citizen_id is None:
        raise AccountProblem("no account has this user name")
    credentials.remove_all(session, citizen_id, now=now)
    sessions.end_all(session, citizen_id, now=now)
    _tell(session, citizen_id, "account.reset", now=now)
    return _enrol(session, citizen_id, username, totp_secret=totp_secret, server_secret=server_secret)


def correct(
    session: Session, username: str, *, name: str | None = None, birthdate: date | None = None, now: datetime
) -> CitizenId:
    """Set right what the register says of a citizen by now: what is given, at once everywhere. The caller commits.

    Raises: AccountProblem.
    """
    changed: dict[str, Any] = {} if name is None else {"name": name}
    changed |= {} if birthdate is None else {"birthdate": birthdate}
    if not changed:
        raise AccountProblem("nothing is said to be otherwise")
    citizen_id = id_of(session, username)
    known = {each.name: CITIZEN.c[each.name] for each in fields(Person)}
    before = Person(**session.execute(select(*known.values()).where(CITIZEN.c.id == citizen_id)).one()._mapping)
    # What else is there was right by the rules of its time.
    wrong = _problems(replace(before, **changed), clock.day_of(now))
    if problems := [problem for problem in wrong if problem.partition(":")[0] in changed]:
        raise AccountProblem("; ".join(problems))
    session.execute(update(CITIZEN).where(CITIZEN.c.id == citizen_id).values(changed))
    _tell(session, citizen_id, "account.corrected", now=now)
    return citizen_id


def suspend(session: Session, username: str, *, now: datetime) -> CitizenId:
    """Shut an account: no sign-in, and its sessions end for good. The caller commits.  Raises: AccountProblem."""
    citizen_id = _set_suspended(session, username, now)
    sessions.end_all(session, citizen_id, now=now)
    _tell(session, citizen_id, "account.suspended", now=now)
    return citizen_id


def resume(session: Session, username: str, *, now: datetime) -> CitizenId:
    """Open a suspended account again; the citizen signs in anew. The caller commits.  Raises: AccountProblem."""
    citizen_id = _set_suspended(session, username, None)
    _tell(session, citizen_id, "account.resumed", now=now)
    return citizen_id


def add_certificate(session: Session, username: str, certificate: Certificate, *, now: datetime) -> CitizenId:
    """Bind a certificate that the operator knows to be this citizen's. The caller commits.  Raises: AccountProblem."""
    citizen_id = id_of(session, username)
    bound = certificate_proof.described(certificate)
    added = credentials.add(
        session,
        citizen_id,
        method=certificate_proof.ID,
        external_id=bound.external_id,
        label=bound.label,
        data=bound.data,
        now=now,
    )
    if added is None:
        raise AccountProblem("an account has this certificate already")
    _tell(session, citizen_id, "method.added", now=now, reason=certificate_proof.ID)
    return citizen_id


def id_of(session: Session, username: str) -> CitizenId:
    """Whose account it is.  Raises: AccountProblem."""
    named = select(CITIZEN.c.id).where(CITIZEN.c.username == username, CITIZEN.c.left_at.is_(None))
    found = session.execute(named).scalar_one_or_none()
    if found is None:
        raise AccountProblem("no account has this user name")
    return CitizenId(found)


def set_locale(session: Session, citizen_id: int, *, locale: str) -> None:
    """Remember the language in which the citizen is spoken and written to, one of LOCALES. The caller commits."""
    session.execute(update(CITIZEN).where(CITIZEN.c.id == citizen_id).values(locale=locale))


def _set_suspended(session: Session, username: str, suspended_at: datetime | None) -> CitizenId:
    changed = (
        update(CITIZEN)
        .where(CITIZEN.c.username == username, CITIZEN.c.suspended_at.is_(None) == (suspended_at is not None))
        .where(CITIZEN.c.left_at.is_(None))
        .values(suspended_at=suspended_at)
        .returning(CITIZEN.c.id)
    )
    citizen_id = session.execute(changed).scalar_one_or_none()
    if citizen_id is None:
        id_of(session, username)  # else there is none
        raise AccountProblem("it is so already")
    return CitizenId(citizen_id)


def change_secret(session: Session, old: bytes, new: bytes, *, now: datetime) -> None:
    """Keep authenticators working under a new secret of the server; recovery codes can't be. The caller commits.

    Raises: AccountProblem, if the old one does not open what is stored.
    """
    known = select(CITIZEN.c.id, CITIZEN.c.totp_secret_encrypted).where(CITIZEN.c.totp_secret_encrypted.is_not(None))
    connection, after = session.connection(), 0
    while some := connection.execute(known.where(CITIZEN.c.id > after).order_by(CITIZEN.c.id).limit(BATCH)).all():
        # A batch is one round trip to PostgreSQL.
        connection.execute(_RESEAL, [_resealed(citizen_id, sealed, old, new) for citizen_id, sealed in some])
        after = some[-1].id
    recovery.void_all(session, now=now)


def _resealed(citizen_id: int, sealed: bytes, old: bytes, new: bytes) -> dict[str, Any]:
    """The parameters of `_RESEAL`.  Raises: AccountProblem."""
    try:
        secret = totp.decrypt(sealed, old, citizen_id)
    except ValueError as error:
        raise AccountProblem(f"citizen number {citizen_id}: {error}") from None
    return {"citizen": citizen_id, "sealed": totp.encrypt(secret, new, citizen_id)}


def _enrol(
    session: Session, citizen_id: int, username: str, *, totp_secret: str | None, server_secret: bytes
) -> Enrolment:
    # After the insert, because the ciphertext is bound to the citizen's id.
    secret = totp_secret or totp.new_secret()
    set_totp(session, citizen_id, totp.encrypt(secret, server_secret, citizen_id))
    return Enrolment(
        citizen_id=CitizenId(citizen_id),
        totp_secret=secret,
        otpauth_uri=totp.otpauth_uri(secret, username, PLATFORM_NAME),
    )


def _tell(session: Session, citizen_id: int, event: str, *, now: datetime, reason: str | None = None) -> None:
    entry = Entry(at=now, event=event, success=True, actor="operator", citizen_id=citizen_id, reason=reason)
    record(session, entry)


def _problems(person: Person, today: date) -> list[str]:
    checks = {
        "username: 2 to 64 of a-z 0-9 . _ @ -, beginning with a letter or digit": USERNAME.fullmatch(person.username),
        "name: 1 to 100 printable characters": person.name.isprintable()
        and person.name.strip()
        and len(person.name) <= 100,
        "national_id: not a valid number": national_id.check(person.national_id),
        "birthdate: lies in the future": person.birthdate <= today,
        "email: not an address": person.email is None or (len(person.email) <= 254 and EMAIL.fullmatch(person.email)),
        "phone: 6 to 15 digits, after a + or not": person.phone is None or PHONE.fullmatch(person.phone),
        f"locale: one of {', '.join(LOCALES)}": person.locale in {"", *LOCALES},
    }
    return [problem for problem, fine in checks.items() if not fine]


def _credential_problems(password: str, totp_secret: str | None) -> list[str]:
    problems = []
    if not passwords.acceptable(password):
        problems.append(f"password: {passwords.MIN_LENGTH} to {passwords.MAX_LENGTH} characters")
    if totp_secret is not None and not _TOTP_SECRET.fullmatch(totp_secret):
        problems.append("totp_secret: 16 to 64 characters of base32, in eights")
    return problems
