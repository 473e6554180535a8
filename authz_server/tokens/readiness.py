"""What an agency says of a dataset that it was asked to prepare: about when it is ready, that it is, that it won't be.

It says so for the citizen, who reads it and is told. It moves no data and is no use: a fetch does both, by a ticket of
its own. A token that is waiting for it lives on, as one does whose fetch was answered "preparing".

If the consent ends before it was delivered, the agency is told that nobody comes for it any more.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, bindparam, case, exists, or_, select, update
from sqlalchemy.orm import Session

from authz_server.audit.models import AUDIT_ENTRY
from authz_server.audit.service import Entry
from authz_server.consent.errors import NeverSent
from authz_server.consent.models import CONSENT
from authz_server.consent.preparation import CONSENT_STANDS, DROPPED, OWNER, PLACE, PREPARATION
from authz_server.core.errors import DomainError
from authz_server.prepared import Executor
from authz_server.single_use.decision import Decision
from authz_server.tokens.dataset_tokens import TOKEN

READY: Final = "preparation.ready"
REFUSED: Final = "preparation.refused"
GRACE: Final = timedelta(hours=1)  # in which whoever was told can come
ENTRY = AUDIT_ENTRY.c
OF_ITS_TOKEN = (TOKEN.c.consent_id == PREPARATION.c.consent_id, TOKEN.c.position == PREPARATION.c.position)
# Nobody knows how that fetch went, so the agency may still have it. Which of two of the same dataset it was, for two
# years, the record does not say; then it is both.
UNKNOWN = exists().where(
    ENTRY.citizen_id == PREPARATION.c.citizen_id,
    ENTRY.at >= PREPARATION.c.asked_at,  # these two are what an index finds
    ENTRY.transaction_id == PREPARATION.c.transaction_id,
    ENTRY.dataset_id == PREPARATION.c.dataset_id,
    ENTRY.event == "token.spent_unknown",
)
# Beside each other: one within the other would look at the fetches of everybody.
UNDELIVERED = or_(~exists().where(*OF_ITS_TOKEN, TOKEN.c.state == "spent"), UNKNOWN)


class PreparationOver(DomainError):
    """The consent has ended, it was fetched, its time is over, or the agency had said otherwise."""

    code = "preparation_over"
    public = "Nobody comes for it any more, or another answer was given before. Throw away what was prepared."


def _said(*conditions: ColumnElement[bool], **values: Any) -> Decision:
    fetched = exists().where(*OF_ITS_TOKEN, TOKEN.c.state.in_(("spent", "dead")))
    return Decision(
        update(PREPARATION)
        .where(PREPARATION.c.id == bindparam("preparation"), PREPARATION.c.until > bindparam("now"))
        .where(PREPARATION.c.ready_at.is_(None), PREPARATION.c.refused_at.is_(None), *conditions)
        .where(PREPARATION.c.dropped_at.is_(None), CONSENT_STANDS, ~fetched)
        .values(values)
        .returning(*(PREPARATION.c[name] for name in OWNER), PREPARATION.c.position)
    )


SAID = {
    "preparing": _said(expected_at=bindparam("expected")),
    "ready": _said(ready_at=bindparam("now")),
    "refused": _said(refused_at=bindparam("now")),
}
TOLD = {"ready": READY, "refused": REFUSED}
# A token that waits for its agency lives on, within the dataset's limit.
LIVE_ON = (
    update(TOKEN)
    .where(TOKEN.c.consent_id == bindparam("consent"), TOKEN.c.position == bindparam("place"))
    .where(TOKEN.c.state == "issued", TOKEN.c.expires_at > bindparam("now"), TOKEN.c.expires_at < bindparam("until"))
    .values(
        expires_at=case(
            (TOKEN.c.expires_limit_at < bindparam("until"), TOKEN.c.expires_limit_at),
            else_=bindparam("until", type_=TOKEN.c.expires_at.type),
        )
    )
)
DROP = Decision(
    update(PREPARATION)
    .where(PREPARATION.c.dropped_at.is_(None), PREPARATION.c.until > bindparam("now"))
    .where(exists().where(CONSENT.c.id == PREPARATION.c.consent_id, CONSENT.c.withdrawn_at.is_not(None)), UNDELIVERED)
    .values(dropped_at=bindparam("now"))
    .returning(*(PREPARATION.c[name] for name in OWNER), PLACE.label("reason"))
)
FIND = select(*(PREPARATION.c[name] for name in ("agency_id", "until", "ready_at", "refused_at", "dropped_at"))).where(
    PREPARATION.c.id == bindparam("preparation")
)


def agency_of(session: Session, preparation_id: str) -> str:
    """Which agency was asked.  Raises: NeverSent."""
    return str(_find(session, preparation_id).agency_id)


def say(
    session: Session, preparation_id: str, state: str, *, agency_id: str, expected_at: datetime | None, now: datetime
) -> None:
    """Take what the agency, which the caller has verified, says. The same again is fine. The caller commits.

    Args: state: a key of SAID; expected_at: about when, of `preparing`.  Raises: PreparationOver, NeverSent.
    """
    entry = None
    if event := TOLD.get(state):
        entry = Entry(at=now, event=event, success=state == "ready", actor=f"agency:{agency_id}")
    kept = (expected_at or now) + GRACE
    asked: dict[str, Any] = {"preparation": preparation_id, "expected": expected_at, "now": now}
    if changed := SAID[state].run(session, entry=entry, **asked):
        if state != "refused":
            waits = {"consent": changed[0].consent_id, "place": changed[0].position}
            session.execute(LIVE_ON, waits | {"until": kept, "now": now})
        return
    known = _find(session, preparation_id)
    stands = known.dropped_at is None and known.until > now
    if stands and state != "preparing" and getattr(known, f"{state}_at") is not None:
        return
    raise PreparationOver(state)


def drop_ended(session: Executor, *, now: datetime) -> Sequence[Any]:
    """Have agencies told to throw away what they prepare for consents that have ended, but for what was delivered. The
    caller commits."""
    return DROP.run(session, entry=Entry(at=now, event=DROPPED, success=True, actor="worker"), now=now)


def _find(session: Session, preparation_id: str) -> Any:
    row = session.execute(FIND, {"preparation": preparation_id}).one_or_none()
    if row is None:
        raise NeverSent("no such preparation")
    return row
