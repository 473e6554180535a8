"""What happens by time: leases and requests run out, citizens are told, old rows go. Safe to run many."""

import signal
import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from logging import ERROR
from typing import TypeVar

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from authz_server import leaving, retention
from authz_server.clients import heartbeats
from authz_server.config import Limits
from authz_server.consent import anomalies, codes, correction, erasure
from authz_server.consent import service as consent
from authz_server.core import clock
from authz_server.core.logging import event
from authz_server.counter import delegation
from authz_server.database import UNREACHABLE, why
from authz_server.notices import delivery
from authz_server.notices import service as notices
from authz_server.notices.channels.base import Channel
from authz_server.notices.channels.email import EmailToClient
from authz_server.prepared import Executor, lone_connection
from authz_server.tokens import dataset_tokens, readiness

T = TypeVar("T")
STOP = (signal.SIGTERM, signal.SIGINT)  # as core.serving has them, which would load a web server
EVERY_S = 1.0
PURGE_EVERY_S = 60.0
THOROUGH_EVERY_S = 60.0
# Entries become visible late by as long as their transactions take, and as the clocks of two hosts differ: almost all
# within this time. All of it is looked through each second, whatever the traffic; once a minute comes a thorough look.
SHORT_LOOK = timedelta(seconds=30)
DEFAULT_LIMITS = Limits()


def tick(
    engine: Engine,
    *,
    now: datetime,
    channels: Sequence[Channel] = notices.TO_EVERYBODY,
    look_back: timedelta = notices.LATEST,
    limits: Limits = DEFAULT_LIMITS,
) -> int:
    """Record what time has decided and tell the citizens; how many rows that were. Each in a transaction of its own.

    Args: channels, look_back: see `notices.announce`; a look as thorough as that also finds what is older, and sees to
        what need not be seen to each second.
    """
    thorough = look_back >= notices.LATEST
    # A thorough look goes as far back as rows are kept: what no worker saw, however long none ran, is found.
    since = clock.EVER if thorough else look_back
    return (
        _decided(engine, lambda lone: len(dataset_tokens.tidy(lone, look_back=since, now=now)))
        + _committed(engine, lambda session: len(consent.tidy(session, look_back=since, now=now)))
        + _committed(engine, lambda session: len(delegation.tidy(session, now=now)))
        + _decided(engine, lambda lone: len(readiness.drop_ended(lone, now=now)))
        + (_unhurried(engine, channels, limits=limits, now=now) if thorough else 0)
        + watch(engine, before=anomalies.SOON, limits=limits, now=now)
        + _decided(engine, lambda lone: notices.announce(lone, channels=channels, look_back=look_back, now=now))
    )


def short_look(*, since_last_s: float) -> timedelta:
    """How far back a look goes that is not thorough: also over the time in which none was possible."""
    return SHORT_LOOK + timedelta(seconds=since_last_s)


def _unhurried(engine: Engine, channels: Sequence[Channel], *, limits: Limits, now: datetime) -> int:
    """What comes minutes or days after its cause anyway, and is found by a thorough look alone."""
    by_mail = any(channel.id == EmailToClient.id for channel in channels)
    return (
        _decided(engine, lambda lone: len(codes.tidy(lone, now=now)))
        + _decided(engine, lambda lone: len(erasure.remind(lone, by_mail=by_mail, now=now)))
        + _decided(engine, lambda lone: len(correction.lapse(lone, now=now)))
        + _committed(engine, lambda session: heartbeats.mark_silent(session, after_s=limits.agency_silence_s, now=now))
    )


def watch(engine: Engine, *, before: timedelta, limits: Limits, now: datetime) -> int:
    """Look through the record for anomalies, in batches; how many were new."""
    found = 0
    with Session(engine) as session:
        place: anomalies.Place | None = anomalies.begin(session, before=before, now=now)
        while place is not None:
            more, place = anomalies.watch(session, after=place, limits=limits, now=now)
            session.commit()
            found += more
    return found


