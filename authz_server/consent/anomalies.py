"""What is unusual about a decision: found in the record afterwards, so that deciding costs nothing more.

    first_time     the citizen had never agreed to this client, or not for as long as the record is kept
    again          they had agreed to it a short while before
    unusual_hour   they agreed at night
    many_denials   they had refused this client several times in a short while

Each becomes an entry of the record, from which the citizen is told, and a row that the operator's figures count.

The record is looked through in batches, from where the last look ended. Entries become visible in any order, so each
look begins a little before that, and now and then one begins long before it; the key of `Anomaly` admits each one once.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from sqlalchemy import and_, bindparam, exists, func, or_, select, update
from sqlalchemy.orm import Session

from authz_server.audit.models import AUDIT_ENTRY
from authz_server.audit.service import Entry, record
from authz_server.clients import own
from authz_server.config import Limits
from authz_server.consent.models import CONSENT, Anomaly, AnomalyWatch
from authz_server.core.clock import LOCAL_TIME
from authz_server.database import insert_if_absent

KINDS: Final = ("first_time", "again", "unusual_hour", "many_denials")
BATCH: Final = 500
SOON: Final = timedelta(seconds=10)  # almost every entry is visible by then
LATEST: Final = timedelta(minutes=10)  # longer than a commit takes, and than the clocks of two hosts differ

APPROVED, DENIED = "consent.approved", "consent.denied"
ENTRY = AUDIT_ENTRY.c
PREVIOUS = (
    select(func.max(CONSENT.c.decided_at))
    .where(
        CONSENT.c.citizen_id == ENTRY.citizen_id,
        CONSENT.c.client_id == ENTRY.client_id,
        CONSENT.c.decided_at < ENTRY.at,
    )
    .scalar_subquery()
)
KNOWN = (
    select(func.aggregate_strings(Anomaly.kind, " "))
    .where(Anomaly.transaction_id == ENTRY.transaction_id)
    .scalar_subquery()
)
# Of an entry: whether it tells of a consent that was the citizen's first to its client; known a second after it.
IS_FIRST_TIME = and_(
    ENTRY.event == APPROVED,
    exists().where(Anomaly.transaction_id == ENTRY.transaction_id, Anomaly.kind == "first_time"),
)
DECISIONS = (
    select(
        *(ENTRY[name] for name in ("id", "at", "event", "citizen_id", "client_id", "transaction_id", "consent_id")),
        PREVIOUS.label("previous_at"),
        KNOWN.label("known"),
    )
    .where(
        ENTRY.at >= bindparam("after_at"),
        or_(ENTRY.at > bindparam("after_at"), ENTRY.id > bindparam("after_id")),
        ENTRY.event.in_([APPROVED, DENIED]),
        *(ENTRY[name].is_not(None) for name in ("citizen_id", "client_id", "transaction_id")),
    )
    .order_by(ENTRY.at, ENTRY.id)
    .limit(BATCH)
)
NEWEST = select(func.max(ENTRY.at))
DENIALS = select(func.count()).where(
    ENTRY.citizen_id == bindparam("citizen"),
    ENTRY.client_id == bindparam("client"),
    ENTRY.event == DENIED,
    ENTRY.at > bindparam("since"),
    ENTRY.at <= bindparam("at"),
)


class Place(NamedTuple):
    """A place in the record: that of the last decision which was looked at."""

    at: datetime
    entry_id: int = 0


def begin(session: Session, *, before: timedelta, now: datetime) -> Place:
    """Where to look on: as long as `before` before the place up to which the record was looked through."""
    return Place(min(session.scalars(select(AnomalyWatch.up_to)).one(), now) - before)


def watch(session: Session, *, after: Place, limits: Limits, now: datetime) -> tuple[int, Place | None]:
    """Put on the record what is unusual about the next batch of decisions. The caller commits.

    How many anomalies that were, and where to go on; None if there are no more decisions. Safe to run many at once, and
    again after a crash.
    """
    decisions = session.execute(DECISIONS, {"after_at": after.at, "after_id": after.entry_id}).all()
    unusual = [
        (decision, kind)
        for decision in decisions
        for kind in _kinds(session, decision, limits)
        if kind not in (decision.known or "").split()  # as most, for looks overlap
    ]
    found = _put_on_record(session, unusual, now=now) if unusual else 0
    full = len(decisions) == BATCH
    _remember(session, decisions[-1].at if full else _end(session, now))
    return found, Place(decisions[-1].at, decisions[-1].id) if full else None


def _kinds(session: Session, decision: Any, limits: Limits) -> Iterator[str]:
    if decision.event == DENIED:
        # The one that makes it many; those after it would tell nothing new.
        if _denials(session, decision, limits) == limits.anomaly_denials:
            yield "many_denials"
        return
    if decision.client_id == own.CLIENT_ID:
        pass  # whoever downloads their own data again, or for the first time, does nothing unusual
    elif decision.previous_at is None:
        yield "first_time"
    elif decision.at - decision.previous_at < timedelta(seconds=limits.anomaly_again_s):
        yield "again"
    if _at_night(decision.at.astimezone(LOCAL_TIME).hour, limits):
        yield "unusual_hour"


def _denials(session: Session, denial: Any, limits: Limits) -> int:
    since = denial.at - timedelta(seconds=limits.anomaly_denials_s)
    asked = {"citizen": denial.citizen_id, "client": denial.client_id, "since": since, "at": denial.at}
    return session.execute(DENIALS, asked).scalar_one()


def _at_night(hour: int, limits: Limits) -> bool:
    first, end = limits.anomaly_from_hour, limits.anomaly_until_hour
    return first <= hour < end if first <= end else hour >= first or hour < end


def _put_on_record(session: Session, unusual: Sequence[tuple[Any, str]], *, now: datetime) -> int:
    rows = [
        {"transaction_id": decision.transaction_id, "kind": kind, "client_id": decision.client_id, "at": decision.at}
        for decision, kind in unusual
    ]
    statement = insert_if_absent(session.get_bind().dialect.name, Anomaly)
    # The rows as parameters: the statement is then compiled once, and not for each number of rows.
    new = {tuple(row) for row in session.execute(statement.returning(Anomaly.transaction_id, Anomaly.kind), rows)}
    # At the time of finding, not of the decision: so the notice of it is made, however long no worker ran. But never
    # before it, although what was decided after the look began is found as well: the record is by time.
    entries = [
        Entry(
            at=max(now, decision.at),
            event=f"anomaly.{kind}",
            success=True,
            actor="worker",
            transaction_id=decision.transaction_id,
            citizen_id=decision.citizen_id,
            client_id=decision.client_id,
            consent_id=decision.consent_id,
        )
        for decision, kind in unusual
        if (decision.transaction_id, kind) in new
    ]
    if entries:
        record(session, *entries)
    return len(entries)


def _end(session: Session, now: datetime) -> datetime:
    # Not `now` alone: with a clock that is fast, what is decided until then would be left out.
    newest = session.scalar(NEWEST)
    return now if newest is None else min(newest, now)


def _remember(session: Session, up_to: datetime) -> None:
    # Not each second: a look begins earlier by that much anyway, and every write is one to the disk.
    session.execute(update(AnomalyWatch).where(AnomalyWatch.up_to < up_to - SOON).values(up_to=up_to))
