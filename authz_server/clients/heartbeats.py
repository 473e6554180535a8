"""What agencies say of themselves from time to time, and what it means when they stop.

A word that says what was said before costs one UPDATE, and no process has to read anything again: only a change moves
the registry's version.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import CursorResult, bindparam, update
from sqlalchemy.orm import Session

from authz_server.clients.models import AgencyState
from authz_server.clients.service import bump
from authz_server.database import insert_if_absent, table_of

STATE: Final = table_of(AgencyState)
SAME: Final = ("maintenance", "datasets")
NEWER: Final = (STATE.c.agency_id == bindparam("agency"), STATE.c.said_at < bindparam("said"))


@dataclass(frozen=True, kw_only=True)
class Said:
    """`datasets`: which the maintenance concerns, none means all; `until`: about when it ends; `at`: by its clock."""

    maintenance: bool
    datasets: Sequence[str] = ()
    until: datetime | None = None
    at: datetime


def beat(session: Session, agency_id: str, said: Said, *, now: datetime) -> None:
    """Take the word of a registered agency, unless a newer one is known. The caller commits."""
    state = {"maintenance": said.maintenance, "datasets": " ".join(sorted(said.datasets)), "until": said.until}
    times = {"said_at": said.at, "heard_at": now}
    known = {"agency": agency_id, "said": said.at}
    until = STATE.c.until.is_(None) if said.until is None else STATE.c.until == said.until
    unchanged = (~STATE.c.silent, until, *(STATE.c[name] == state[name] for name in SAME))
    if _changed(session, update(STATE).where(*NEWER, *unchanged).values(times), known):
        return
    row = {"agency_id": agency_id, "silent": False, **state, **times}
    made = insert_if_absent(session.get_bind().dialect.name, AgencyState).values(row)
    if session.execute(made.returning(STATE.c.agency_id)).all() or _changed(
        session, update(STATE).where(*NEWER).values({**state, **times, "silent": False}), known
    ):
        bump(session)


def mark_silent(session: Session, *, after_s: int, now: datetime) -> int:
    """Mark the agencies that have not been heard of for so long; how many. Those that never sent a word are none.

    The caller commits.
    """
    late = now - timedelta(seconds=after_s)
    result: CursorResult[Any] = session.execute(  # type: ignore[assignment]
        update(STATE).where(~STATE.c.silent, STATE.c.heard_at < late).values(silent=True)
    )
    if result.rowcount:
        bump(session)
    return result.rowcount


def _changed(session: Session, statement: Any, known: dict[str, Any]) -> bool:
    return bool(session.execute(statement.returning(STATE.c.agency_id), known).all())
