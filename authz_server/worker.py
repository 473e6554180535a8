"""What happens by time: leases and requests run out, citizens are told, old rows go. Safe to run many."""

import signal
import threading
from collections.abc import Callable
from datetime import datetime

from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from authz_server import retention
from authz_server.config import Limits
from authz_server.consent import service as consent
from authz_server.core import clock
from authz_server.core.logging import event
from authz_server.notices import service as notices
from authz_server.tokens import dataset_tokens

EVERY_S = 1.0
PURGE_EVERY_S = 60.0


def tick(engine: Engine, *, now: datetime) -> int:
    """Record what time has decided and tell the citizens; how many rows that were. Each in a transaction of its own."""
    return (
        _committed(engine, lambda session: len(dataset_tokens.tidy(session, now=now)))
        + _committed(engine, lambda session: len(consent.tidy(session, now=now)))
        + _committed(engine, lambda session: notices.announce(session, now=now))
    )


def purge(engine: Engine, *, limits: Limits, time: Callable[[], datetime] = clock.now) -> int:
    """Delete what has been kept long enough, in batches that hold no lock for long; how many rows."""
    return sum(_purge_table(engine, keep, limits=limits, time=time) for keep in retention.KEEP)


def _purge_table(engine: Engine, keep: retention.Keep, *, limits: Limits, time: Callable[[], datetime]) -> int:
    gone = 0
    while True:
        try:
            deleted = _committed(engine, lambda session: retention.purge(session, keep=keep, limits=limits, time=time))
        except retention.TableInUse:
            event("worker.table_in_use", kind=keep.table.name)
            return gone
        gone += deleted
        if deleted < retention.BATCH:
            return gone


def run(engine: Engine, *, limits: Limits) -> None:
    """Work until SIGTERM or SIGINT. A database that is away is waited for."""
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    event("worker.started")
    purge_at = clock.now().timestamp()
    while not stopping.wait(EVERY_S):
        now = clock.now()
        try:
            tick(engine, now=now)
            if now.timestamp() >= purge_at:
                purge(engine, limits=limits)
                purge_at = now.timestamp() + PURGE_EVERY_S
        except OperationalError as error:
            event("worker.database_unavailable", error=type(error.orig).__name__)
    event("worker.stopped")


def _committed(engine: Engine, step: Callable[[Session], int]) -> int:
    with Session(engine) as session, session.begin():
        return step(session)
