"""Carrying notices to people: claim one, put it into words, hand it over, say how that went."""

import logging
import threading
from dataclasses import replace
from typing import Any

from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from authz_server.consent import correction
from authz_server.core import clock
from authz_server.core.logging import event
from authz_server.database import reading
from authz_server.notices import outbox
from authz_server.notices.channels.base import Channel, Errand, NotDelivered, Undeliverable
from authz_server.notices.errands import errand_of
from authz_server.notices.outbox import Claim

EVERY_S = 1.0


def run(engine: Engine, channel: Channel, stopping: threading.Event) -> None:
    """Deliver by one channel until told to stop. A database that is away is waited for."""
    while not stopping.wait(EVERY_S):
        try:
            if is_anything_due(engine, channel):
                while deliver_next(engine, channel) and not stopping.is_set():
                    pass
        except OperationalError as error:
            event("worker.database_unavailable", kind=channel.id, error=type(error.orig).__name__)
        channel.rest()


def is_anything_due(engine: Engine, channel: Channel) -> bool:
    """Whether it is worth to claim: that is a write, for which all others wait on SQLite."""
    with Session(reading(engine)) as session:
        return outbox.is_anything_due(session, channel.id, now=clock.now())


def deliver_next(engine: Engine, channel: Channel) -> bool:
    """Try to deliver the notice that has been due longest; whether there was one.

    Between the receiver's yes and the commit of it lies the one moment at which a crash makes it come a second time.
    """
    with Session(engine) as session, session.begin():
        claim = outbox.claim(session, channel.id, now=clock.now())
    if claim is None:
        return False
    failure: NotDelivered | None = None
    errand: Errand | None = None
    try:
        errand = _errand(engine, claim)
        channel.send(errand)
    except NotDelivered as error:
        failure = error
    except Exception as error:
        failure = NotDelivered(type(error).__name__)
        event("notice.broken", level=logging.ERROR, kind=channel.id, error=failure.detail)
    _settle(engine, claim, failure, None if channel.to_citizen or errand is None else errand.correction)
    return True


def _settle(engine: Engine, claim: Claim, failure: NotDelivered | None, carried: Any | None) -> None:
    """Args: carried: what was sealed for the receiver, to be destroyed in the same transaction."""
    now, over = clock.now(), False
    with Session(engine) as session, session.begin():
        if failure is None:
            outbox.delivered(session, claim, now=now)
            if carried is not None:
                correction.delivered(session, carried.id, now=now)
        elif isinstance(failure, Undeliverable):
            outbox.given_up(session, claim, failure.detail, now=now)
            over = True
        else:
            over = outbox.postponed(session, claim, failure.detail, now=now)
        if over and carried is not None:
            correction.undelivered(session, carried.id, now=now)
    if failure is not None:
        event(
            "notice.given_up" if over else "notice.postponed",
            level=logging.WARNING,
            kind=claim.channel,
            event_id=claim.audit_entry_id,
            attempt=claim.attempt,
            reason=failure.detail,
        )


def _errand(engine: Engine, claim: Claim) -> Errand:
    with Session(reading(engine), expire_on_commit=False) as session:
        errand = errand_of(
            session,
            claim.audit_entry_id,
            channel=claim.channel,
            created_at=claim.created_at,
            now=clock.now(),
        )
    if claim.address is None:
        return errand
    return replace(errand, reader=replace(errand.reader, email=claim.address, phone=claim.address))
