"""Who works at an office: appointed by its administrators, the first of whom the operator appoints.

An appointment is what it is until it is ended; nothing of it is remembered elsewhere, so that its end bites at the next
step of whoever had it. Each is on the record of whom it concerns, and they are told.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, bindparam, exists, literal, select, update
from sqlalchemy.orm import Session

from authz_server.audit.service import Entry, record
from authz_server.config import Limits
from authz_server.counter.models import APPOINTMENT, Appointment
from authz_server.database import insert_if_absent
from authz_server.identity import lockout
from authz_server.identity.lockout import usual_door
from authz_server.identity.models import CITIZEN, HELD, held_in

CLERK: Final = "clerk"
ADMINISTRATOR: Final = "administrator"
ROLES: Final = (CLERK, ADMINISTRATOR)
# On the record of whom it concerns, and of the administrator who did it.
APPOINTED: Final = "office.appointed"
DISMISSED: Final = "office.dismissed"
HAS_APPOINTED: Final = "office.has_appointed"
HAS_DISMISSED: Final = "office.has_dismissed"

_COLUMNS = ("client_id", "citizen_id", "role", "appointed_at", "appointed_by", "ended_at")
_AT_LIBERTY = exists().where(CITIZEN.c.id == APPOINTMENT.c.citizen_id, ~HELD)
IN_FORCE = (APPOINTMENT.c.ended_at.is_(None), _AT_LIBERTY)
# Locked: who leaves in this moment is waited for, and then not appointed. Nobody would end it, and as long as it is
# there, no row of theirs could be deleted. Whoever merely changes something of the account is not waited for.
_STILL_THERE = exists(
    select(literal(1))
    .select_from(CITIZEN)
    .where(CITIZEN.c.id == bindparam("appointed"), ~HELD)
    .with_for_update(read=True, key_share=True)
)
_OWN = select(APPOINTMENT).where(APPOINTMENT.c.citizen_id == bindparam("citizen"), *IN_FORCE)
_STAFF = (
    select(APPOINTMENT, CITIZEN.c.name, CITIZEN.c.username, HELD.label("held"))
    .join(CITIZEN, CITIZEN.c.id == APPOINTMENT.c.citizen_id)
    .where(APPOINTMENT.c.client_id == bindparam("office"), CITIZEN.c.left_at.is_(None))
    .order_by(APPOINTMENT.c.ended_at.is_not(None), APPOINTMENT.c.role, APPOINTMENT.c.appointed_at.desc())
)


def held_by(session: Session, citizen_id: int) -> Sequence[Any]:
    """The appointments of this citizen that are in force: id, client_id, role, appointed_at; of who is held none."""
    return session.execute(_OWN.order_by(APPOINTMENT.c.client_id, APPOINTMENT.c.role), {"citizen": citizen_id}).all()


def find(session: Session, citizen_id: int, *, office: str, role: str) -> int | None:
    """The number of this citizen's appointment to this role there, if it is in force."""
    this = _OWN.where(APPOINTMENT.c.client_id == office, APPOINTMENT.c.role == role)
    found = session.execute(this, {"citizen": citizen_id}).one_or_none()
    return found.id if found else None


def staff(session: Session, office: str, *, ended: bool = False) -> Sequence[Any]:
    """Who works there: id, role, name, username, appointed_at, held. Args: ended: those who did, with ended_at, too."""
    rows = _STAFF if ended else _STAFF.where(APPOINTMENT.c.ended_at.is_(None))
    return session.execute(rows, {"office": office}).all()


