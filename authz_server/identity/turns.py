"""Changes of one citizen that come one after the other."""

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from authz_server.identity.errors import ShutOut
from authz_server.identity.models import CITIZEN, CITIZEN_SESSION
from authz_server.identity.sessions import SignedIn

_citizen, _session = CITIZEN.c, CITIZEN_SESSION.c
# Not FOR UPDATE: who signs in only points at the citizen. They may hold a session that the change is about to end, and
# must not wait for it as it waits for them.
_TAKE = select(_citizen.id).where(_citizen.id == bindparam("citizen")).with_for_update(key_share=True)
# The citizen is locked first, as by whoever freezes.
_HOLD_FROZEN = (
    select(_citizen.id)
    .join(CITIZEN_SESSION, _session.citizen_id == _citizen.id)
    .where(_session.digest == bindparam("secret_digest"), _session.ended_at.is_(None), _citizen.suspended_at.is_(None))
    .with_for_update(key_share=True)
)
_HOLD = _HOLD_FROZEN.where(_citizen.frozen_at.is_(None))
# As a condition of a decision, which takes the turn by it; bound to `secret_digest`, of the citizen's session.
STILL_SIGNED_IN = _HOLD.exists()


def take(session: Session, citizen_id: int) -> None:
    """Let whoever else changes something of this citizen wait for the caller's commit. Before all else of a change."""
    session.execute(_TAKE, {"citizen": citizen_id})


def hold(session: Session, signed_in: SignedIn, *, frozen: bool = False) -> None:
    """Take the turn as whom this session is of; whoever ends it, or freezes or suspends its citizen, waits as well.

    For a change to what protects the citizen: the request may have waited for somebody, and whoever was shut out
    meanwhile must not bring in a key of their own.
    Args: frozen: a freeze shuts nobody out: it is by this very session, or what follows asks for it by itself.
    Raises: ShutOut, if one of them was first; then nothing may be committed.
    """
    held = _HOLD_FROZEN if frozen else _HOLD
    if session.execute(held, {"secret_digest": signed_in.session_digest}).first() is None:
        raise ShutOut("since the request began")
