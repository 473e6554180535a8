"""Barcodes as an office has them: announced at a counter, then redeemed with the one-time code that its citizen got.

Whatever is wrong, the desk learns the same. What it was goes on the citizen's record, who can read it on their page.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final, cast

from sqlalchemy import bindparam, exists, or_, update
from sqlalchemy.orm import Session

from authz_server.audit.models import AUDIT_ENTRY
from authz_server.audit.service import Entry, record
from authz_server.catalogue.model import Catalogue
from authz_server.clients import standing
from authz_server.config import Limits
from authz_server.consent.codes import CODE, OWNED
from authz_server.consent.errors import CodeNotUsable, DatasetGone
from authz_server.core.secrets import equal
from authz_server.counter.agents import delegated_to, on_both
from authz_server.counter.barcodes import AnnouncedRow, BarcodeRow, find
from authz_server.counter.codes import one_time_code
from authz_server.counter.delegation import use
from authz_server.counter.errors import BarcodeNotUsable, DeskLocked
from authz_server.counter.models import BARCODE
from authz_server.identity import lockout
from authz_server.identity.errors import SignInLocked
from authz_server.identity.lockout import ADDRESS_FACTOR, Door, usual_door
from authz_server.identity.models import held
from authz_server.single_use.decision import Decision
from authz_server.single_use.identifiers import Identifier
from authz_server.tokens.redemption import Issued, redeem, redeeming

ANNOUNCED: Final = "counter.announced"
REDEEMED: Final = "counter.redeemed"
REFUSED: Final = "counter.refused"
LOCKED: Final = "counter.locked"
# It is theirs to whom it was shown, and they may use it.
PRESENTABLE = (
    BARCODE.c.agent_id.is_not_distinct_from(delegated_to(BARCODE.c.consent_id)),
    ~held(BARCODE.c.agent_id),
)
ANNOUNCE = Decision(
    update(BARCODE)
    .where(
        BARCODE.c.digest == bindparam("barcode"),
        BARCODE.c.client_id == bindparam("office"),
        BARCODE.c.expires_at > bindparam("now"),
        or_(BARCODE.c.code_expires_at.is_(None), BARCODE.c.code_expires_at <= bindparam("now")),
        exists().where(CODE.c.digest == BARCODE.c.digest, CODE.c.used_at.is_(None)),
        *PRESENTABLE,
    )
    .values(
        announced_at=bindparam("now"),
        code_expires_at=bindparam("until"),
        counter_id=bindparam("counter"),
        clerk_id=bindparam("clerk"),
    )
    .returning(*(BARCODE.c[name] for name in OWNED)),
    leaves=[AUDIT_ENTRY],
)
# Of a barcode that is still shown and whose code was asked for at this moment, by its office, not too long ago.
REDEEM = redeeming(
    exists().where(
        BARCODE.c.digest == CODE.c.digest,
        BARCODE.c.client_id == bindparam("office"),
        BARCODE.c.expires_at > bindparam("now"),
        BARCODE.c.announced_at == bindparam("announced"),
        BARCODE.c.code_expires_at > bindparam("now"),
        *PRESENTABLE,
    )
)


@dataclass(frozen=True, kw_only=True)
class Desk:
    """Where a barcode is presented, and by whom: an office, which of its counters (None: it does not say), and the
    clerk, by their appointment and as who they are (None: the office names none)."""

    client_id: str
    counter_id: str | None = None
    clerk_id: int | None = None
    clerk_citizen_id: int | None = None

    @property
    def actor(self) -> str:
        """For the record; read by `naming`."""
        parts = (self.client_id, self.counter_id or "", "" if self.clerk_id is None else str(self.clerk_id))
        return f"desk:{'/'.join(parts).rstrip('/')}"


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """What presenting a barcode is held against."""

    server_secret: bytes
    limits: Limits
    now: datetime


def announce(
    session: Session, presented: str, *, desk: Desk, bounds: Bounds, spend: Sequence[Identifier]
) -> AnnouncedRow:
    """Have a one-time code made for a barcode, for two minutes; its row, with name and consent. The caller commits.

    The caller commits also when it raises, for that was counted. A second time within the two minutes nothing changes.
    Raises: BarcodeNotUsable, DeskLocked, AssertionReplayed, ProofReplayed.
    """
    _spend(session, desk, spend)
    door = _count_at_desk(session, desk, bounds, most=bounds.limits.sign_in_failures)
    row = _judged(session, presented, desk, bounds, door)
    entry = _entry(row, ANNOUNCED, desk, bounds, success=True)
    # The code goes to whom the barcode was shown: this event is what brings it to them.
    own = [] if row.agent_id is None else [replace(entry, citizen_id=row.agent_id)]
    decided = ANNOUNCE.run(
        session,
        entry=entry if row.agent_id is None else on_both(entry, row.agent_id)[0],
        rows=[[one.values() for one in own]],
        barcode=row.digest,
        office=desk.client_id,
        counter=desk.counter_id,
        clerk=desk.clerk_id,
        until=bounds.now + timedelta(seconds=bounds.limits.visit_code_ttl_s),
        now=bounds.now,
    )
    row = _judged(session, presented, desk, bounds)
    if not decided and row.counter_id != desk.counter_id:
        raise _refused(session, row, "elsewhere", desk, bounds)
    return cast(AnnouncedRow, row)


def redeem_barcode(
    session: Session,
    presented: str,
    tx_code: str,
    *,
    desk: Desk,
    jkt: str,
    catalogue: Catalogue,
    bounds: Bounds,
    spend: Sequence[Identifier],
) -> tuple[BarcodeRow, Issued]:
    """Spend a barcode with its one-time code, and issue the tokens of its consent. The caller commits.

    Args: desk: without its counter, for it is the one at which the barcode was announced.
    The caller commits also when it raises BarcodeNotUsable, for that was counted.
    Raises: BarcodeNotUsable, DeskLocked, AssertionReplayed, ProofReplayed.
    """
    _spend(session, desk, spend)
    # It does not say which of the office's counters it is at, so all of them share this door.
    door = _count_at_desk(session, desk, bounds, most=bounds.limits.sign_in_failures * ADDRESS_FACTOR)
    row = _judged(session, presented, desk, bounds, door)
    desk = replace(desk, counter_id=row.counter_id)
    _check_code(session, row, tx_code, desk, bounds)
    try:
        issued = redeem(
            session,
            row,
            jkt=jkt,
            catalogue=catalogue,
            limits=bounds.limits,
            spend=(),
            now=bounds.now,
            decision=REDEEM,
            told=_entries(row, REDEEMED, desk, bounds, success=True),
            agent_id=row.agent_id,
            clerk_citizen_id=desk.clerk_citizen_id,
            office=desk.client_id,
            announced=row.announced_at,
        )
    except CodeNotUsable as problem:  # else in this very moment: used by another desk, replaced, stopped
        # The code was right, so it was no guess. The desk can't tell, for every cause is answered alike.
        lockout.take_back(session, _visit_door(row.consent_id, bounds.limits))
        reason = "dataset_gone" if isinstance(problem, DatasetGone) else "used"
        raise _refused(session, row, reason, desk, bounds) from None
    if row.agent_id is not None:
        use(session, row.consent_id, now=bounds.now)
    lockout.reopen(session, _visit_door(row.consent_id, bounds.limits))
    return row, issued


def tries_left(session: Session, consent_id: str, *, limits: Limits, now: datetime) -> tuple[int, datetime | None]:
    """How many one-time codes of a visit may still be wrong, and until when it is locked, if it is."""
    return lockout.left(session, _visit_door(consent_id, limits), now=now)


def _spend(session: Session, desk: Desk, spend: Sequence[Identifier]) -> None:
    """At first, for what is refused is counted and recorded: who sends it again must not lock its citizen out by that.

    Raises: AssertionReplayed, ProofReplayed; BarcodeNotUsable, if the office was suspended in this moment.
    """
    if not standing.check(session, desk.client_id, spend=spend):
        raise BarcodeNotUsable("suspended")


def _count_at_desk(session: Session, desk: Desk, bounds: Bounds, *, most: int) -> Door:
    """Count an attempt, before it is known whether it is good.  Raises: DeskLocked."""
    door = usual_door("desk", f"{desk.client_id}\0{desk.counter_id or ''}", bounds.limits, most=most)
    try:
        lockout.count(session, door, now=bounds.now)
    except SignInLocked as locked:
        raise DeskLocked(locked.until, now=bounds.now) from None
    return door


def _judged(session: Session, presented: str, desk: Desk, bounds: Bounds, door: Door | None = None) -> BarcodeRow:
    """The row of a barcode with which this office may go on.  Raises: BarcodeNotUsable.

    Args: door: where it was counted; one that exists was not guessed, so whatever else speaks against it locks nobody.
    """
    row = find(session, presented, server_secret=bounds.server_secret)
    if row is None:
        raise BarcodeNotUsable("unknown")
    if door is not None:
        lockout.take_back(session, door)
    if reason := _against(row, desk, bounds.now):
        raise _refused(session, row, reason, desk, bounds)
    return row


def _against(row: BarcodeRow, desk: Desk, now: datetime) -> str | None:
    """What speaks against a barcode, None if nothing does: a code of the record."""
    if row.client_id != desk.client_id:
        return "wrong_office"
    if desk.clerk_citizen_id is not None and desk.clerk_citizen_id in (row.citizen_id, row.agent_id):
        return "own_clerk"  # the one-time code shows that two people stand at the counter
    if row.withdrawn_at is not None or row.held:
        return "consent_ended"
    if row.used_at is not None:
        return "used"
    if row.agent_id != row.delegated_to or row.agent_held:
        return "handed_on"
    if row.until is None and row.expires_at > now:  # else it may have gone with its time
        return "shown_again"
    return "too_late" if row.until is None or min(row.expires_at, row.until) <= now else None


def _check_code(session: Session, row: BarcodeRow, tx_code: str, desk: Desk, bounds: Bounds) -> None:
    """Raises: BarcodeNotUsable."""
    if row.code_expires_at is None or row.code_expires_at <= bounds.now:
        raise _refused(session, row, "code_too_late", desk, bounds)
    try:
        locked_until = lockout.count(session, _visit_door(row.consent_id, bounds.limits), now=bounds.now)
    except SignInLocked:
        raise _refused(session, row, "locked", desk, bounds) from None
    if not equal(one_time_code(bounds.server_secret, row.digest, row.announced_at), tx_code.strip()):
        if locked_until is not None:
            record(session, *_entries(row, LOCKED, desk, bounds, reason="wrong_code"))
        raise _refused(session, row, "wrong_code", desk, bounds)


def _refused(session: Session, row: BarcodeRow, reason: str, desk: Desk, bounds: Bounds) -> BarcodeNotUsable:
    """What to raise; the citizen's record says why."""
    record(session, *_entries(row, REFUSED, desk, bounds, reason=reason))
    return BarcodeNotUsable(reason)


def _entries(row: BarcodeRow, event: str, desk: Desk, bounds: Bounds, **more: Any) -> Sequence[Entry]:
    """What the record says: the citizen's, and that of the agent who brought the barcode."""
    entry = _entry(row, event, desk, bounds, **more)
    return (entry,) if row.agent_id is None else on_both(entry, row.agent_id)


def _entry(row: BarcodeRow, event: str, desk: Desk, bounds: Bounds, *, success: bool = False, **more: Any) -> Entry:
    owner = {name: getattr(row, name) for name in OWNED} | {"client_id": desk.client_id}
    return Entry(at=bounds.now, event=event, success=success, actor=desk.actor, **more, **owner)


def _visit_door(consent_id: str, limits: Limits) -> Door:
    return usual_door("visit", consent_id, limits)
