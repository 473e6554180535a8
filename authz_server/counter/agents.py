"""Whose a barcode is, if not its citizen's; finding what an agent was asked to do, and how records tell of it."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final, Literal, Protocol, cast

from sqlalchemy import Column, ColumnElement, bindparam, select
from sqlalchemy.orm import Session

from authz_server.audit.service import Entry
from authz_server.consent.models import CONSENT
from authz_server.counter.models import DELEGATION
from authz_server.identity.models import CITIZEN, held_in

# Of a step: on the record of the citizen, and of the agent.
OF_CITIZEN: Final = "delegation."
OF_AGENT: Final = "agent."
# Who did it, as the record of the one and of the other has it.
MIRRORED: Final = {"agent": "citizen", "citizen": "principal"}
Stage = Literal["invited", "lapsed", "opened", "accepted", "in_force", "ended"]

AGENT = CITIZEN.alias("agent")
AGENT_HELD = held_in(AGENT)
UNENDED = DELEGATION.c.ended_at.is_(None)


class DelegationRow(Protocol):
    """A delegation, as its table has it."""

    digest: bytes
    named: str
    consent_id: str
    transaction_id: str
    citizen_id: int
    client_id: str
    invited_at: datetime
    expires_at: datetime
    agent_id: int | None
    accepted_at: datetime | None
    confirmed_at: datetime | None
    ended_at: datetime | None


class Delegated(DelegationRow, Protocol):
    """A delegation with both names and what its consent says: the columns of `FOUND`."""

    citizen_name: str
    agent_name: str | None
    agent_held: bool | None
    granted: list[dict[str, Any]]
    purpose_id: str | None
    level: int


FOUND = (
    select(
        DELEGATION,
        CITIZEN.c.name.label("citizen_name"),
        AGENT.c.name.label("agent_name"),
        AGENT_HELD.label("agent_held"),
        *(CONSENT.c[name] for name in ("granted", "purpose_id", "level")),
    )
    .join(CONSENT, CONSENT.c.id == DELEGATION.c.consent_id)
    .join(CITIZEN, CITIZEN.c.id == DELEGATION.c.citizen_id)
    .outerjoin(AGENT, AGENT.c.id == DELEGATION.c.agent_id)
    .order_by(DELEGATION.c.invited_at.desc())
)
NEWEST = FOUND.where(DELEGATION.c.transaction_id == bindparam("reference")).limit(1)
NEWEST_OF_CITIZEN = NEWEST.where(DELEGATION.c.citizen_id == bindparam("citizen"))
NEWEST_OF_AGENT = NEWEST.where(DELEGATION.c.agent_id == bindparam("agent"))
ALL_OF_AGENT = FOUND.where(DELEGATION.c.agent_id == bindparam("agent")).limit(20)


def delegated_to(consent_id: Column[str]) -> ColumnElement[int | None]:
    """Whose the barcodes of a consent are at this very moment: an agent's; NULL: its citizen's."""
    in_force = (DELEGATION.c.consent_id == consent_id, DELEGATION.c.confirmed_at.is_not(None), UNENDED)
    return select(DELEGATION.c.agent_id).where(*in_force).correlate(consent_id.table).scalar_subquery()


def find_of_citizen(session: Session, transaction_id: str, *, citizen_id: int) -> Delegated | None:
    """The newest delegation of the citizen's own consent."""
    found = session.execute(NEWEST_OF_CITIZEN, {"reference": transaction_id, "citizen": citizen_id}).one_or_none()
    return cast(Delegated | None, found)


def find_of_agent(session: Session, transaction_id: str, *, agent_id: int) -> Delegated | None:
    """The same for the agent who has opened it."""
    found = session.execute(NEWEST_OF_AGENT, {"reference": transaction_id, "agent": agent_id}).one_or_none()
    return cast(Delegated | None, found)


def all_of_agent(session: Session, agent_id: int) -> Sequence[Delegated]:
    """The newest delegations that the agent has opened."""
    return cast(Sequence[Delegated], session.execute(ALL_OF_AGENT, {"agent": agent_id}).all())


def stage(row: DelegationRow | None, *, now: datetime) -> Stage:
    """How far it has come."""
    if row is None or row.ended_at is not None:
        return "ended"
    if row.agent_id is None:
        return "invited" if row.expires_at > now else "lapsed"
    if row.accepted_at is None:
        return "opened"
    return "in_force" if row.confirmed_at is not None else "accepted"


def on_both(entry: Entry, agent_id: int) -> tuple[Entry, Entry]:
    """A step of an agent's for the record of the citizen, whose entry it is, and for that of the agent."""
    step = entry.event.partition(".")[2]
    own = replace(entry, event=OF_AGENT + step, actor=MIRRORED.get(entry.actor, entry.actor), citizen_id=agent_id)
    return replace(entry, event=OF_CITIZEN + step), replace(own, consent_id=None, dataset_id=None)