def purge(
    engine: Engine, *, limits: Limits, time: Callable[[], datetime] = clock.now, look_back: timedelta = clock.EVER
) -> int:
    """Delete what has been kept long enough, in batches that hold no lock for long; how many rows.

    Args: look_back: as of `leaving.sweep`.
    """
    swept = _committed(engine, lambda session: leaving.sweep(session, look_back=look_back, now=time()))
    return swept + sum(_purge_table(engine, keep, limits=limits, time=time) for keep in retention.KEEP)


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


def run(
    engine: Engine,
    *,
    limits: Limits,
    channels: Sequence[Channel] = notices.TO_EVERYBODY,
    first: Callable[[Session], None] = lambda _: None,
) -> None:
    """Work until SIGTERM or SIGINT. A database that is away is waited for.

    Each channel that sends has a thread of its own: a server that hangs holds up nothing else.
    Args: first: what is to be done before all else, in a transaction; what it raises ends the worker.
    """
    stopping = threading.Event()
    _listen(stopping)
    if not _is_done(engine, first, stopping):
        return
    broken: list[Exception] = []
    carriers = [
        threading.Thread(target=_carry, args=(engine, channel, stopping, broken), name=channel.id)
        for channel in channels
        if not channel.immediate
    ]
    for carrier in carriers:
        carrier.start()
    event("worker.started")
    try:
        _keep_watch(engine, stopping, limits=limits, channels=channels)
    finally:
        # Whatever ended it: a part alone would look like a worker, and nobody would start a whole one.
        stopping.set()
        for carrier in carriers:
            carrier.join()
    if broken:
        raise broken[0]
    event("worker.stopped")


def _listen(stopping: threading.Event) -> None:
    """Set it at SIGTERM or SIGINT, however many of them come.

    A thread waits for them. A handler would run in the middle of whatever the main thread does, also of waiting for
    this very event or of setting it at the signal before, and then wait for ever for the lock that is held there.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP)

    def listen() -> None:
        signal.sigwait(STOP)
        stopping.set()

    threading.Thread(target=listen, name="signals", daemon=True).start()


def _is_done(engine: Engine, first: Callable[[Session], None], stopping: threading.Event) -> bool:
    """Do it as soon as the database is there; False if the worker is to stop before."""
    while not stopping.is_set():
        try:
            _committed(engine, first)
        except UNREACHABLE as error:
            event("worker.database_unavailable", level=ERROR, **why(error))
            stopping.wait(EVERY_S)
        else:
            return True
    return False


def _carry(engine: Engine, channel: Channel, stopping: threading.Event, broken: list[Exception]) -> None:
    """Deliver by one channel; whatever ends that ends the worker, for without it messages would lie there unseen."""
    try:
        delivery.run(engine, channel, stopping)
    except Exception as error:
        broken.append(error)
        stopping.set()


def _keep_watch(engine: Engine, stopping: threading.Event, *, limits: Limits, channels: Sequence[Channel]) -> None:
    ticked_at = thorough_at = purge_at = time.monotonic()  # whatever becomes of the clock
    sweep_back = clock.EVER
    while not stopping.wait(EVERY_S):
        now, moment = clock.now(), time.monotonic()
        try:
            thorough = moment >= thorough_at
            look_back = notices.LATEST if thorough else short_look(since_last_s=moment - ticked_at)
            tick(engine, now=now, channels=channels, look_back=look_back, limits=limits)
            ticked_at = moment
            if thorough:
                watch(engine, before=anomalies.LATEST, limits=limits, now=now)
                thorough_at = moment + THOROUGH_EVERY_S
            if moment >= purge_at:
                purge(engine, limits=limits, look_back=sweep_back)
                purge_at, sweep_back = moment + PURGE_EVERY_S, leaving.SWEPT
        except UNREACHABLE as error:
            event("worker.database_unavailable", level=ERROR, **why(error))


def _decided(engine: Engine, step: Callable[[Executor], int]) -> int:
    """For steps of which each statement may be a transaction of its own."""
    with lone_connection(engine) as lone:
        return step(lone)


def _committed(engine: Engine, step: Callable[[Session], T]) -> T:
    with Session(engine) as session, session.begin():
        return step(session)
