"""Somebody else goes to the counter: a citizen lets an agent have the barcodes of one consent. Both have to say so.

The citizen names the agent by national id and hands them an invitation; who opens it has to be that very person, so
that neither a found invitation nor a guess leads anywhere, and nobody learns who has an account. The agent accepts, the
citizen confirms. From then on the barcodes are the agent's: those of the citizen are worth nothing, and after an end
those of the agent. Each step is on both records; the agent's has nothing of the data.

Locks are taken in one order, that of a redemption: the consent's code, then the delegation.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import ColumnElement, and_, bindparam, exists, literal, select, update
from sqlalchemy.orm import Session

from authz_server.audit.models import AUDIT_ENTRY
from authz_server.audit.service import Entry, record
from authz_server.config import Limits
from authz_server.consent.codes import CODE, OWNED
from authz_server.core.secrets import derive, digest, equal, new_secret
from authz_server.counter.agents import UNENDED, DelegationRow, on_both
from authz_server.counter.codes import find_short, short_digest, typeable
from authz_server.counter.errors import DelegationNotUsable, InvitationNotUsable, NamedThemselves
from authz_server.counter.models import BARCODE, DELEGATION, Delegation
from authz_server.database import BigKey, insert_if_absent
from authz_server.identity import lockout
from authz_server.identity.lockout import usual_door
from authz_server.identity.models import CITIZEN, held
from authz_server.single_use.decision import Decision

NOW: ColumnElement[datetime] = bindparam("now")
OPEN_CODE = and_(CODE.c.used_at.is_(None), CODE.c.expires_at > NOW)
# On PostgreSQL `code` may have changed while one waits for it; then what is asked of it here is asked again.
HAND_OVER = Decision(
    update(CODE)
    .where(CODE.c.consent_id == bindparam("consent"), OPEN_CODE)
    .values(digest=bindparam("next"))
    .returning(*(CODE.c[name] for name in OWNED)),
    leaves=[BARCODE],
)


def _step(*conditions: ColumnElement[bool], **values: Any) -> Decision:
    """An edge of a delegation's life, with the entry of each of the two."""
    return Decision(
        update(DELEGATION)
        .where(DELEGATION.c.digest == bindparam("invitation"), UNENDED, *conditions)
        .values(values)
        .returning(*(DELEGATION.c[name] for name in OWNED)),
        leaves=[AUDIT_ENTRY],
    )


IS_OPEN = exists().where(CODE.c.consent_id == DELEGATION.c.consent_id, OPEN_CODE)
NOBODY_HELD = ~(held(DELEGATION.c.citizen_id) | held(bindparam("agent", type_=BigKey)))
THE_AGENT = DELEGATION.c.agent_id == bindparam("agent")
OPEN = _step(
    DELEGATION.c.agent_id.is_(None),
    DELEGATION.c.named == bindparam("named_now"),
    DELEGATION.c.citizen_id != bindparam("agent"),
    DELEGATION.c.expires_at > NOW,
    IS_OPEN,
    NOBODY_HELD,
    agent_id=bindparam("agent"),
)
ACCEPT = _step(THE_AGENT, DELEGATION.c.accepted_at.is_(None), IS_OPEN, NOBODY_HELD, accepted_at=NOW)
CONFIRM = _step(
    THE_AGENT,
    DELEGATION.c.accepted_at.is_not(None),
    DELEGATION.c.confirmed_at.is_(None),
    NOBODY_HELD,
    confirmed_at=NOW,
)
END = _step(
    DELEGATION.c.agent_id.is_not_distinct_from(bindparam("agent", type_=BigKey)),
    DELEGATION.c.confirmed_at.is_not_distinct_from(bindparam("confirmed", type_=DELEGATION.c.confirmed_at.type)),
    ended_at=NOW,
)
# By time, by withdrawal, or because somebody was stopped: it bites where it is looked at, this puts it on the record.
OVER = (
    update(DELEGATION)
    .where(
        UNENDED,
        DELEGATION.c.consent_id.not_in(select(CODE.c.consent_id).where(OPEN_CODE))
        | held(DELEGATION.c.citizen_id)
        | held(DELEGATION.c.agent_id),
    )
    .values(ended_at=NOW)
    .returning(*(DELEGATION.c[name] for name in (*OWNED, "agent_id")), held(DELEGATION.c.agent_id).label("agent_held"))
)
USED = (
    update(DELEGATION)
    .where(DELEGATION.c.consent_id == bindparam("consent"), UNENDED)
    .values(ended_at=NOW)
    .returning(DELEGATION.c.agent_id)
)
LAPSED = update(DELEGATION).where(
    DELEGATION.c.consent_id == bindparam("consent"),
    UNENDED,
    DELEGATION.c.agent_id.is_(None),
    DELEGATION.c.expires_at <= NOW,
)


