"""Where citizens are reached: e-mail address and telephone number, each only once it is verified.

A new one is proposed, and a code goes there; who types it in time has shown that they read what arrives. Then it
counts, and the old one is told as well (notices/channels). Neither row nor record holds the code: it is derived.
"""

import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from sqlalchemy import ColumnElement, func, insert, select, update
from sqlalchemy.orm import Session

from authz_server.audit.service import Entry, record
from authz_server.config import Limits
from authz_server.core import secrets
from authz_server.core.errors import DomainError
from authz_server.identity import turns
from authz_server.identity.models import CITIZEN, CONTACT_CHANGE

Kind = Literal["email", "phone"]
KINDS: Final[tuple[Kind, ...]] = ("email", "phone")
PROPOSED: Final = "contact.proposed"
CHANGED: Final = "contact.changed"
NEEDED_LEVEL: Final = 3
# RFC 5321 section 4.1.2, without quoted local parts and address literals, which nobody has.
_ATOM, _LABEL = r"[0-9A-Za-z!#$%&'*+/=?^_`{|}~-]+", r"[0-9A-Za-z](?:[0-9A-Za-z-]{0,61}[0-9A-Za-z])?"
EMAIL: Final = re.compile(rf"{_ATOM}(?:\.{_ATOM})*@{_LABEL}(?:\.{_LABEL})+")
PHONE: Final = re.compile(r"\+?(?:[0-9][ -]?){6,15}")
CODE_DIGITS: Final = 6
VOID_FOR: Final = timedelta(days=1)
_CHANGE = CONTACT_CHANGE.c


class NotAnAddress(DomainError):
    """It can't be an address of its kind."""

    code = "invalid_request"
    public = "That is not an address."


class TooManyCodes(DomainError):
    """As many codes were sent today as we send; so nobody can flood somebody else's mailbox."""

    code = "too_many_codes"
    public = "No more codes are sent today."


class WrongCode(DomainError):
    """The code was wrong, too late, or there is none to type."""

    code = "wrong_code"
    public = "The code is not right."


@dataclass(frozen=True, kw_only=True)
class Contact:
    """What is known; `*_verified_at`: since when messages go there, None: they don't."""

    email: str | None = field(repr=False)
    email_verified_at: datetime | None
    phone: str | None = field(repr=False)
    phone_verified_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class Change:
    """A change that was proposed or made. `value`: the new address, None if it was removed; `previous`: the old one."""

    id: int
    kind: Kind
    value: str | None = field(repr=False)
    previous: str | None = field(repr=False)
    created_at: datetime
    expires_at: datetime  # of its code

    def code(self, server_secret: bytes) -> str:
        """What goes to the new address."""
        labels = ("contact-code", str(self.id), self.created_at.isoformat(), self.value or "")
        return secrets.derive_digits(server_secret, CODE_DIGITS, *labels)


_COLUMNS = [_CHANGE[name] for name in Change.__dataclass_fields__]


def contact_of(session: Session, citizen_id: int) -> Contact:
    """The citizen's contact data."""
    columns = [CITIZEN.c[name] for name in Contact.__dataclass_fields__]
    return Contact(**session.execute(select(*columns).where(CITIZEN.c.id == citizen_id)).one()._mapping)


def normal(kind: Kind, value: str) -> str:
    """The address as it is kept.  Raises: NotAnAddress."""
    value = value.strip()
    if kind == "email" and len(value) <= 254 and EMAIL.fullmatch(value):
        return value
    if kind == "phone" and PHONE.fullmatch(value):
        return value.replace(" ", "").replace("-", "")
    raise NotAnAddress(kind)


def propose(session: Session, citizen_id: int, kind: Kind, value: str, *, limits: Limits, now: datetime) -> None:
    """Have a code sent to a new address; codes that were sent before are worth nothing. The caller commits.

    Args: value: as `normal` returned it.  Raises: TooManyCodes.
    """
    turns.take(session, citizen_id)
    today = (_CHANGE.citizen_id == citizen_id, _CHANGE.created_at > now - timedelta(days=1), _CHANGE.value.is_not(None))
    if (session.scalar(select(func.count()).where(*today)) or 0) >= limits.contact_codes_per_day:
        raise TooManyCodes(kind)
    # Over for long, for it must be so on a host, too, whose clock is behind: there is one to type, or none.
    over = now - VOID_FOR
    session.execute(update(CONTACT_CHANGE).where(*_open(citizen_id, kind, over)).values(expires_at=over))
    expires_at = now + timedelta(seconds=limits.contact_code_ttl_s)
    _insert(session, citizen_id, kind, value, created_at=now, expires_at=expires_at)
    _tell(session, citizen_id, PROPOSED, kind, now=now)


