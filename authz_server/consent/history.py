"""All decisions of a citizen, to be looked through: newest first, by what became of them, a page at a time.

However many there are, a page costs the same: a statement walks the index of decisions from where the last page ended,
over at most `LOOKED_AT` of them, and stops as soon as the page is full.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from sqlalchemy import (
    ColumnElement,
    Select,
    String,
    and_,
    case,
    cast,
    false,
    func,
    literal_column,
    not_,
    or_,
    select,
    tuple_,
)
from sqlalchemy.orm import Session

from authz_server.audit.models import AUDIT_ENTRY, DECISIONS
from authz_server.audit.service import NEWEST, Position, after
from authz_server.clients import own
from authz_server.config import Limits
from authz_server.consent.codes import AT_COUNTER, collectable_s
from authz_server.consent.fetches import BEGUN, DELIVERED, ENDED, UNDELIVERED, UNDER_WAY
from authz_server.consent.models import CONSENT, REFUSAL
from authz_server.consent.outcome import Decided, find_outcomes
from authz_server.core.clock import day_of
from authz_server.database import unindexed

# active: something may still be fetched, or what was delivered may still be used or lie there, and nobody has said that
# it is erased; none: nothing was sent, because it was refused, not decided in time, or because no delivery came about;
# history: the rest, over and done.
Kind = Literal["active", "history", "none"]
KINDS: Final[tuple[Kind, ...]] = ("active", "history", "none")
PER_PAGE: Final = 20
LOOKED_AT: Final = 2000
MOST_CLIENTS: Final = 200

DECISION = AUDIT_ENTRY.alias("decision")
STEP = AUDIT_ENTRY.alias("step")
BEFORE = AUDIT_ENTRY.alias("before")


@dataclass(frozen=True, kw_only=True)
class Search:
    """What a text may mean; one of these is enough."""

    reference: str
    client_ids: Collection[str]
    purposes: Collection[tuple[str, str]]  # client_id, purpose_id
    dataset_ids: Collection[str]


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Which decisions are looked for; all of these have to fit, None fits everything."""

    kind: Kind | None = None
    client_id: str | None = None
    dataset_ids: Collection[str] | None = None
    since: datetime | None = None
    until: datetime | None = None  # not itself
    search: Search | None = None


@dataclass(frozen=True, kw_only=True)
class Listed:
    """A decision and what became of it."""

    kind: Kind
    outcome: Decided


@dataclass(frozen=True, kw_only=True)
class Page:
    """Newest first. `next`: where to look further, None at the end; `looked_to`: only so far, and found too few."""

    rows: Sequence[Listed]
    next: Position | None
    looked_to: datetime | None


def look_through(
    session: Session, citizen_id: int, wanted: Wanted, *, limits: Limits, now: datetime, before: Position = NEWEST
) -> Page:
    """A page of the citizen's decisions. Args: before: the `next` of the page before this one."""
    within = _within(citizen_id, wanted, before)
    edge = session.execute(_NEWEST_FIRST.where(*within).offset(LOOKED_AT - 1).limit(1)).one_or_none()
    if edge is not None:
        within.append(~after(Position(edge.at, edge.id), DECISION))
    fitting = _fitting(wanted, limits=limits, now=now).where(*within)
    found = session.execute(fitting.limit(literal_column(str(PER_PAGE + 1)))).all()
    rows, full = found[:PER_PAGE], len(found) > PER_PAGE
    last = rows[-1] if full else edge
    outcomes = find_outcomes(
        session, [row.transaction_id for row in rows], citizen_id=citizen_id, limits=limits, now=now
    )
    return Page(
        rows=[Listed(kind=row.kind, outcome=outcomes[row.transaction_id]) for row in rows],
        next=Position(last.at, last.id) if last else None,
        looked_to=edge.at if edge and not full else None,
    )


def find_listed(
    session: Session, transaction_id: str, *, citizen_id: int, limits: Limits, now: datetime
) -> Listed | None:
    """One decision; None if it is not theirs, or nothing was decided."""
    outcomes = find_outcomes(session, [transaction_id], citizen_id=citizen_id, limits=limits, now=now)
    if transaction_id not in outcomes:
        return None
    own = (*_DECIDED, DECISION.c.transaction_id == transaction_id, unindexed(DECISION.c.citizen_id) == citizen_id)
    row = session.execute(_fitting(Wanted(), limits=limits, now=now).where(*own)).one()
    return Listed(kind=row.kind, outcome=outcomes[transaction_id])


# Spelled out, as in the index: PostgreSQL has to see that the index holds all of them.
_DECIDED: Final = (DECISION.c.event.in_([literal_column(f"'{event}'") for event in DECISIONS]),)
_ORDER: Final = (DECISION.c.at.desc(), DECISION.c.id.desc())
_NEWEST_FIRST: Final = select(DECISION.c.at, DECISION.c.id).order_by(*_ORDER)


def clients_of(session: Session, citizen_id: int) -> Sequence[str]:
    """Ids of the clients that the citizen's newest decisions were about, whatever they decided; at most so many."""
    newest = select(DECISION.c.client_id).where(DECISION.c.citizen_id == citizen_id, *_DECIDED).order_by(*_ORDER)
    known = newest.limit(LOOKED_AT).subquery("newest").c.client_id
    return session.scalars(select(known).where(known.is_not(None)).distinct().order_by(known).limit(MOST_CLIENTS)).all()