def appoint(
    session: Session,
    *,
    office: str,
    username: str,
    role: str,
    now: datetime,
    by: int | None = None,
    name: str | None = None,
    limits: Limits | None = None,
) -> bool | None:
    """Appoint somebody; whether it is new, or None if there is nobody of that user name and name. The caller commits.

    Whoever guesses at who has an account is counted, also when this raises; so the caller commits then, too.
    Args: by: the administrator's appointment, which must be in force, None for the operator; name: as they are called,
        which an administrator has to know; limits: of guessing, for an administrator.
    Raises: SignInLocked.
    """
    door = usual_door("appointment", str(by), limits) if limits else None
    if door:
        lockout.count(session, door, now=now)
    wanted = [CITIZEN.c.username == username, ~HELD, _administers(by, office)]
    if name is not None:
        wanted.append(CITIZEN.c.name == name)
    citizen_id = session.scalar(select(CITIZEN.c.id).where(*wanted))
    if citizen_id is None:
        return None
    if door:
        lockout.take_back(session, door)
    values = (office, citizen_id, role, now, by, None)
    row = select(
        *(literal(value, APPOINTMENT.c[column].type) for column, value in zip(_COLUMNS, values, strict=True))
    ).where(_administers(by, office), _STILL_THERE)
    statement = insert_if_absent(session.get_bind().dialect.name, Appointment).from_select(
        _COLUMNS, row, include_defaults=False
    )
    if session.execute(statement.returning(APPOINTMENT.c.id), {"appointed": citizen_id}).one_or_none() is None:
        # It is there already, or in this very moment the account was closed, or the administrator dismissed.
        there = find(session, citizen_id, office=office, role=role)
        return None if there is None else False
    _record(session, (APPOINTED, HAS_APPOINTED), office, citizen_id, role, by=by, now=now)
    return True


def end(session: Session, appointment_id: int, *, office: str, now: datetime, by: int | None = None) -> bool:
    """End an appointment at this office; whether there was one. The caller commits.

    Args: by: the administrator's, which must be in force, and another: an office is not left alone by a slip, nor by
        two administrators who dismiss each other at once.
    """
    this = (APPOINTMENT.c.id == appointment_id, APPOINTMENT.c.client_id == office, APPOINTMENT.c.ended_at.is_(None))
    others = [APPOINTMENT.c.id != by, _stands(by, beside=appointment_id)] if by is not None else []
    ended = (
        update(APPOINTMENT)
        .where(*this, *others, _administers(by, office))
        .values(ended_at=now)
        .returning(APPOINTMENT.c.citizen_id, APPOINTMENT.c.role)
    )
    row = session.execute(ended).one_or_none()
    if row is None:
        return False
    _record(session, (DISMISSED, HAS_DISMISSED), office, row.citizen_id, row.role, by=by, now=now)
    return True


def end_by_name(session: Session, *, office: str, username: str, role: str, now: datetime) -> bool:
    """The same, for the operator."""
    found = [one for one in staff(session, office) if (one.username, one.role) == (username, role)]
    return bool(found) and end(session, found[0].id, office=office, now=now)


def end_all(session: Session, citizen_id: int, *, now: datetime) -> None:
    """End every appointment of a citizen who leaves. The caller commits."""
    theirs = (APPOINTMENT.c.citizen_id == citizen_id, APPOINTMENT.c.ended_at.is_(None))
    session.execute(update(APPOINTMENT).where(*theirs).values(ended_at=now))


def _administers(by: int | None, office: str) -> ColumnElement[bool]:
    """Whether this appointment lets its holder appoint and dismiss there, in this very moment."""
    if by is None:
        return literal(True)
    own = APPOINTMENT.alias("own")  # of whoever does it; the statement is about another one
    administrator = CITIZEN.alias("administrator")
    return exists(
        select(own.c.id)
        .join(administrator, administrator.c.id == own.c.citizen_id)
        .where(own.c.id == by, own.c.client_id == office, own.c.role == ADMINISTRATOR, own.c.ended_at.is_(None))
        .where(~held_in(administrator))
    )


def _stands(by: int, *, beside: int) -> ColumnElement[bool]:
    """Whether this appointment is in force when both are the caller's alone, who locks them in the same order as all.

    In READ COMMITTED a statement sees how each stood when it began, or how it stands once it has its lock; so without
    one, two could each end the other's.
    """
    both = select(APPOINTMENT.c.id).where(APPOINTMENT.c.id.in_((by, beside)), APPOINTMENT.c.ended_at.is_(None))
    locked = both.order_by(APPOINTMENT.c.id).with_for_update().cte("locked")
    return exists().where(locked.c.id == by)


def _record(
    session: Session,
    events: tuple[str, str],
    office: str,
    citizen_id: int,
    role: str,
    *,
    by: int | None,
    now: datetime,
) -> None:
    about: dict[str, Any] = {"at": now, "success": True, "client_id": office, "reason": role}
    entries = [
        Entry(event=events[0], actor="operator" if by is None else f"client:{office}", citizen_id=citizen_id, **about)
    ]
    if by is not None:
        administrator = session.scalar(select(APPOINTMENT.c.citizen_id).where(APPOINTMENT.c.id == by))
        entries.append(Entry(event=events[1], actor="citizen", citizen_id=administrator, **about))
    record(session, *entries)
