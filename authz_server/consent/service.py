"""From pushed request to decision. Each step is one UPDATE whose WHERE says what must still hold."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import bindparam, exists, func, insert, literal_column, select, update
from sqlalchemy.orm import Session

from authz_server.audit.service import Entry
from authz_server.clients.models import Client as ClientRow
from authz_server.config import Settings
from authz_server.consent.errors import RequestNotUsable, WrongCitizen
from authz_server.consent.models import CONSENT, REFUSAL, AuthorizationRequest
from authz_server.consent.request import AuthorizationParameters, PendingRequest
from authz_server.core.clock import EVER
from authz_server.core.identifiers import new_transaction_id
from authz_server.core.secrets import digest, new_secret
from authz_server.database import table_of
from authz_server.prepared import Executor, Prepared
from authz_server.single_use.decision import Decision
from authz_server.single_use.identifiers import Identifier

REQUEST_URI_PREFIX = "urn:ietf:params:oauth:request_uri:"
REQUEST = table_of(AuthorizationRequest)
PUSHED = ("id", "digest", "transaction_id", "client_id", "parameters", "pushed_at", "expires_at", "deadline_at")

PUSH = Decision(
    insert(REQUEST)
    .values({name: bindparam(name, type_=REQUEST.c[name].type) for name in PUSHED})
    .returning(REQUEST.c.id)
)
WAITING = (
    REQUEST.c.decided_at.is_(None),
    # Said so that it also proves that there is such a client: see `database.references`.
    exists().where(ClientRow.client_id == REQUEST.c.client_id, ClientRow.suspended_at.is_(None)),
)
PREVIOUS = (
    select(CONSENT.c.granted)
    # Both names in full: see `looked_up`.
    .where(CONSENT.c.citizen_id == bindparam("citizen"))
    .where(literal_column("consent.client_id") == literal_column("authorization_request.client_id"))
    .order_by(CONSENT.c.decided_at.desc())
    .limit(1)
    .scalar_subquery()
    .label("previous")
)
_BEGIN = (
    update(REQUEST)
    .where(
        REQUEST.c.digest == bindparam("request_uri"),
        REQUEST.c.client_id == bindparam("asking_client"),
        # Begun in time may be finished later: the short life of request_uri must not punish a slow reader.
        func.coalesce(REQUEST.c.started_at, bindparam("now")) < REQUEST.c.expires_at,
        REQUEST.c.deadline_at > bindparam("now"),
        *WAITING,
    )
    .values(started_at=func.coalesce(REQUEST.c.started_at, bindparam("now")))
    .returning(REQUEST)
)
BEGIN = Prepared(_BEGIN)
BEGIN_SIGNED_IN = Prepared(
    _BEGIN.where(REQUEST.c.citizen_id.is_(None) | (REQUEST.c.citizen_id == bindparam("citizen")))
    .values(citizen_id=bindparam("citizen"))
    .returning(PREVIOUS)
)
BEGUN = (
    REQUEST.c.id == bindparam("request_id"),
    REQUEST.c.started_at.is_not(None),
    REQUEST.c.deadline_at > bindparam("now"),
    *WAITING,
)
FIND = Prepared(select(REQUEST).where(*BEGUN))
OWN = Prepared(select(REQUEST, PREVIOUS).where(*BEGUN, REQUEST.c.citizen_id == bindparam("citizen")))
TAKE = Prepared(
    update(REQUEST)
    .where(*BEGUN, REQUEST.c.citizen_id.is_(None))
    .values(citizen_id=bindparam("citizen"))
    .returning(REQUEST, PREVIOUS)
)
EXTEND = (
    update(REQUEST)
    .where(REQUEST.c.id == bindparam("request_id"), REQUEST.c.citizen_id == bindparam("citizen"), *WAITING)
    .where(REQUEST.c.deadline_at > bindparam("now"))
    .values(deadline_at=bindparam("deadline"))
    .returning(REQUEST.c.deadline_at)
)
LAPSED = Decision(
    update(REQUEST)
    .where(
        REQUEST.c.decided_at.is_(None),
        REQUEST.c.deadline_at > bindparam("earliest"),
        REQUEST.c.deadline_at <= bindparam("now"),
    )
    .values(decided_at=bindparam("now"))
    .returning(*(REQUEST.c[name] for name in ("transaction_id", "citizen_id", "client_id", "parameters")))
)


def push(
    session: Executor,
    parameters: AuthorizationParameters,
    *,
    client_id: str,
    spend: Sequence[Identifier],
    settings: Settings,
    now: datetime,
) -> str:
    """Keep a validated request and return its request_uri (RFC 9126 section 2.2). The caller commits.

    Raises: AssertionReplayed, ProofReplayed.
    """
    request_uri = new_secret(REQUEST_URI_PREFIX)
    PUSH.run(
        session,
        spend=spend,
        id=new_secret(""),
        digest=digest(request_uri),
        transaction_id=new_transaction_id(),
        client_id=client_id,
        parameters=parameters.to_json(),
        pushed_at=now,
        expires_at=now + timedelta(seconds=settings.limits.request_uri_ttl_s),
        deadline_at=now + timedelta(seconds=settings.limits.transaction_ttl_s),
    )
    return request_uri


def begin(
    session: Executor, request_uri: str, client_id: str, *, citizen_id: int | None, now: datetime
) -> PendingRequest:
    """The request behind a request_uri, begun now if it wasn't, and bound to the citizen if one is signed in.

    Opening it again before the decision is fine. The caller commits.
    Raises: RequestNotUsable; WrongCitizen if somebody else has begun to read it.
    """
    known = {"request_uri": digest(request_uri), "asking_client": client_id, "now": now}
    if citizen_id is None:
        rows = BEGIN.run(session, known)
    else:
        rows = BEGIN_SIGNED_IN.run(session, known | {"citizen": citizen_id})
        if not rows and BEGIN.run(session, known):
            raise WrongCitizen
    if not rows:
        raise RequestNotUsable("unknown, expired, decided, or another client's")
    return pending_of(rows[0])


def open_for(session: Executor, request_id: str, *, citizen_id: int, now: datetime) -> PendingRequest:
    """The begun request, from now on this citizen's alone. The caller commits.

    Raises: RequestNotUsable: unknown, over, decided, or another citizen's; all look alike.
    """
    known = {"request_id": request_id, "citizen": citizen_id, "now": now}
    # Most are taken already, when the page was shown, and what is only read costs no write to the disk.
    rows = OWN.run(session, known) or TAKE.run(session, known) or OWN.run(session, known)
    if not rows:
        raise RequestNotUsable("unknown, expired, decided, or another citizen's")
    return pending_of(rows[0])


def find(session: Executor, request_id: str, *, now: datetime) -> PendingRequest | None:
    """The begun, undecided request, for a page that must show who asks before anybody has signed in."""
    rows = FIND.run(session, {"request_id": request_id, "now": now})
    return pending_of(rows[0]) if rows else None


def client_of(session: Session, request_id: str) -> str | None:
    """Which client a request of any state came from, so that a dead end can point the way back; None if from none.

    A visit to a counter is asked for on this platform's own pages, whatever client it is for.
    """
    asked = select(REQUEST.c.client_id, REQUEST.c.parameters).where(REQUEST.c.id == request_id)
    row = session.execute(asked).one_or_none()
    return str(row.client_id) if row and not row.parameters.get("at_counter") else None


def extend(session: Session, request_id: str, *, citizen_id: int, settings: Settings, now: datetime) -> datetime | None:
    """Give a slow reader the full time again, at most four times over in all; the new deadline. The caller commits."""
    found = session.execute(select(REQUEST.c.pushed_at).where(REQUEST.c.id == request_id)).scalar_one_or_none()
    if found is None:
        return None
    deadline = extended_deadline(found, settings=settings, now=now)
    return session.execute(
        EXTEND, {"request_id": request_id, "citizen": citizen_id, "deadline": deadline, "now": now}
    ).scalar_one_or_none()


def extended_deadline(pushed_at: datetime, *, settings: Settings, now: datetime) -> datetime:
    """Until when a request can be decided, if it is extended now."""
    full = timedelta(seconds=settings.limits.transaction_ttl_s)
    return min(now + full, pushed_at + 4 * full)


def tidy(session: Session, *, look_back: timedelta = EVER, now: datetime) -> Sequence[Any]:
    """Put on the record the requests that nobody decided in time. The caller commits.

    Args: look_back: how long ago that time may have been; what is older was seen to before.
    """
    entry = Entry(at=now, event="consent.expired", success=False, actor="worker")
    lapsed = LAPSED.run(session, entry=entry, earliest=now - look_back, now=now)
    asked = [(row, AuthorizationParameters.from_json(row.parameters)) for row in lapsed]
    if rows := [one for row, parameters in asked for one in refusal(row, parameters, row.citizen_id, now=now)]:
        session.execute(insert(REFUSAL), rows)
    return lapsed


def refusal(
    request: Any, parameters: AuthorizationParameters, citizen_id: int | None, *, now: datetime
) -> list[dict[str, Any]]:
    """The row by which a citizen finds what they did not agree to; none, if it is not known whose it is, or about
    identity alone. Args: request: transaction_id and client_id."""
    if citizen_id is None or not parameters.datasets:
        return []
    return [
        {
            "transaction_id": request.transaction_id,
            "citizen_id": citizen_id,
            "client_id": request.client_id,
            "purpose_id": parameters.purpose_id,
            "asked": [{"dataset": requested.dataset_id} for requested in parameters.datasets],
            "decided_at": now,
        }
    ]


def pending_of(row: Any) -> PendingRequest:
    """The request in a row of its table."""
    return PendingRequest(
        request_id=row.id,
        transaction_id=row.transaction_id,
        client_id=row.client_id,
        citizen_id=row.citizen_id,
        parameters=AuthorizationParameters.from_json(row.parameters),
        pushed_at=row.pushed_at,
        started_at=row.started_at,
        deadline_at=row.deadline_at,
        previous=getattr(row, "previous", None),
    )
