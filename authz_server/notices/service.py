"""Telling citizens and clients: notices are made from the record, so an event that happened can't go unannounced.

An entry is in the record exactly if its event was committed. Entries become visible in any order, so there is no
"last one seen": each pass makes every notice that is missing since the newest notice, and for a while before it. So
however long no worker ran, none is left out; the newest notice in any inbox says how far the last one came.

A pass makes all notices of an entry at once. So those of an entry that has one are missing only where a worker with
fewer channels was there before, or what entitles the citizen to another became visible later: each second only entries
without any are looked at, and all of them once a minute.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Literal

from sqlalchemy import (
    Boolean,
    ColumnElement,
    Select,
    any_,
    bindparam,
    case,
    cast,
    exists,
    func,
    literal,
    select,
    union_all,
)
from sqlalchemy.orm import aliased

from authz_server.audit.models import AuditEntry
from authz_server.database import insert_if_absent
from authz_server.identity.models import Citizen
from authz_server.notices.channels.base import Channel, is_one_of
from authz_server.notices.channels.web import Web
from authz_server.notices.letter import CODES
from authz_server.notices.models import KEPT_DAYS, NOTICE, Notice
from authz_server.notices.outbox import AHEAD
from authz_server.prepared import Executor, Prepared, is_sqlite

# Longer than it takes an entry to be committed, and than the clocks of two hosts differ.
LATEST = timedelta(hours=1)
# The entries of no longer than this are held in an array: see `_recent`.
FEW = timedelta(days=1)
COLUMNS = ("audit_entry_id", "channel", "citizen_id", "created_at", "due_at", "attempts", "delivered_at")
TO_EVERYBODY: tuple[Channel, ...] = (Web(),)
# Every pass has the inbox; what is sent to somebody who leaves is made by no pass.
_NEWEST = Prepared(select(func.max(NOTICE.c.created_at).label("created_at")).where(NOTICE.c.channel == Web.id))


def announce(
    executor: Executor, *, channels: Sequence[Channel] = TO_EVERYBODY, look_back: timedelta = LATEST, now: datetime
) -> int:
    """Make the notices that are missing, by each of these channels; how many. The caller commits, unless it is lone.

    Safe to run many at once: the key admits one notice for each entry and channel. All in one statement, so that the
    newest notice never stands for a pass that was only half done.
    Args: look_back: how long before the newest notice to look, less than `LATEST` for a pass that is soon followed by a
        thorough one, and leaves to it what only that finds.
    """
    newest = _NEWEST.run(executor, {})[0].created_at
    oldest = now - timedelta(days=KEPT_DAYS)  # what is older was told, and its notice is gone
    since = oldest if newest is None else max(oldest, min(newest, now) - look_back)
    statement = _announcing(
        tuple(channels),
        "sqlite" if is_sqlite(executor) else "postgresql",
        thorough=look_back >= LATEST,
        few=now - since <= FEW,
    )
    return len(statement.run(executor, {"since": since, "now": now, "first": now - AHEAD}))


@lru_cache(maxsize=8)  # a process has two or three
def _announcing(
    channels: tuple[Channel, ...], dialect: Literal["postgresql", "sqlite"], *, thorough: bool, few: bool
) -> Prepared:
    kinds = union_all(*(_kind(channel) for channel in channels)).subquery("kind").c
    entitled = case(*((kinds.channel == channel.id, channel.entitled()) for channel in channels))
    moment, first = (bindparam(name, type_=NOTICE.c.created_at.type) for name in ("now", "first"))
    due = case((is_one_of(CODES), first), else_=moment)
    missing = (
        select(
            AuditEntry.id,
            kinds.channel,
            case((kinds.to_citizen, AuditEntry.citizen_id)),
            moment,
            case((~kinds.immediate, due)),
            literal(0),
            case((kinds.immediate, moment)),
        )
        .join(Citizen, Citizen.id == AuditEntry.citizen_id)
        .join(kinds.channel.table, entitled)
        .where(
            _recent(channels, thorough=thorough, as_array=few and dialect == "postgresql"),
            Citizen.left_at.is_(None) | ~kinds.to_citizen,  # who leaves was told then
            ~exists().where(NOTICE.c.audit_entry_id == AuditEntry.id, NOTICE.c.channel == kinds.channel),
        )
        .order_by(AuditEntry.id)
    )
    statement = insert_if_absent(dialect, Notice).from_select(COLUMNS, missing, include_defaults=False)
    return Prepared(statement.returning(NOTICE.c.audit_entry_id))


def _kind(channel: Channel) -> Select[str, bool, bool]:
    return select(
        literal(channel.id).label("channel"),
        cast(channel.to_citizen, Boolean).label("to_citizen"),
        cast(channel.immediate, Boolean).label("immediate"),
    )


def _recent(channels: Sequence[Channel], *, thorough: bool, as_array: bool) -> ColumnElement[bool]:
    """The entries of the time looked back that may have to be told.

    As an array PostgreSQL, whose one plan has to serve all values, takes them for a few, and looks up what belongs to
    each; else it takes them for a third of the record, and reads the tables of citizens and notices from end to end.
    That is right for what was left undone for days, which may be any number.
    """
    if not as_array:
        return _may_be_told(AuditEntry, channels, thorough=thorough)
    entry = aliased(AuditEntry)
    ids = select(entry.id).where(_may_be_told(entry, channels, thorough=thorough)).scalar_subquery()
    return AuditEntry.id == any_(func.array(ids))


def _may_be_told(entry: type[AuditEntry], channels: Sequence[Channel], *, thorough: bool) -> ColumnElement[bool]:
    events = frozenset[str]().union(*(channel.events for channel in channels))
    of_interest = (entry.at > bindparam("since")) & is_one_of(events, entry)
    if thorough:
        return of_interest
    # A subquery with a limit is run for each entry, and looks into the index. An EXISTS would be a join, for which
    # PostgreSQL reads all notices, as for a third of the record.
    told = select(NOTICE.c.audit_entry_id).where(NOTICE.c.audit_entry_id == entry.id).limit(1).scalar_subquery()
    return of_interest & told.is_(None)