def invitation(session_secret: str, transaction_id: str, invited_at: datetime) -> str:
    """What is handed to the agent. Nobody without the session's secret can name it."""
    key = session_secret.encode("utf-8", "surrogatepass")
    return typeable(key, "invitation", transaction_id, invited_at.isoformat())


def find_invitation(row: DelegationRow, session_secret: str, server_secret: bytes) -> str | None:
    """The invitation, if this very session made it."""
    short = invitation(session_secret, row.transaction_id, row.invited_at)
    return short if equal(_digest(server_secret, short), row.digest) else None


def invite(
    session: Session,
    owner: dict[str, Any],
    national_id: str,
    *,
    session_secret: str,
    server_secret: bytes,
    limits: Limits,
    now: datetime,
) -> None:
    """Make an invitation that the person with this national id can open, if there is one. The caller commits.

    Args: owner: the columns OWNED of the consent.  Raises: NamedThemselves; DelegationNotUsable: somebody is named
        already, or the consent can't be used any more.
    """
    if _national_id(session, owner["citizen_id"]) == national_id:
        raise NamedThemselves("as agent")
    known = _digest(server_secret, invitation(session_secret, owner["transaction_id"], now))
    session.execute(LAPSED.values(ended_at=now), {"consent": owner["consent_id"], "now": now})
    row = owner | {
        "digest": known,
        "named": _named(server_secret, known, national_id),
        "invited_at": now,
        "expires_at": now + timedelta(seconds=limits.invitation_ttl_s),
    }
    usable = exists().where(CODE.c.consent_id == owner["consent_id"], OPEN_CODE)
    columns = [literal(value, DELEGATION.c[name].type) for name, value in row.items()]
    statement = insert_if_absent(session.get_bind().dialect.name, Delegation).from_select(
        list(row), select(*columns).where(usable, ~held(bindparam("citizen"))), include_defaults=False
    )
    made = session.execute(
        statement.returning(DELEGATION.c.digest), {"now": now, "citizen": owner["citizen_id"]}
    ).one_or_none()
    if made is None:
        raise DelegationNotUsable("named already, or over")
    record(session, Entry(at=now, event="delegation.invited", success=True, actor="citizen", **owner))


def open_invitation(
    session: Session, presented: str, *, agent_id: int, server_secret: bytes, limits: Limits, now: datetime
) -> str:
    """Open an invitation, by whom it names; the reference number of the consent. A second time it changes nothing.

    The caller commits also when it raises, for that was counted.
    Raises: InvitationNotUsable, whatever is wrong; SignInLocked.
    """
    door = usual_door("agent", str(agent_id), limits)
    lockout.count(session, door, now=now)
    short = find_short(presented)
    known = _digest(server_secret, short) if short else b""
    row = session.execute(select(DELEGATION).where(DELEGATION.c.digest == known)).one_or_none()
    if row is None:
        raise InvitationNotUsable("unknown")
    if row.agent_id != agent_id:
        named = _named(server_secret, known, _national_id(session, agent_id))
        if not _taken(
            session, OPEN, "delegation.opened", row, actor="agent", agent_id=agent_id, now=now, named_now=named
        ):
            if row.agent_id is None and not equal(named, row.named):
                _tell(session, row, "delegation.tried", success=False, actor="stranger", now=now)
            raise InvitationNotUsable("of somebody else, or over")
    elif row.ended_at is not None:
        raise InvitationNotUsable("ended")
    lockout.take_back(session, door)
    return str(row.transaction_id)


