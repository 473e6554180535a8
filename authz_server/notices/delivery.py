"""Carrying notices to people: claim some, put each into words, hand it over, say how that went."""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any, TypeVar

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from authz_server.consent import correction
from authz_server.core import clock
from authz_server.core.logging import event
from authz_server.database import UNREACHABLE, reading, why
from authz_server.notices import outbox
from authz_server.notices.channels.base import Channel, Errand, NotAsked, NotDelivered, Undeliverable
from authz_server.notices.errands import Matter, errand_of, matters
from authz_server.notices.outbox import Claim
from authz_server.prepared import lone_connection

EVERY_S = 1.0
# What was read of several is told for so long: a slow receiver of one must not have the next go to an address, or say
# of a consent, that is none any more.
FRESH = timedelta(seconds=1)
_T = TypeVar("_T")


def run(engine: Engine, channel: Channel, stopping: threading.Event) -> None:
    """Deliver by one channel until told to stop. A database that is away is waited for."""
    while not stopping.wait(EVERY_S):
        try:
            if is_anything_due(engine, channel):
                while not stopping.is_set() and deliver_some(engine, channel, stopping):
                    pass
        except UNREACHABLE as error:
            event("worker.database_unavailable", level=logging.ERROR, kind=channel.id, **why(error))
        channel.rest()


def is_anything_due(engine: Engine, channel: Channel) -> bool:
    """Whether it is worth to claim: that is a write, for which all others wait on SQLite."""
    with lone_connection(engine, read_only=True) as lone:
        return outbox.is_anything_due(lone, channel.id, now=clock.now())


def deliver_some(engine: Engine, channel: Channel, stopping: threading.Event | None = None) -> int:
    """Try to deliver the notices that have been due longest; how many were tried, none if nothing is due.

    Between the receiver's yes and the commit of it lies the one moment at which a crash makes one come a second time.
    Args: stopping: told to stop: those that were not begun are given back.
    """
    claimed_at = clock.now()
    with lone_connection(engine) as connection:
        claims = outbox.claim(connection, channel.id, now=claimed_at)
    if not claims:
        return 0
    errands, read_at = _errands(engine, claims), claimed_at
    last_begin = claimed_at + outbox.LEASE - outbox.LONGEST_ATTEMPT
    for number, claim in enumerate(claims):
        now = clock.now()
        if (stopping is not None and stopping.is_set()) or now > last_begin:
            _give_back(engine, claims[number:])
            return number
        if now - read_at > FRESH:
            errands, read_at = _errands(engine, claims[number:]), now
        errand = errands[claim]
        failure = errand if isinstance(errand, NotDelivered) else _attempt(claim, partial(channel.send, errand))
        carried = None if channel.to_citizen or isinstance(errand, NotDelivered) else errand.correction
        _settle(engine, claim, failure, carried)
    return len(claims)


def _give_back(engine: Engine, claims: Sequence[Claim]) -> None:
    now = clock.now()
    with Session(engine) as session, session.begin():
        for claim in claims:
            outbox.released(session, claim, now=now)


def _attempt(claim: Claim, act: Callable[[], _T]) -> _T | NotDelivered:
    """What it returns, or why this attempt has failed; an error of ours is no reason to hold up other notices."""
    try:
        return act()
    except NotDelivered as error:
        return error
    except UNREACHABLE:
        raise
    except Exception as error:
        event("notice.broken", level=logging.ERROR, kind=claim.channel, error=type(error).__name__)
        return NotDelivered(type(error).__name__)


def _settle(engine: Engine, claim: Claim, failure: NotDelivered | None, carried: Any | None) -> None:
    """Args: carried: what was sealed for the receiver, to be destroyed in the same transaction as its notice closes."""
    if failure is not None:
        _log_failure(claim, failure, over=_failed(engine, claim, failure, carried))
    elif carried is None:
        with lone_connection(engine) as connection:
            outbox.delivered(connection, claim, now=clock.now())
    else:
        with Session(engine) as session, session.begin():
            outbox.delivered(session, claim, now=clock.now())
            correction.delivered(session, carried.id, now=clock.now())


def _failed(engine: Engine, claim: Claim, failure: NotDelivered, carried: Any | None) -> bool:
    """Whether it was given up."""
    now = clock.now()
    with Session(engine) as session, session.begin():
        if isinstance(failure, Undeliverable):
            over = outbox.given_up(session, claim, failure.detail, now=now)
        else:
            asked = not isinstance(failure, NotAsked)
            over = outbox.postponed(session, claim, failure.detail, asked=asked, now=now)
        if over and carried is not None:
            correction.undelivered(session, carried.id, now=now)
    return over


def _log_failure(claim: Claim, failure: NotDelivered, *, over: bool) -> None:
    event(
        "notice.given_up" if over else "notice.postponed",
        level=logging.WARNING,
        kind=claim.channel,
        event_id=claim.audit_entry_id,
        attempt=claim.attempt,
        reason=failure.detail,
    )


def _errands(engine: Engine, claims: Sequence[Claim]) -> dict[Claim, Errand | NotDelivered]:
    """What there is to say of each, or why there is nothing."""
    with Session(reading(engine), expire_on_commit=False) as session:
        found = matters(session, [claim.audit_entry_id for claim in claims])
        return {claim: _attempt(claim, partial(_errand, session, found, claim)) for claim in claims}


def _errand(session: Session, found: Mapping[int, Matter], claim: Claim) -> Errand:
    errand = errand_of(
        session,
        found.get(claim.audit_entry_id),
        channel=claim.channel,
        created_at=claim.created_at,
        now=clock.now(),
    )
    if claim.address is None:
        return errand
    locale = claim.locale or errand.reader.locale
    return replace(errand, reader=replace(errand.reader, email=claim.address, phone=claim.address, locale=locale))
