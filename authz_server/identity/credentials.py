"""What citizens have bound to their accounts: added, found by what somebody presents, used, listed, removed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, bindparam, select, text, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from authz_server.identity.errors import CitizenSuspended
from authz_server.identity.models import CITIZEN, CREDENTIAL

_credential = CREDENTIAL.c
_ADD: Final = {
    name: dialect.insert(CREDENTIAL)
    .on_conflict_do_nothing(index_elements=["method", "external_id"], index_where=text("removed_at IS NULL"))
    .returning(_credential.id)
    for name, dialect in (("postgresql", postgresql), ("sqlite", sqlite))
}
_USE: Final = (
    update(CREDENTIAL)
    .where(_credential.id == bindparam("credential"), _credential.removed_at.is_(None))
    .values(last_used_at=bindparam("moment", type_=_credential.created_at.type))
    .returning(
        _credential.citizen_id,
        select(CITIZEN.c.suspended_at).where(CITIZEN.c.id == _credential.citizen_id).scalar_subquery(),
    )
)


@dataclass(frozen=True, kw_only=True)
class Bound:
    """A credential in force."""

    id: int
    citizen_id: int
    method: str
    external_id: str = field(repr=False)
    label: str = field(repr=False)
    data: Mapping[str, Any] = field(repr=False)
    secret: bytes | None = field(repr=False)
    created_at: datetime
    last_used_at: datetime | None


_COLUMNS: Final = [_credential[name] for name in Bound.__dataclass_fields__]
_IN_FORCE: Final[Select[Any]] = select(*_COLUMNS).where(_credential.removed_at.is_(None))


def add(
    session: Session,
    citizen_id: int,
    *,
    method: str,
    external_id: str,
    label: str,
    data: Mapping[str, Any],
    now: datetime,
    secret: bytes | None = None,
) -> int | None:
    """Bind a credential and return its id; None if it is bound already, to whomever. The caller commits."""
    values = {
        "citizen_id": citizen_id,
        "method": method,
        "external_id": external_id,
        "label": label[:100],
        "data": dict(data),
        "secret": secret,
        "created_at": now,
        "last_used_at": None,
        "removed_at": None,
    }
    found: int | None = session.execute(_ADD[session.get_bind().dialect.name], values).scalar_one_or_none()
    return found


def find(session: Session, *, method: str, external_id: str) -> Bound | None:
    """The credential in force under this external id."""
    found = _IN_FORCE.where(_credential.method == method, _credential.external_id == external_id)
    row = session.execute(found).one_or_none()
    return _bound(row) if row else None


def of_citizen(session: Session, citizen_id: int, *, method: str | None = None) -> Sequence[Bound]:
    """A citizen's credentials in force, the oldest first; of one method, or of all."""
    found = _IN_FORCE.where(_credential.citizen_id == citizen_id)
    if method is not None:
        found = found.where(_credential.method == method)
    return [_bound(row) for row in session.execute(found.order_by(_credential.id))]


def use(
    session: Session,
    credential_id: int,
    *,
    now: datetime,
    data: Mapping[str, Any] | None = None,
    only_if: ColumnElement[bool] | None = None,
) -> int | None:
    """Note that a credential was used, and whose it is; None if it was removed meanwhile. The caller commits.

    Whether the account is shut is looked at here: it may have been open when the credential was found.

    Args:
        data: what is known about it from now on (a counter, a renewed status), if that has changed.
        only_if: what else must be true of its row, or nothing is noted, and the answer is None.
    Raises: CitizenSuspended.
    """
    statement = _USE if data is None else _USE.values(data=dict(data))
    if only_if is not None:
        statement = statement.where(only_if)
    row = session.execute(statement, {"credential": credential_id, "moment": now}).one_or_none()
    if row is None:
        return None
    citizen_id, suspended_at = row
    if suspended_at is not None:
        raise CitizenSuspended("suspended")
    return int(citizen_id)


def remove(session: Session, citizen_id: int, credential_id: int, *, now: datetime) -> str | None:
    """Take a citizen's credential out of force for good; its method, None if there is none. The caller commits."""
    removed = (
        update(CREDENTIAL)
        .where(_credential.id == credential_id, _credential.citizen_id == citizen_id, _credential.removed_at.is_(None))
        .values(removed_at=now)
        .returning(_credential.method)
    )
    found: str | None = session.execute(removed).scalar_one_or_none()
    return found


def remove_all(session: Session, citizen_id: int, *, now: datetime) -> None:
    """Take all of a citizen's credentials out of force for good. The caller commits."""
    removed = update(CREDENTIAL).where(_credential.citizen_id == citizen_id, _credential.removed_at.is_(None))
    session.execute(removed.values(removed_at=now))


def _bound(row: Any) -> Bound:
    return Bound(**row._mapping)