def accept(session: Session, row: DelegationRow, *, now: datetime) -> None:
    """Let the agent say yes. The caller commits.  Raises: DelegationNotUsable."""
    if not _taken(session, ACCEPT, "delegation.accepted", row, actor="agent", agent_id=row.agent_id, now=now):
        raise DelegationNotUsable("to accept")


def confirm(session: Session, row: DelegationRow, *, now: datetime) -> None:
    """Put it in force, by the citizen; the barcodes shown until now are worth nothing. The caller commits.

    Raises: DelegationNotUsable; then nothing may be committed.
    """
    _hand_over(session, row, to=row.agent_id, now=now)
    if not _taken(session, CONFIRM, "delegation.confirmed", row, actor="citizen", agent_id=row.agent_id, now=now):
        raise DelegationNotUsable("to confirm")


def end(session: Session, row: DelegationRow, *, actor: Literal["citizen", "agent"], now: datetime) -> None:
    """End it, by either of the two; whatever barcode the agent has is worth nothing. The caller commits.

    Raises: DelegationNotUsable, if it went on in this moment, or a counter has accepted the barcode; then nothing may
        be committed.
    """
    if row.confirmed_at is not None:
        _hand_over(session, row, to=None, now=now)
    event = "delegation.declined" if actor == "agent" and row.accepted_at is None else "delegation.ended"
    agent_id, confirmed_at = row.agent_id, row.confirmed_at
    if not _taken(session, END, event, row, actor=actor, agent_id=agent_id, now=now, confirmed=confirmed_at):
        raise DelegationNotUsable("to end")


def use(session: Session, consent_id: str, *, now: datetime) -> None:
    """Close it, for its barcode was accepted in this transaction, which is on the record. The caller commits."""
    session.execute(USED, {"consent": consent_id, "now": now})


def tidy(session: Session, *, now: datetime) -> Sequence[Any]:
    """Put on both records what ended by itself, or with somebody's account. The caller commits."""
    over = session.execute(OVER, {"now": now}).all()
    for row in over:
        if row.agent_id is not None:
            reason = "agent_held" if row.agent_held else "consent_ended"
            _tell(session, row, "delegation.ended", success=True, actor="worker", reason=reason, now=now)
    return over


def _taken(
    session: Session,
    step: Decision,
    name: str,
    row: DelegationRow,
    *,
    actor: str,
    agent_id: int | None,
    now: datetime,
    **more: Any,
) -> bool:
    entry = Entry(at=now, event=name, success=True, actor=actor)
    whole = replace(entry, **_owner(row))
    rows = [] if agent_id is None else [on_both(whole, agent_id)[1].values()]
    parameters = more | {"invitation": row.digest, "agent": agent_id, "now": now}
    return bool(step.run(session, entry=entry, rows=[rows], **parameters))


def _tell(session: Session, row: DelegationRow, name: str, **told: Any) -> None:
    entry = Entry(at=told.pop("now"), event=name, **told, **_owner(row))
    record(session, *([entry] if row.agent_id is None else on_both(entry, row.agent_id)))


def _hand_over(session: Session, row: DelegationRow, *, to: int | None, now: datetime) -> None:
    """Put a barcode that nobody was shown in the place of the last one.  Raises: DelegationNotUsable."""
    unshown = {name: digest(new_secret("")) for name in ("digest", "short_digest")}
    times = {"shown_at": now, "expires_at": now, "announced_at": None, "code_expires_at": None}
    barcode = _owner(row) | unshown | times | {"counter_id": None, "clerk_id": None, "agent_id": to}
    made = HAND_OVER.run(session, rows=[[barcode]], consent=row.consent_id, next=unshown["digest"], now=now)
    if not made:
        raise DelegationNotUsable("used, stopped, or over")


def _owner(row: DelegationRow) -> dict[str, Any]:
    return {name: getattr(row, name) for name in OWNED}


def _digest(server_secret: bytes, short: str) -> bytes:
    return short_digest(server_secret, short, kind="invitation")


def _named(server_secret: bytes, known: bytes, national_id: str) -> str:
    """Under which the agent is kept until they have come: nobody without the server's secret can try out numbers."""
    return derive(server_secret, "agent", known.hex(), national_id)


def _national_id(session: Session, citizen_id: int) -> str:
    return str(session.execute(select(CITIZEN.c.national_id).where(CITIZEN.c.id == citizen_id)).scalar_one())