def find_open(session: Session, citizen_id: int, kind: Kind, *, limits: Limits, now: datetime) -> Change | None:
    """The change that waits for its code, None if none does (any more)."""
    left = _CHANGE.tries < limits.contact_code_tries
    return _change(session.execute(select(*_COLUMNS).where(*_open(citizen_id, kind, now), left)).one_or_none())


def verify(
    session: Session, citizen_id: int, kind: Kind, code: str, *, server_secret: bytes, limits: Limits, now: datetime
) -> None:
    """Let the proposed address count from now on. The caller commits, also when this raises: the try is counted.

    Raises: WrongCode.
    """
    turns.take(session, citizen_id)
    # Counted first and in one statement, so that not even guesses of the same moment are more than there may be.
    counted = (
        update(CONTACT_CHANGE)
        .where(*_open(citizen_id, kind, now), _CHANGE.tries < limits.contact_code_tries)
        .values(tries=_CHANGE.tries + 1)
        .returning(*_COLUMNS)
    )
    change = _change(session.execute(counted).one_or_none())
    if change is None or not secrets.equal(change.code(server_secret), "".join(code.split())):
        raise WrongCode(kind)
    _settle(session, citizen_id, change, now=now)


def remove(session: Session, citizen_id: int, kind: Kind, *, now: datetime) -> None:
    """Be reached by this way no longer; the old address is told. The caller commits."""
    turns.take(session, citizen_id)
    if getattr(contact_of(session, citizen_id), kind) is None:
        return
    change_id = _insert(session, citizen_id, kind, None, created_at=now, expires_at=now)
    change = Change(id=change_id, kind=kind, value=None, previous=None, created_at=now, expires_at=now)
    _settle(session, citizen_id, change, now=now)


def change_at(session: Session, citizen_id: int, kind: str | None, *, event: str, at: datetime) -> Change | None:
    """The change that an entry of the record tells of: of this citizen and kind, proposed or made at that moment."""
    moment = _CHANGE.created_at if event == PROPOSED else _CHANGE.settled_at
    found = select(*_COLUMNS).where(_CHANGE.citizen_id == citizen_id, _CHANGE.kind == kind, moment == at)
    return _change(session.execute(found.order_by(_CHANGE.id.desc()).limit(1)).one_or_none())


def _settle(session: Session, citizen_id: int, change: Change, *, now: datetime) -> None:
    name, verified = CITIZEN.c[change.kind], CITIZEN.c[f"{change.kind}_verified_at"]
    known: Any = session.execute(select(name, verified).where(CITIZEN.c.id == citizen_id)).one()
    settled = {"settled_at": now, "previous": known[0] if known[1] is not None else None}
    session.execute(update(CONTACT_CHANGE).where(_CHANGE.id == change.id).values(settled))
    since = now if change.value is not None else None
    session.execute(update(CITIZEN).where(CITIZEN.c.id == citizen_id).values({name: change.value, verified: since}))
    _tell(session, citizen_id, CHANGED, change.kind, now=now)


def _insert(
    session: Session, citizen_id: int, kind: Kind, value: str | None, *, created_at: datetime, expires_at: datetime
) -> int:
    values = {"citizen_id": citizen_id, "kind": kind, "value": value, "created_at": created_at, "tries": 0}
    made = insert(CONTACT_CHANGE).values(values | {"expires_at": expires_at}).returning(_CHANGE.id)
    return int(session.execute(made).scalar_one())


def _open(citizen_id: int, kind: Kind, now: datetime) -> tuple[ColumnElement[bool], ...]:
    own = (_CHANGE.citizen_id == citizen_id, _CHANGE.kind == kind)
    return (*own, _CHANGE.settled_at.is_(None), _CHANGE.expires_at > now)


def _change(row: Any) -> Change | None:
    return Change(**row._mapping) if row is not None else None


def _tell(session: Session, citizen_id: int, event: str, kind: Kind, *, now: datetime) -> None:
    record(session, Entry(at=now, event=event, success=True, actor="citizen", citizen_id=citizen_id, reason=kind))
