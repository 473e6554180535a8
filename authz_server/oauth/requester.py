"""Which client a request comes from, once it has proved it: for the log, and for the list that its developer reads."""

from logging import WARNING

from flask import g, request
from sqlalchemy.orm import Session

from authz_server.clients import own_requests
from authz_server.clients.models import ClientRequest
from authz_server.core import clock
from authz_server.core.errors import DomainError
from authz_server.core.logging import current_trace_id, event
from authz_server.database import UNREACHABLE, db, why


def remember(client_id: str) -> None:
    """Remember whose this request is, whatever else may be wrong with it."""
    g.requester = client_id


def client_id() -> str | None:
    """The client that the request is of; None if it has proved none, or not yet."""
    found: str | None = g.get("requester")
    return found


def keep_answer(client_id: str, status: int, refusal: DomainError | None) -> None:
    """Keep how this request of a client was answered, in a transaction of its own.

    What was answered stands: where the database has gone meanwhile, this is missing from the list and nothing else.
    """
    kept = ClientRequest(
        client_id=client_id,
        at=clock.now(),
        method=request.method,
        endpoint=str(request.url_rule),
        status=status,
        error=refusal.code if refusal else None,
        detail=(refusal.detail or refusal.public) if refusal else None,
        trace_id=current_trace_id(),
    )
    try:
        with Session(db.engine) as session, session.begin():
            own_requests.keep(session, kept)
    except UNREACHABLE as error:
        event("client_request.not_kept", level=WARNING, client_id=client_id, **why(error))
