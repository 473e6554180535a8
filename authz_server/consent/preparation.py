"""Slow datasets are asked for as soon as the citizen agrees, where somebody comes for them later: at a counter, or by
the citizen's own browser, which may be closed meanwhile. A client that was redirected fetches at once, and that very
fetch is what starts the agency's work, so nothing would be gained there.

What the agency is asked leaves by the outbox: the entry ASKED, in the commit of the approval, is the promise that it
will be. Nothing of it rests here: the message is made at each attempt, from the consent, under the same number. What
agencies answer, and when they are told that nobody comes any more: `tokens.readiness`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, String, bindparam, cast, exists, select
from sqlalchemy.orm import Session

from authz_server.audit.service import Entry
from authz_server.catalogue.model import Catalogue
from authz_server.clients.model import RegisteredAgency
from authz_server.consent.models import CONSENT, Preparation
from authz_server.core.secrets import new_id
from authz_server.database import table_of
from authz_server.identity.models import CITIZEN, HELD, held

ASKED: Final = "preparation.asked"
DROPPED: Final = "preparation.dropped"
PREPARATION = table_of(Preparation)
UNSAID: Final = dict.fromkeys(("expected_at", "ready_at", "refused_at", "dropped_at"))
OWNER: Final = ("transaction_id", "citizen_id", "client_id", "consent_id", "agency_id", "dataset_id")
# Which of a consent's datasets it is, on the record: of one dataset there may be two, for two years.
PLACE: ColumnElement[str] = cast(PREPARATION.c.position, String)
# Locked, so that an end that is being committed is waited for.
CONSENT_STANDS = exists(
    select(CONSENT.c.id)
    .where(CONSENT.c.id == PREPARATION.c.consent_id, CONSENT.c.withdrawn_at.is_(None))
    .where(~held(CONSENT.c.citizen_id))
    .with_for_update(read=True, of=CONSENT)
)
ERRAND = (
    select(
        *(PREPARATION.c[name] for name in ("id", "position", "agency_id", "until", "dropped_at")),
        *(CONSENT.c[name] for name in ("granted", "withdrawn_at")),
        CITIZEN.c.national_id,
        HELD.label("held"),
    )
    .join(CONSENT, CONSENT.c.id == PREPARATION.c.consent_id)
    .join(CITIZEN, CITIZEN.c.id == PREPARATION.c.citizen_id)
    .where(PREPARATION.c.consent_id == bindparam("consent"), bindparam("place") == PLACE)
)
SHOWN = select(
    *(PREPARATION.c[name] for name in ("position", "dataset_id", "expected_at", "ready_at", "refused_at", "until"))
).where(
    PREPARATION.c.transaction_id == bindparam("reference"),
    PREPARATION.c.citizen_id == bindparam("citizen"),
    PREPARATION.c.dropped_at.is_(None),
)


@dataclass(frozen=True)
class Askable:
    """What it takes to know whom to ask, and until when somebody may come."""

    catalogue: Catalogue
    agency_of: Callable[[str], RegisteredAgency | None]
    collected_by: datetime  # the last moment to come with the code
    ttl_s: int  # of the tokens that it is redeemed for


def ask(
    granted: Sequence[Mapping[str, Any]], owner: Mapping[str, Any], askable: Askable, *, now: datetime
) -> tuple[list[dict[str, Any]], tuple[Entry, ...]]:
    """The rows and entries of a new consent's preparations, for the statement that decides it.

    Of datasets that take time, of agencies that said where to ask them. Args: owner: the columns of the consent.
    """
    rows: list[dict[str, Any]] = []
    entries: list[Entry] = []
    for position, detail in enumerate(granted):
        dataset = askable.catalogue.dataset(detail["dataset"])
        agency = askable.agency_of(dataset.agency_id) if dataset.typical_wait_s else None
        if agency is None or agency.suspended or agency.preparation_endpoint is None:
            continue
        whose = {**owner, "agency_id": agency.id, "dataset_id": dataset.id}
        until = askable.collected_by + timedelta(seconds=askable.ttl_s + dataset.preparing_limit_s)
        rows.append({**whose, "id": new_id(), "position": position, "asked_at": now, "until": until, **UNSAID})
        entries.append(Entry(at=now, event=ASKED, success=True, actor="citizen", reason=str(position), **whose))
    return rows, tuple(entries)


def find_errand(session: Session, entry: Any) -> Any | None:
    """What an entry ASKED or DROPPED is about: ERRAND; it has the citizen's number at the agency."""
    return session.execute(ERRAND, {"consent": entry.consent_id, "place": entry.reason}).one_or_none()


def preparations_of(session: Session, transaction_id: str, *, citizen_id: int) -> Sequence[Any]:
    """How far the citizen's own preparations of one consent have come, in the order of its datasets: SHOWN."""
    rows = session.execute(SHOWN, {"reference": transaction_id, "citizen": citizen_id}).all()
    return sorted(rows, key=lambda row: row.position)
