"""Codes that go to the e-mail address of an account, to open its own pages: asked for, sent, looked up, spent.

A code is a challenge to the browser that asked for it. It is derived from the challenge and the server's secret, so
nothing of it rests; the worker that sends it derives it again. The address is that of the account, verified, and never
comes from who asks. The challenge says since when it was verified as the code was asked for: it is the same moment, or
the code is of another address. Which moment was first is not asked, for hosts' clocks differ. How many are sent is
limited by what was typed, whether or not there is such an account, and by address: in the database, for all processes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, bindparam, select
from sqlalchemy.orm import Session

from authz_server.audit.service import Entry, record
from authz_server.config import Limits
from authz_server.core import secrets
from authz_server.identity import lockout
from authz_server.identity.lockout import Door
from authz_server.identity.methods.password_totp import USERNAME
from authz_server.identity.models import CITIZEN, IDENTITY_CHALLENGE

METHOD: Final = "email_code"
KIND: Final = "code"
SENT: Final = "sign_in.code_sent"
DIGITS: Final = 6
_challenge, _citizen = IDENTITY_CHALLENGE.c, CITIZEN.c
_REACHED: Final = (
    _citizen.email.is_not(None),
    _citizen.email_verified_at.is_not(None),
    _citizen.suspended_at.is_(None),
)
_FIND: Final = select(_citizen.id, _citizen.email_verified_at).where(
    _citizen.username == bindparam("typed_username"), *_REACHED
)


@dataclass(frozen=True, kw_only=True)
class SignInCode:
    """A code that was asked for. `citizen_id` None: there is nobody to send it to."""

    digest: bytes = field(repr=False)
    citizen_id: int | None
    expires_at: datetime
    account: str = field(repr=False)  # what was typed, as it is counted at the doors
    verified: str | None = field(repr=False)  # as of `Asked`

    def is_of(self, email_verified_at: datetime | None) -> bool:
        """Whether an address that is verified since then is the one that it was asked for."""
        return email_verified_at is not None and self.verified == email_verified_at.isoformat()

    def digits(self, server_secret: bytes) -> str:
        """What goes to the address."""
        return secrets.derive_digits(server_secret, DIGITS, "sign-in-code", self.digest.hex())


@dataclass(frozen=True, kw_only=True)
class Asked:
    """Somebody wants a code. `citizen_id`: whose it is, None if nobody's; `payload`: of the challenge."""

    citizen_id: int | None
    payload: Mapping[str, str | None] = field(repr=False)


def account_of(username: str) -> str:
    """What failures are counted under: whatever was typed, it is not kept as such."""
    return secrets.digest(username).hex()


def ask(session: Session, username: str, *, address: str | None, limits: Limits, now: datetime) -> Asked:
    """Count one more code for what was typed and note that it is to be sent.

    The caller keeps the challenge, of this same moment, and commits, also when this raises.
    Args: username: as it was typed.  Raises: SignInLocked, for accounts that are there and that are not.
    """
    account = account_of(username)
    lockout.count_at(session, _doors(account, address, limits), now=now)
    # What can't be a user name is looked up as the empty one, which nobody has.
    known = username if USERNAME.fullmatch(username) else ""
    found = session.execute(_FIND, {"typed_username": known}).one_or_none()
    citizen_id = found.id if found else None
    # Written for nobody, too: it takes the same time.
    record(session, Entry(at=now, event=SENT, success=citizen_id is not None, actor="unknown", citizen_id=citizen_id))
    verified = found.email_verified_at.isoformat() if found else None
    return Asked(citizen_id=citizen_id, payload={"account": account, "verified": verified})


def find(session: Session, handle: str, *, browser: str | None, now: datetime) -> SignInCode | None:
    """The code that this browser has asked for, if it can still be typed. It is spent by `challenges.spend`."""
    return _one(
        session,
        _challenge.digest == secrets.digest(handle),
        _challenge.browser == secrets.digest(browser or ""),
        _challenge.used_at.is_(None),
        _challenge.expires_at > now,
    )


def find_sent(session: Session, citizen_id: int, *, at: datetime) -> SignInCode | None:
    """The code that an entry of the record tells of, unless the address has changed since or the account is shut."""
    verified_at = session.scalar(select(_citizen.email_verified_at).where(_citizen.id == citizen_id, *_REACHED))
    code = _one(session, _challenge.citizen_id == citizen_id, _challenge.created_at == at)
    return code if code is not None and code.is_of(verified_at) else None


def _one(session: Session, *conditions: ColumnElement[bool]) -> SignInCode | None:
    columns = (_challenge.digest, _challenge.citizen_id, _challenge.expires_at, _challenge.payload)
    found = select(*columns).where(_challenge.method == METHOD, _challenge.kind == KIND, *conditions)
    row: Any = session.execute(found.limit(1)).one_or_none()
    if row is None:
        return None
    said = {"account": row.payload["account"], "verified": row.payload.get("verified")}
    return SignInCode(digest=row.digest, citizen_id=row.citizen_id, expires_at=row.expires_at, **said)


def _doors(account: str, address: str | None, limits: Limits) -> tuple[Door, ...]:
    def sending(most: int, span: timedelta) -> Door:
        key = secrets.digest(f"{METHOD}\0{span}\0{account}")
        return Door(kind=lockout.ACCOUNT, key=key, most=most, window=span, lock=span)

    return (
        sending(1, timedelta(seconds=limits.email_code_pause_s)),
        sending(limits.email_codes_per_day, lockout.DAY),
        lockout.address_day(METHOD, address, limits),
    )
