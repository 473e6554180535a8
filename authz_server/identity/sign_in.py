"""A sign-in, from the first look at the form to the session: what is counted, spent, opened and recorded."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from authz_server.audit.service import Entry, record
from authz_server.config import Settings
from authz_server.core import logging
from authz_server.identity import lockout, sessions
from authz_server.identity.errors import SignInRefused
from authz_server.identity.levels import level_of_method
from authz_server.identity.lockout import Door
from authz_server.identity.methods.base import Attempt, Form, Method
from authz_server.identity.sessions import SignedIn


@dataclass(frozen=True, kw_only=True)
class Try:
    """An attempt that was counted. `last`: if it fails, the account is locked."""

    method: Method
    attempt: Attempt
    account: Door
    address: Door
    last: bool


def begin(
    session: Session,
    method: Method,
    form: Form,
    *,
    address: str | None,
    settings: Settings,
    server_secret: bytes,
    now: datetime,
) -> Try:
    """Count an attempt and read what is known about its account.

    The caller commits, also when this raises, before it goes on: what was counted must stand whatever comes.
    Raises: SignInLocked.
    """
    limits = settings.limits
    address_door = lockout.address_door(address, limits)
    account_door = lockout.account_door(method.id, method.account(form), limits)
    lockout.count(session, address_door, now=now, limits=limits)
    last = lockout.count(session, account_door, now=now, limits=limits)
    attempt = method.begin(session, form, server_secret=server_secret)
    return Try(method=method, attempt=attempt, account=account_door, address=address_door, last=last)


def complete(
    session: Session,
    tried: Try,
    *,
    settings: Settings,
    replaces: str | None,
    now: datetime,
) -> str:
    """Spend what was proved and open a session; return its secret. The caller commits.

    Args: replaces: the session that the browser had so far; it ends.
    Raises: SignInRefused; then nothing was opened, and `fail` must follow.
    """
    citizen_id = tried.attempt.accept(session)
    lockout.reopen(session, tried.account)
    lockout.take_back(session, tried.address)
    secret = sessions.open_session(
        session,
        citizen_id,
        level=level_of_method(settings, tried.method.id),
        amr=tried.method.amr,
        now=now,
        limits=settings.limits,
        replaces=replaces,
    )
    record(session, _entry("sign_in.succeeded", tried, now, success=True, reason=tried.method.id))
    return secret


def fail(session: Session, tried: Try, refused: SignInRefused, *, now: datetime) -> None:
    """Record that an attempt failed, and that it locked the account if it did. The caller commits."""
    entries = [_entry("sign_in.failed", tried, now, success=False, reason=refused.reason)]
    if tried.last:
        entries.append(_entry("sign_in.locked", tried, now, success=False, reason="too_many_failures"))
    record(session, *entries)
    logging.event("sign_in.failed", reason=refused.reason, citizen_id=tried.attempt.citizen_id)


def give_up(session: Session, tried: Try) -> None:
    """Take back an attempt that nobody looked at, because the server was busy. The caller commits."""
    lockout.take_back(session, tried.account)
    lockout.take_back(session, tried.address)


def leave(session: Session, signed_in: SignedIn, *, now: datetime) -> None:
    """End the session of a citizen who signs out. The caller commits."""
    sessions.end(session, signed_in.session_digest, now=now)
    record(
        session,
        Entry(
            at=now,
            event="sign_out",
            success=True,
            actor="citizen",
            citizen_id=signed_in.citizen_id,
            trace_id=logging.current_trace_id(),
        ),
    )


def _entry(event: str, tried: Try, now: datetime, *, success: bool, reason: str) -> Entry:
    return Entry(
        at=now,
        event=event,
        success=success,
        # Whoever fails is not known to be the citizen whose account it is.
        actor="citizen" if success else "unknown",
        citizen_id=tried.attempt.citizen_id,
        reason=reason,
        trace_id=logging.current_trace_id(),
    )
