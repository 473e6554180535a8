"""Changes of one citizen that come one after the other."""

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from authz_server.identity.models import CITIZEN

# Not FOR UPDATE: who signs in only points at the citizen. They may hold a session that the change is about to end, and
# must not wait for it as it waits for them.
_TAKE = select(CITIZEN.c.id).where(CITIZEN.c.id == bindparam("citizen")).with_for_update(key_share=True)


def take(session: Session, citizen_id: int) -> None:
    """Let whoever else changes something of this citizen wait for the caller's commit. Before all else of a change."""
    session.execute(_TAKE, {"citizen": citizen_id})
