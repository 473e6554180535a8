"""A sign-in, from the first look at the form to the session: what is counted, spent, opened and recorded."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import update
from sqlalchemy.orm import Session

from authz_server.audit.service import Entry, record
from authz_server.config import Settings
from authz_server.core import logging
from authz_server.identity import browsers, lockout, open_sessions, sessions, turns
from authz_server.identity.browsers import Browser
from authz_server.identity.errors import AnotherCitizen, SignInRefused
from authz_server.identity.levels import level_of_method
from authz_server.identity.lockout import Door
from authz_server.identity.methods.base import Attempt, Method
from authz_server.identity.models import CITIZEN
from authz_server.identity.sessions import SignedIn


@dataclass(frozen=True, kw_only=True)
class Try:
    """An attempt that was counted. `locked_until`: if it fails, the account is locked until then."""

    method: Method
    attempt: Attempt
    doors: tuple[Door, ...]
    locked_until: datetime | None


def begin(
    session: Session,
    method: Method,
    begin: Callable[[Session], Attempt],
    *,
    account: str | None,
    address: str | None,
    settings: Settings,
    now: datetime,
) -> Try:
    """Count an attempt and read what is known about its account.

    The caller commits, also when this raises, before it goes on: what was counted must stand whatever comes.
    Args: begin: the method's own first step; account: what is guessed at, None if nobody can say before it is proved.
    Raises: SignInLocked.
    """
    doors = tuple(method.doors(account, address, settings))
    # In this order here, in `complete` and in `give_up`: else two sign-ins could wait for each other.
    locks = lockout.count_at(session, doors, now=now)
    ends = [until for door, until in locks if door.kind == lockout.ACCOUNT and until is not None]
    return Try(method=method, attempt=begin(session), doors=doors, locked_until=max(ends, default=None))


def complete(
    session: Session,
    tried: Try,
    *,
    settings: Settings,
    browser: Browser,
    replaces: str | None,
    now: datetime,
    only: int | None,
) -> str:
    """Spend what was proved and open a session; return its secret. The caller commits.

    Args: browser: where it is opened, known from then on; replaces: the session that it had so far; it ends;
        only: the citizen whom it must be, if any.
    Raises: SignInRefused; then nothing was opened, and `fail` must follow.
    """
    # Judged before anything is spent, where it is known, and after: a recovery code must not be lost on nothing.
    if only is not None and tried.attempt.citizen_id not in {None, only}:
        raise AnotherCitizen("another_citizen")
    whose = only if only is not None else tried.attempt.citizen_id
    if whose is not None:
        # Whoever shuts the account waits and ends this session too, or has shut it before `accept` looks. Before the
        # session: they take them in this order.
        turns.take(session, whose)
    accepted = tried.attempt.accept(session)
    if only not in {None, accepted.citizen_id}:
        raise AnotherCitizen("another_citizen")
    level = level_of_method(settings, tried.method.id)
    lockout.came_in(session, tried.doors)
    secret = sessions.open_session(
        session,
        accepted.citizen_id,
        level=level if accepted.level is None else max(level, accepted.level),
        amr=tried.method.amr if accepted.amr is None else accepted.amr,
        method=tried.method.id,
        now=now,
        limits=settings.limits,
        replaces=replaces,
        browser=browser,
    )
    events = [browsers.SIGNED_IN] + ([accepted.event] if accepted.event else [])
    if browsers.recognise(session, accepted.citizen_id, browser, now=now):
        events.append("sign_in.new_device")
    entry = replace(
        _entry(browsers.SIGNED_IN, tried, now, success=True, reason=tried.method.id), citizen_id=accepted.citizen_id
    )
    record(session, *(replace(entry, event=event) for event in events))
    _verify_twice(session, secret, now=now)
    return secret


def _verify_twice(session: Session, secret: str, *, now: datetime) -> None:
    """Note for good, and on the record, when a session rests on two different methods for the first time."""
    signed_in = sessions.find(session, secret, now=now)
    if signed_in is None or signed_in.verified_at is not None or len(signed_in.methods) < 2:
        return
    unverified = (CITIZEN.c.id == signed_in.citizen_id, CITIZEN.c.verified_at.is_(None))
    session.execute(update(CITIZEN).where(*unverified).values(verified_at=now))
    verified = Entry(at=now, event="account.verified", success=True, actor="citizen", citizen_id=signed_in.citizen_id)
    record(session, verified)


def fail(session: Session, tried: Try, refused: SignInRefused, *, now: datetime) -> None:
    """Record that an attempt failed, and that it locked the account if it did. The caller commits."""
    entries = [_entry("sign_in.failed", tried, now, success=False, reason=refused.reason)]
    if refused.anomaly is not None:
        entries.append(_entry(refused.anomaly, tried, now, success=False, reason=tried.method.id))
    if isinstance(refused, AnotherCitizen):  # whose proof was right: nobody has guessed
        give_up(session, tried)
    elif tried.locked_until:
        entries.append(_entry("sign_in.locked", tried, now, success=False, reason="too_many_failures"))
    record(session, *entries)
    logging.event("sign_in.failed", reason=refused.reason, citizen_id=tried.attempt.citizen_id)


def give_up(session: Session, tried: Try) -> None:
    """Take back an attempt that was no wrong guess, or that nobody looked at. The caller commits."""
    for door in tried.doors:
        lockout.take_back(session, door)


def end_others(session: Session, signed_in: SignedIn, *, now: datetime, name: str | None = None) -> bool:
    """Sign the citizen out of all other browsers, or of that one; whether there was any. The caller commits.

    Args: name: as of `open_sessions.Open`.  Raises: ShutOut; then nothing may be committed.
    """
    turns.hold(session, signed_in, frozen=True)
    if name is None:
        ended = sessions.end_all(session, signed_in.citizen_id, now=now, but=signed_in.session_digest)
    else:
        ended = open_sessions.end_other(session, signed_in, name, now=now)
    if ended:
        reason = "all_others" if name is None else None
        entry = Entry(
            at=now,
            event="session.ended",
            success=True,
            actor="citizen",
            citizen_id=signed_in.citizen_id,
            reason=reason,
        )
        record(session, entry)
    return ended


def leave(session: Session, signed_in: SignedIn, *, now: datetime) -> None:
    """End the session of a citizen who signs out. The caller commits."""
    sessions.end(session, signed_in.session_digest, now=now)
    record(session, Entry(at=now, event="sign_out", success=True, actor="citizen", citizen_id=signed_in.citizen_id))


def _entry(event: str, tried: Try, now: datetime, *, success: bool, reason: str) -> Entry:
    return Entry(
        at=now,
        event=event,
        success=success,
        # Whoever fails is not known to be the citizen whose account it is.
        actor="citizen" if success else "unknown",
        citizen_id=tried.attempt.citizen_id,
        reason=reason,
    )
