"""What a client has asked lately and how it was answered, for its developer: kept only where the settings say so."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from authz_server.clients.models import ClientRequest

MOST_SHOWN: Final = 100
_MAX_CHARS: Final = 300


def keep(session: Session, request: ClientRequest) -> None:
    """Keep a request that was answered. The caller commits."""
    request.detail = request.detail and request.detail[:_MAX_CHARS]
    session.add(request)


def newest(session: Session, client_id: str, *, kept_s: int, now: datetime) -> Sequence[ClientRequest]:
    """The requests of a client, the newest first.  Args: kept_s: none that is older, even if it is still there."""
    since = now - timedelta(seconds=kept_s)
    own = select(ClientRequest).where(ClientRequest.client_id == client_id, ClientRequest.at >= since)
    return session.scalars(own.order_by(ClientRequest.id.desc()).limit(MOST_SHOWN)).all()
