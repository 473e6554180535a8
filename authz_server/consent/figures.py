"""Figures for the operator: how often citizens agreed to which client or did not, and what was unusual. Counts only."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final, Literal

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from authz_server.audit.models import DECISIONS, AuditEntry
from authz_server.consent.anomalies import KINDS
from authz_server.consent.models import Anomaly
from authz_server.core.clock import LOCAL_TIME

Span = Literal["day", "month", "all"]
COUNTED: Final = (*(event.removeprefix("consent.") for event in DECISIONS), *KINDS)


@dataclass(frozen=True, kw_only=True)
class Figures:
    """Counts of one client in a period, by the names in `COUNTED`; first and last day are of Taiwan, both included."""

    first: date
    last: date
    client_id: str
    counts: Counter[str]


def figures(session: Session, *, first: date, last: date, by: Span) -> Sequence[Figures]:
    """The figures of every client that citizens decided about, period by period. Args: first, last: days of Taiwan."""
    return [
        Figures(first=begin, last=end, client_id=client_id, counts=counts)
        for begin, end in _periods(first, last, by)
        for client_id, counts in sorted(_counts(session, begin, end).items())
    ]


def _counts(session: Session, first: date, last: date) -> dict[str, Counter[str]]:
    begin, end = _midnight(first), _midnight(last + timedelta(days=1))
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for statement in (_decisions(begin, end), _anomalies(begin, end)):
        for client_id, name, count in session.execute(statement):
            found[client_id][name.removeprefix("consent.")] += count
    return found


def _decisions(begin: datetime, end: datetime) -> Select[Any, str, int]:
    of, at = (AuditEntry.client_id, AuditEntry.event), AuditEntry.at
    within = (at >= begin, at < end, AuditEntry.event.in_(DECISIONS), AuditEntry.client_id.is_not(None))
    return select(*of, func.count()).where(*within).group_by(*of)


def _anomalies(begin: datetime, end: datetime) -> Select[str, str, int]:
    within = (Anomaly.at >= begin, Anomaly.at < end)
    return (
        select(Anomaly.client_id, Anomaly.kind, func.count()).where(*within).group_by(Anomaly.client_id, Anomaly.kind)
    )


def _periods(first: date, last: date, by: Span) -> Iterator[tuple[date, date]]:
    while first <= last:
        next_month = (first.replace(day=1) + timedelta(days=31)).replace(day=1)
        end = {"day": first, "month": next_month - timedelta(days=1), "all": last}[by]
        yield first, min(end, last)
        first = end + timedelta(days=1)


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), LOCAL_TIME).astimezone(UTC)
