"""A citizen leaves: everything that is open ends, and whatever says who they were is erased, in one transaction.

What the law keeps stays for as long as the record: when which recipient asked, was given or refused what, and whether
that went well, under the number that the account had. Of the account itself a shell stays, for rows point at it: its
names are random, the rest is empty, and so the number leads to nobody. Who comes back gets a new number, and nothing
joins the two.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any, Final, cast

from sqlalchemy import ColumnElement, CursorResult, Table, bindparam, delete, insert, or_, select, update
from sqlalchemy.orm import Session

from authz_server.audit.models import AuditEntry
from authz_server.audit.service import Entry
from authz_server.config import Settings
from authz_server.consent.models import CONSENT
from authz_server.core.secrets import new_secret
from authz_server.counter import appointments
from authz_server.identity.errors import AccountProblem
from authz_server.identity.models import CITIZEN
from authz_server.identity.service import id_of
from authz_server.notices.channels.email import Email
from authz_server.notices.channels.sms import Sms
from authz_server.notices.letter import LEFT
from authz_server.notices.models import NOTICE
from authz_server.retention import ERASED, KEEP
from authz_server.single_use.decision import Decision
from authz_server.tokens.withdrawal import withdraw_open

LEAVE_LEVEL: Final = 3
# Whoever was at work for the citizen in that very moment may still add a row: it is swept away for that long, and by
# each worker that starts, however long none ran; for what stays would keep the shell from going.
SWEPT: Final = timedelta(days=1)
NAMELESS: Final[Mapping[str, Any]] = {
    "name": "",
    "birthdate": date.min,
    "email": None,
    "email_verified_at": None,
    "phone": None,
    "phone_verified_at": None,
    "password_hash": None,
    "totp_secret_encrypted": None,
    "totp_last_step": 0,
    "verified_at": None,
    "frozen_at": None,
    "locale": "",
}
# The row keeps its number, and when it was made and left: so does the record, to which it is nothing new.
LEAVE = Decision(
    update(CITIZEN)
    .where(CITIZEN.c.id == bindparam("citizen"), CITIZEN.c.left_at.is_(None))
    .values(
        {
            **NAMELESS,
            "username": bindparam("marker"),
            "national_id": bindparam("short_marker"),
            "suspended_at": bindparam("now"),
            "left_at": bindparam("now"),
        }
    )
    .returning(CITIZEN.c.id.label("citizen_id"))
)


def leave(session: Session, citizen_id: int, *, actor: str, settings: Settings, now: datetime) -> bool | None:
    """Let a citizen go; whether a transfer was under way, or None if they had left before.

    The caller commits by `commit_end`. A last message goes to the address that they had verified, in their language;
    both are kept until it has gone out and no longer.
    """
    known = session.execute(select(CITIZEN).where(CITIZEN.c.id == citizen_id)).one()
    # The citizen first: whatever approves waits for this row or is waited for, and its consent is then found.
    entry = Entry(at=now, event=LEFT, success=True, actor=actor)
    if not LEAVE.run(session, entry=entry, citizen=citizen_id, now=now, **_markers()):
        return None
    under_way = withdraw_open(session, citizen_id, actor=actor, reason="left", now=now)
    appointments.end_all(session, citizen_id, now=now)
    _erase(session, lambda column: column == citizen_id)
    for consent in session.execute(select(CONSENT.c.id, CONSENT.c.granted).where(CONSENT.c.citizen_id == citizen_id)):
        session.execute(update(CONSENT).where(CONSENT.c.id == consent.id).values(_bare(consent.granted)))
    if reached := _reached(known, settings):
        channel, address = reached
        _farewell(session, citizen_id, channel=channel, address=address, locale=known.locale or None, now=now)
    return under_way


def leave_by_name(session: Session, username: str, *, settings: Settings, now: datetime) -> bool:
    """The same, for the operator; whether a transfer was under way.  Raises: AccountProblem."""
    under_way = leave(session, id_of(session, username), actor="operator", settings=settings, now=now)
    if under_way is None:  # they left in this very moment
        raise AccountProblem("no account has this user name")
    return under_way


def shell(now: datetime) -> dict[str, Any]:
    """A row that stands for nobody, as of a citizen who left without ever having been there."""
    names = _markers()
    kept = {"username": names["marker"], "national_id": names["short_marker"]}
    return {**NAMELESS, **kept, "created_at": now, "suspended_at": now, "left_at": now}


def _markers() -> dict[str, Any]:
    """Names that nobody has: no user name and no national id begins with a hyphen."""
    return {"marker": new_secret("-"), "short_marker": new_secret("-")[:10]}


def sweep(session: Session, *, look_back: timedelta, now: datetime) -> int:
    """Erase what was added of citizens while they left; how many rows. The caller commits.

    Args: look_back: how long ago they may have left; what is older was seen to before.
    """
    recently = CITIZEN.c.left_at > now - look_back
    gone = select(CITIZEN.c.id).where(recently)
    added = or_(*(CITIZEN.c[name].is_distinct_from(empty) for name, empty in NAMELESS.items()))
    again = update(CITIZEN).where(recently, added)
    swept = session.execute(again.values(NAMELESS).returning(CITIZEN.c.id)).all()
    # Not the last message, which may still be on its way.
    return len(swept) + _erase(session, lambda column: column.in_(gone), but=NOTICE)


def _erase(
    session: Session, whose: Callable[[ColumnElement[int]], ColumnElement[bool]], *, but: Table | None = None
) -> int:
    tables = [keep.table for keep in KEEP if keep.leaving is ERASED and keep.table is not but]
    results = [session.execute(delete(table).where(whose(table.c.citizen_id))) for table in tables]
    return sum(cast(CursorResult[Any], result).rowcount for result in results)


def _bare(granted: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A consent without what may say who gave it: parameters (a parcel of land), keys, the page as it was shown.

    Its digest stays: whoever has the receipt can still show that it is the one. So does what makes a consent a valid
    one (fields, its language, level and methods of the sign-in), of which many have the same.
    """
    stripped = [dict(detail) | {"parameters": {}, "recipient_jwk": {}} for detail in granted]
    return {"granted": stripped, "notice": {}}


def _reached(known: Any, settings: Settings) -> tuple[str, str] | None:
    ways = (
        (Email.id, settings.mail, known.email, known.email_verified_at),
        (Sms.id, settings.sms, known.phone, known.phone_verified_at),
    )
    reached = ((way, address) for way, is_on, address, verified_at in ways if is_on and address and verified_at)
    return next(reached, None)


def _farewell(
    session: Session, citizen_id: int, *, channel: str, address: str, locale: str | None, now: datetime
) -> None:
    told = select(AuditEntry.id).where(AuditEntry.citizen_id == citizen_id, AuditEntry.event == LEFT)
    session.execute(
        insert(NOTICE).values(
            audit_entry_id=session.execute(told).scalar_one(),
            channel=channel,
            citizen_id=citizen_id,
            created_at=now,
            due_at=now,
            attempts=0,
            address=address,
            locale=locale,
        )
    )
