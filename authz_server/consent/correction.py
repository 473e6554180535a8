"""The citizen says that a field is wrong at the agency it came from; the agency answers.

What it should say instead goes to the agency alone: sealed to its key before it gets here, destroyed as soon as the
agency has taken it, and after eight hours in any case. The record keeps which field it was, and how it ended.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal, get_args

from sqlalchemy import ColumnElement, bindparam, func, null, select, update
from sqlalchemy.orm import Session

from authz_server.audit.service import Entry, record
from authz_server.consent.errors import NeverSent
from authz_server.consent.models import Correction
from authz_server.core.errors import DomainError
from authz_server.database import insert_if_absent, table_of
from authz_server.identity.models import CITIZEN, HELD
from authz_server.prepared import Executor
from authz_server.single_use.decision import Decision

REQUESTED: Final = "consent.correction_requested"
SETTLED: Final = "consent.correction_settled"
# What an agency may answer; what citizens read of it is in portal.record_wording.
Outcome = Literal["corrected", "refused", "in_person"]
OUTCOMES: Final[tuple[Outcome, ...]] = get_args(Outcome)
UNDELIVERED: Final = "undelivered"
SEALED_FOR: Final = timedelta(hours=8)  # README, promises: destroyed within eight hours in any case
MOST: Final = 3  # requests about one field of one consent: after as many answers it is a matter for the telephone

CORRECTION = table_of(Correction)
OPEN = CORRECTION.c.settled_at.is_(None)
UNSENT = CORRECTION.c.sealed.is_not(None)
SHOWN = ("id", "dataset_id", "field_id", "requested_at", "delivered_at", "settled_at", "outcome")


class CorrectionSettled(DomainError):
    """Answered otherwise before, or given up."""

    code = "correction_settled"
    public = "Another answer was given before, or the request never arrived."


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """One field that a citizen wants corrected."""

    transaction_id: str
    citizen_id: int
    client_id: str
    consent_id: str
    agency_id: str
    dataset_id: str
    field_id: str


def _settle(*conditions: ColumnElement[bool]) -> Decision:
    named = ("transaction_id", "citizen_id", "client_id", "consent_id", "agency_id", "dataset_id")
    return Decision(
        update(CORRECTION)
        .where(OPEN, *conditions)
        .values(sealed=null(), settled_at=bindparam("now"), outcome=bindparam("ending"))
        .returning(*(CORRECTION.c[name] for name in named))
    )


NAMED = CORRECTION.c.id == bindparam("correction")
SETTLE = _settle(NAMED)
GIVE_UP = _settle(NAMED, UNSENT)
LAPSE = _settle(UNSENT, CORRECTION.c.requested_at <= bindparam("too_old"))


def request(session: Session, correction_id: str, wanted: Wanted, *, sealed: str, now: datetime) -> bool:
    """Keep what is sealed for the agency until that has taken it; False if it has an open request for this field.

    What has lapsed is destroyed first, for where no worker runs nobody else does. The caller commits.
    Args: correction_id: its name, made before, for what is sealed has to say it.
    """
    lapse(session, now=now)
    values = {**vars(wanted), "id": correction_id, "sealed": sealed.encode(), "requested_at": now}
    statement = insert_if_absent(session.get_bind().dialect.name, Correction).values(values)
    if not session.execute(statement.returning(CORRECTION.c.id)).all():
        return False
    about = {name: value for name, value in vars(wanted).items() if name != "field_id"}
    # The field is one of the catalogue's: a closed list.
    record(session, Entry(at=now, event=REQUESTED, success=True, actor="citizen", reason=wanted.field_id, **about))
    return True


def asked_before(session: Session, wanted: Wanted) -> int:
    """How often this was asked, answered or not."""
    names = ("transaction_id", "citizen_id", "dataset_id", "field_id")
    same = (CORRECTION.c[name] == getattr(wanted, name) for name in names)
    return session.scalar(select(func.count()).select_from(CORRECTION).where(*same)) or 0


def find_sealed(session: Session, entry: Any, *, now: datetime) -> Any | None:
    """The open request that an entry of the record tells of: id and sealed; None if nothing is to be sent any more.

    Nothing is of what has lapsed, for the worker that should have destroyed it may have been away; nor of an account
    that is frozen by then: whoever froze it may not be who asked.
    """
    of_entry = (
        CORRECTION.c.transaction_id == entry.transaction_id,
        CORRECTION.c.dataset_id == entry.dataset_id,
        CORRECTION.c.field_id == entry.reason,
        CORRECTION.c.requested_at == entry.at,
        CORRECTION.c.requested_at > now - SEALED_FOR,
        UNSENT,
    )
    found = select(CORRECTION.c.id, CORRECTION.c.sealed).join(CITIZEN, CITIZEN.c.id == CORRECTION.c.citizen_id)
    return session.execute(found.where(*of_entry, ~HELD)).one_or_none()


def delivered(session: Session, correction_id: str, *, now: datetime) -> None:
    """Destroy what was sealed: the agency has it. The caller commits."""
    session.execute(
        update(CORRECTION).where(CORRECTION.c.id == correction_id, UNSENT).values(sealed=null(), delivered_at=now)
    )


def undelivered(session: Session, correction_id: str, *, now: datetime) -> None:
    """Give up: the agency will not take it, unless it has it by now. The caller commits."""
    entry = Entry(at=now, event=SETTLED, success=False, actor="worker", reason=UNDELIVERED)
    GIVE_UP.run(session, entry=entry, correction=correction_id, ending=UNDELIVERED, now=now)


def lapse(session: Executor, *, now: datetime) -> Sequence[Any]:
    """Give up what was not taken in time, and destroy what was sealed. The caller commits."""
    # Whose request it is that comes across them says nothing of those whom they are of.
    entry = Entry(at=now, event=SETTLED, success=False, actor="worker", reason=UNDELIVERED, trace_id=None)
    return LAPSE.run(session, entry=entry, too_old=now - SEALED_FOR, ending=UNDELIVERED, now=now)


def agency_of(session: Session, correction_id: str) -> str:
    """Which agency a request is for.  Raises: NeverSent."""
    found: str | None = session.scalar(select(CORRECTION.c.agency_id).where(CORRECTION.c.id == correction_id))
    if found is None:
        raise NeverSent("no such correction")
    return found


def settle(session: Session, correction_id: str, outcome: Outcome, *, agency_id: str, now: datetime) -> None:
    """Record what the agency, which the caller has verified, answered. The same again is fine. The caller commits.

    Raises: CorrectionSettled.
    """
    success = outcome == "corrected"
    entry = Entry(at=now, event=SETTLED, success=success, actor=f"agency:{agency_id}", reason=outcome)
    if SETTLE.run(session, entry=entry, correction=correction_id, ending=outcome, now=now):
        return
    if session.scalar(select(CORRECTION.c.outcome).where(CORRECTION.c.id == correction_id)) != outcome:
        raise CorrectionSettled("answered otherwise")


def corrections_of(session: Session, transaction_id: str, *, citizen_id: int) -> Sequence[Any]:
    """The citizen's own requests about one consent, oldest first: SHOWN."""
    own = (CORRECTION.c.transaction_id == transaction_id, CORRECTION.c.citizen_id == citizen_id)
    columns = (CORRECTION.c[name] for name in SHOWN)
    return session.execute(select(*columns).where(*own).order_by(CORRECTION.c.requested_at)).all()


def has_lapsed(row: Any, *, now: datetime) -> bool:
    """Whether what was sealed for a request of `corrections_of` is to be destroyed: no worker was there to do so."""
    return row.settled_at is None and row.delivered_at is None and row.requested_at <= now - SEALED_FOR
