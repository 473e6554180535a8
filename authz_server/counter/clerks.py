"""A clerk at a desk: the sign-in there, which is no consent and opens no data, and the token that stands for the clerk.

It is presented as `actor_token` (RFC 8693 section 2.1) beside each barcode. Whether it still counts is decided each
time, by the one statement that pushes its idle time back: the appointment may have ended in between.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple, Protocol

from sqlalchemy import ColumnElement, bindparam, exists, func, select, update
from sqlalchemy.orm import Session

from authz_server.audit.service import Entry
from authz_server.clients.standing import is_suspended
from authz_server.config import Limits, Settings
from authz_server.consent.decision import OWN, deciding
from authz_server.consent.errors import CodeNotUsable, RequestNotUsable
from authz_server.consent.request import PendingRequest, response_location
from authz_server.core.secrets import digest, new_secret
from authz_server.counter.appointments import CLERK
from authz_server.counter.errors import ClerkNotSignedIn
from authz_server.counter.masking import masked
from authz_server.counter.models import APPOINTMENT, DESK_SESSION
from authz_server.counter.naming import presented_by
from authz_server.identity import turns
from authz_server.identity.levels import Stated
from authz_server.identity.models import CITIZEN, HELD
from authz_server.identity.sessions import SignedIn
from authz_server.prepared import Executor, Prepared
from authz_server.single_use.decision import Decision
from authz_server.single_use.identifiers import Identifier

PREFIX: Final = "mdk_"
CODE_PREFIX: Final = "mdkc_"
OPENED: Final = "office.desk_opened"
_OF_ID_TOKEN = ("citizen_id", "client_id", "nonce", "acr", "amr", "auth_time")


def _serves(appointment: ColumnElement[int]) -> ColumnElement[bool]:
    """Whether this appointment is one of a clerk, and in force."""
    return exists().where(
        APPOINTMENT.c.id == appointment,
        APPOINTMENT.c.role == CLERK,
        APPOINTMENT.c.ended_at.is_(None),
        CITIZEN.c.id == APPOINTMENT.c.citizen_id,
        ~HELD,
    )


_OPEN_CODE = (
    DESK_SESSION.c.code_digest == bindparam("code"),
    DESK_SESSION.c.ended_at.is_(None),
)
_STANDS = (
    DESK_SESSION.c.client_id == bindparam("office"),
    DESK_SESSION.c.ended_at.is_(None),
    DESK_SESSION.c.expires_at > bindparam("now"),
    _serves(DESK_SESSION.c.appointment_id),
    ~is_suspended(DESK_SESSION.c.client_id),
)
BEGIN = Decision(deciding(OWN, turns.STILL_SIGNED_IN, _serves(bindparam("appointment"))), leaves=[DESK_SESSION])
REDEEM = Decision(
    update(DESK_SESSION)
    .where(
        *_OPEN_CODE,
        *_STANDS,
        DESK_SESSION.c.token_digest.is_(None),
        DESK_SESSION.c.code_expires_at > bindparam("now"),
        DESK_SESSION.c.code_challenge == bindparam("challenge"),
        DESK_SESSION.c.redirect_uri == func.coalesce(bindparam("returned_to"), DESK_SESSION.c.redirect_uri),
        DESK_SESSION.c.dpop_jkt.is_(None) | (DESK_SESSION.c.dpop_jkt == bindparam("proved_jkt")),
    )
    .values(token_digest=bindparam("token"), jkt=bindparam("proved_jkt"), idle_until=bindparam("idle"))
    .returning(*(DESK_SESSION.c[name] for name in _OF_ID_TOKEN), DESK_SESSION.c.appointment_id)
)
PRESENT = Decision(
    update(DESK_SESSION)
    .where(
        DESK_SESSION.c.token_digest == bindparam("token"),
        DESK_SESSION.c.jkt == bindparam("proved_jkt"),
        DESK_SESSION.c.idle_until > bindparam("now"),
        *_STANDS,
    )
    .values(idle_until=bindparam("idle"))
    .returning(DESK_SESSION.c.appointment_id, DESK_SESSION.c.citizen_id)
)
END = Decision(
    update(DESK_SESSION)
    .where(
        DESK_SESSION.c.token_digest == bindparam("token"),
        DESK_SESSION.c.client_id == bindparam("office"),
        DESK_SESSION.c.ended_at.is_(None),
    )
    .values(ended_at=bindparam("now"))
    .returning(DESK_SESSION.c.code_digest)
)
_END_OF_CODE = (
    update(DESK_SESSION)
    .where(*_OPEN_CODE, DESK_SESSION.c.dpop_jkt.is_(None) | (DESK_SESSION.c.dpop_jkt == bindparam("proved_jkt")))
    .values(ended_at=bindparam("now"))
    .returning(DESK_SESSION.c.code_digest)
)
_NAME = Prepared(
    select(CITIZEN.c.name)
    .join(APPOINTMENT, APPOINTMENT.c.citizen_id == CITIZEN.c.id)
    .where(APPOINTMENT.c.id == bindparam("appointment"))
)


class Clerk(NamedTuple):
    """Whoever works at a desk: by their appointment, which the record names, and as who they are."""

    appointment_id: int
    citizen_id: int


class RedeemedRow(Protocol):
    """A sign-in at a desk as its code was redeemed: whose, and how they proved it."""

    appointment_id: int
    citizen_id: int
    client_id: str
    nonce: str | None
    acr: str
    amr: list[str]
    auth_time: datetime


@dataclass(frozen=True, kw_only=True)
class Shift:
    """A clerk who has signed in at a desk. `row`: what the id_token says of it."""

    token: str = field(repr=False)
    row: RedeemedRow = field(repr=False)
    name: str = field(repr=False)  # as citizens read it
    expires_in: int


def begin(
    session: Executor,
    pending: PendingRequest,
    appointment_id: int,
    *,
    stated: Stated,
    signed_in: SignedIn,
    settings: Settings,
    now: datetime,
) -> str:
    """Let a clerk work at the desk that asked; the location that takes the browser back to it. The caller commits.

    Args: stated: of the sign-in, found to suffice.
    Raises: RequestNotUsable, when it was decided, its time ran out, the appointment or the clerk's session ended
        meanwhile.
    """
    level, auth_time, amr = stated
    code, asked = new_secret(CODE_PREFIX), pending.parameters
    row = {
        "code_digest": digest(code),
        "appointment_id": appointment_id,
        "citizen_id": signed_in.citizen_id,
        "client_id": pending.client_id,
        "redirect_uri": asked.redirect_uri,
        "code_challenge": asked.code_challenge,
        "dpop_jkt": asked.dpop_jkt,
        "nonce": asked.nonce,
        "acr": asked.stated_acr(level),
        "amr": list(amr),
        "auth_time": auth_time,
        "code_expires_at": now + timedelta(seconds=settings.limits.code_ttl_s),
        "expires_at": now + timedelta(seconds=settings.limits.session_max_s),
        "token_digest": None,
        "jkt": None,
        "idle_until": None,
        "ended_at": None,
    }
    known: dict[str, Any] = {
        "request_id": pending.request_id,
        "citizen": signed_in.citizen_id,
        "secret_digest": signed_in.session_digest,
        "appointment": appointment_id,
        "now": now,
    }
    if not BEGIN.run(session, rows=[[row]], **known):
        raise RequestNotUsable("decided, expired, dismissed or signed out meanwhile")
    return response_location(asked, settings.issuer, code=code)


def redeem(
    session: Executor,
    code: str,
    *,
    office: str,
    challenge: str,
    redirect_uri: str | None,
    jkt: str,
    limits: Limits,
    spend: Sequence[Identifier],
    now: datetime,
) -> Shift:
    """Spend the code of a clerk's sign-in for the token that stands for them, bound to the key `jkt`.

    The caller commits.
    Args: challenge: made of the verifier that was presented.
    Raises: AssertionReplayed, ProofReplayed; CodeNotUsable, for all other causes: `end_of_code` must follow.
    """
    token = new_secret(PREFIX)
    rows = REDEEM.run(
        session,
        entry=Entry(at=now, event=OPENED, success=True, actor="citizen"),
        spend=spend,
        code=digest(code),
        token=digest(token),
        office=office,
        challenge=challenge,
        returned_to=redirect_uri,
        proved_jkt=jkt,
        idle=_idle(limits, now),
        now=now,
    )
    if not rows:
        raise CodeNotUsable("no code of a clerk's sign-in here")
    (row,) = rows
    return Shift(token=token, row=row, name=name_of(session, row.appointment_id), expires_in=limits.session_idle_s)


def present(session: Session, token: str, *, office: str, jkt: str, limits: Limits, now: datetime) -> Clerk:
    """The clerk, if this token stands for one who works at this office, with this key, just now.

    The caller commits.  Raises: ClerkNotSignedIn, for every cause.
    """
    known: dict[str, Any] = {
        "token": digest(token),
        "office": office,
        "proved_jkt": jkt,
        "idle": _idle(limits, now),
        "now": now,
    }
    rows = PRESENT.run(session, **known)
    if not rows:
        raise ClerkNotSignedIn("unknown, over, another office's or key's, or the appointment has ended")
    return Clerk(rows[0].appointment_id, rows[0].citizen_id)


def end(session: Executor, token: str, *, client_id: str, spend: Sequence[Identifier], now: datetime) -> bool:
    """End a clerk's sign-in at a desk of this office; whether there was one. The caller commits."""
    return bool(END.run(session, spend=spend, token=digest(token), office=client_id, now=now))


def end_of_code(session: Session, code: str, *, jkt: str, now: datetime) -> bool:
    """End what a code was, or would be, exchanged for, as it is not presented by its owner, or again; whether it was
    one. The caller commits. Source: RFC 6749 section 4.1.2.
    """
    return session.execute(_END_OF_CODE, {"code": digest(code), "proved_jkt": jkt, "now": now}).first() is not None


def _idle(limits: Limits, now: datetime) -> datetime:
    """Until when the clerk may do nothing; the end of the shift is checked beside it."""
    return now + timedelta(seconds=limits.session_idle_s)


def name_of(session: Executor, appointment_id: int) -> str:
    """What citizens read of a clerk's name; empty, if they have left."""
    rows = _NAME.run(session, {"appointment": appointment_id})
    return masked(rows[0].name) if rows else ""


def name_behind(session: Executor, actor: str) -> str:
    """The same, of the clerk whom an actor of the record names; empty, if it names none."""
    clerk_id = presented_by(actor).clerk_id if actor.startswith("desk:") else None
    return "" if clerk_id is None else name_of(session, clerk_id)
