"""The list that a citizen has of the sessions of their account, and ending one of them from another."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from authz_server.core.secrets import digest
from authz_server.identity import browsers
from authz_server.identity.models import CITIZEN_SESSION
from authz_server.identity.sessions import SignedIn, proofs_of

_session = CITIZEN_SESSION.c


@dataclass(frozen=True, kw_only=True)
class Open:
    """A session that is not over. `name`: by which its owner names it to us; it opens nothing."""

    name: str
    since: datetime
    last_seen_at: datetime
    level: int
    methods: tuple[str, ...]
    browser_kind: str
    session_digest: bytes = field(repr=False)


def open_sessions(session: Session, citizen_id: int, *, now: datetime) -> Sequence[Open]:
    """The citizen's sessions that are not over, the one used last first."""
    found = select(CITIZEN_SESSION).where(
        _session.citizen_id == citizen_id,
        _session.ended_at.is_(None),
        _session.idle_until > now,
        _session.expires_at > now,
    )
    return [
        Open(
            name=_name(row.digest),
            since=min([row.created_at, *(proof.at for proof in proofs)]),
            last_seen_at=row.last_seen_at,
            level=row.level,
            methods=tuple(proof.method for proof in sorted(proofs, key=lambda proof: proof.at)),
            browser_kind=row.browser_kind,
            session_digest=row.digest,
        )
        for row in session.execute(found.order_by(_session.last_seen_at.desc(), _session.digest))
        for proofs in [proofs_of(row.proofs)]
    ]


def end_other(session: Session, signed_in: SignedIn, name: str, *, now: datetime) -> bool:
    """End another session of the citizen, by its name; whether there was one, which one statement decides.

    Its browser is a new one from then on. The caller commits.
    """
    named = [one for one in open_sessions(session, signed_in.citizen_id, now=now) if one.name == name]
    if not named or named[0].session_digest == signed_in.session_digest:
        return False
    this = _session.digest == named[0].session_digest
    ended = update(CITIZEN_SESSION).where(this, _session.ended_at.is_(None)).values(ended_at=now)
    if session.execute(ended.returning(_session.digest)).first() is None:
        return False
    browsers.forget(session, signed_in.citizen_id, ended=this)
    return True


def _name(session_digest: bytes) -> str:
    return digest(f"session-name {session_digest.hex()}").hex()[:32]