def _within(citizen_id: int, wanted: Wanted, before: Position) -> list[ColumnElement[bool]]:
    """The citizen's decisions after the position, as far as their index tells what is wanted."""
    found = [DECISION.c.citizen_id == citizen_id, *_DECIDED, after(before, DECISION)]
    if wanted.since is not None:
        found.append(DECISION.c.at >= wanted.since)
    if wanted.until is not None:
        found.append(DECISION.c.at < wanted.until)
    return found


def _fitting(wanted: Wanted, *, limits: Limits, now: datetime) -> Select[Any]:
    """The decisions that are wanted, newest first, each with its kind."""
    kind = _kind(limits=limits, now=now)
    found = select(DECISION.c.at, DECISION.c.id, DECISION.c.transaction_id, kind.label("kind")).select_from(
        DECISION.outerjoin(CONSENT, CONSENT.c.transaction_id == DECISION.c.transaction_id).outerjoin(
            REFUSAL, REFUSAL.c.transaction_id == DECISION.c.transaction_id
        )
    )
    if wanted.kind is not None:
        # So, and not by equality, which PostgreSQL takes for rare: it would then judge all before it returns the first.
        found = found.where(kind.not_in([other for other in KINDS if other != wanted.kind]))
    if wanted.client_id is not None:
        found = found.where(DECISION.c.client_id == wanted.client_id)
    if wanted.dataset_ids is not None:
        found = found.where(_about_any(wanted.dataset_ids))
    if wanted.search is not None:
        found = found.where(_meant(wanted.search))
    return found.order_by(*_ORDER)


def _kind(*, limits: Limits, now: datetime) -> ColumnElement[str]:
    """As in `Kind`; what is open and what was delivered is told as in `consent.outcome`."""

    def counted(events: Iterable[str], *more: ColumnElement[bool]) -> ColumnElement[int]:
        of_request = STEP.c.transaction_id == DECISION.c.transaction_id
        found = select(func.count()).select_from(STEP).where(of_request, STEP.c.event.in_(list(events)), *more)
        return found.scalar_subquery()

    def arrived(*more: ColumnElement[bool]) -> ColumnElement[bool]:
        # Not EXISTS: PostgreSQL might read the whole record once instead of a few entries of each request.
        whole = [event for event, state in ENDED.items() if state in DELIVERED]
        broken_off = [event for event, state in ENDED.items() if state in UNDELIVERED]
        return or_(counted(whole, *more) > 0, counted(broken_off, _had_begun(), *more) > 0)

    delivered = arrived()
    answered_at = CONSENT.c.erasure_answered_at
    erased = and_(answered_at.is_not(None), CONSENT.c.erasure_refusal.is_(None), not_(arrived(STEP.c.at > answered_at)))
    collected = counted([*ENDED, *UNDER_WAY]) > 0
    granted = func.json_array_length(CONSENT.c.granted)
    ages = {at: now - timedelta(seconds=collectable_s(limits, at_counter=at)) for at in (False, True)}
    download_age = now - timedelta(seconds=collectable_s(limits, at_counter=False, client_id=own.CLIENT_ID))
    in_time = case(
        (DECISION.c.reason == AT_COUNTER, DECISION.c.at >= ages[True]),
        (DECISION.c.client_id == own.CLIENT_ID, DECISION.c.at >= download_age),
        else_=DECISION.c.at >= ages[False],
    )
    fetchable = and_(counted(ENDED) < granted, or_(collected, in_time))
    known = DECISION.c.at >= now - timedelta(seconds=limits.code_ttl_s + limits.access_token_ttl_s)
    held = and_(delivered, CONSENT.c.erase_by >= day_of(now), not_(erased))
    return case(
        (DECISION.c.event != "consent.approved", "none"),
        (CONSENT.c.withdrawn_at.is_not(None), "history"),
        (granted == 0, case((known, "active"), else_="history")),
        (or_(fetchable, held), "active"),
        (delivered, "history"),
        else_="none",
    )


def _had_begun() -> ColumnElement[bool]:
    """Of a step that ends a fetch: whether a delivery had begun since the one before, as in `consent.fetches`."""

    def last(events: Iterable[str]) -> ColumnElement[int]:
        of_fetch = (BEFORE.c[name] == STEP.c[name] for name in ("transaction_id", "dataset_id"))
        found = select(func.coalesce(func.max(BEFORE.c.id), 0)).where(
            *of_fetch, BEFORE.c.id < STEP.c.id, BEFORE.c.event.in_(list(events))
        )
        return found.correlate(STEP).scalar_subquery()

    return last([BEGUN]) > last(ENDED)


def _about_any(dataset_ids: Collection[str]) -> ColumnElement[bool]:
    """Whether it was about one of these datasets: in the octets that orjson writes, for both databases keep them."""
    text = func.coalesce(cast(CONSENT.c.granted, String), cast(REFUSAL.c.asked, String))
    return or_(false(), *(text.contains(f'"dataset":"{dataset_id}"', autoescape=True) for dataset_id in dataset_ids))


def _meant(search: Search) -> ColumnElement[bool]:
    return or_(
        DECISION.c.transaction_id == search.reference,
        DECISION.c.client_id.in_(search.client_ids),
        tuple_(DECISION.c.client_id, func.coalesce(CONSENT.c.purpose_id, REFUSAL.c.purpose_id)).in_(search.purposes),
        _about_any(search.dataset_ids),
    )
