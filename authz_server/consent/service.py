"""From pushed request to decision. Each step is one UPDATE whose WHERE says what must still hold."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import Row, bindparam, exists, func, insert, select, update
from sqlalchemy.orm import Session

from authz_server.audit.service import Entry, RecordedChange, record
from authz_server.catalogue.model import Catalogue
from authz_server.clients.models import Client as ClientRow
from authz_server.clients.model import Client
from authz_server.config import Settings
from authz_server.consent.codes import issue_code
from authz_server.consent.errors import IdentityNotSufficient, RequestNotUsable, WrongCitizen
from authz_server.consent.models import AuthorizationRequest, Consent
from authz_server.consent.notice import Notice
from authz_server.consent.request import AuthorizationParameters, PendingRequest, response_location
from authz_server.core.identifiers import new_transaction_id
from authz_server.core.secrets import digest, new_secret
from authz_server.identity import levels
from authz_server.identity.sessions import SignedIn

REQUEST_URI_PREFIX = "urn:ietf:params:oauth:request_uri:"
REQUEST = AuthorizationRequest.__table__
CONSENT = Consent.__table__

PUSH = insert(REQUEST)
WAITING = (
    REQUEST.c.decided_at.is_(None),
    ~exists().where(ClientRow.client_id == REQUEST.c.client_id, ClientRow.suspended_at.is_not(None)),
)
PREVIOUS = (
    select(CONSENT.c.granted)
    .where(CONSENT.c.citizen_id == bindparam("citizen"), CONSENT.c.client_id == REQUEST.c.client_id)
    .order_by(CONSENT.c.decided_at.desc())
    .limit(1)
    .scalar_subquery()
    .label("previous")
)
BEGIN = (
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
OPEN = (
    update(REQUEST)
    .where(
        REQUEST.c.id == bindparam("request_id"),
        REQUEST.c.started_at.is_not(None),
        REQUEST.c.deadline_at > bindparam("now"),
        REQUEST.c.citizen_id.is_(None) | (REQUEST.c.citizen_id == bindparam("citizen")),
        *WAITING,
    )
    .values(citizen_id=bindparam("citizen"))
    .returning(REQUEST, PREVIOUS)
)
BEGIN_SIGNED_IN = (
    BEGIN.where(REQUEST.c.citizen_id.is_(None) | (REQUEST.c.citizen_id == bindparam("citizen")))
    .values(citizen_id=bindparam("citizen"))
    .returning(PREVIOUS)
)
DECIDE = (
    update(REQUEST)
    .where(REQUEST.c.id == bindparam("request_id"), REQUEST.c.deadline_at > bindparam("now"), *WAITING)
    .values(decided_at=bindparam("now"))
)
APPROVE = DECIDE.where(REQUEST.c.citizen_id == bindparam("citizen")).returning(REQUEST)
DENY = DECIDE.where(REQUEST.c.citizen_id.is_(None) | (REQUEST.c.citizen_id == bindparam("citizen"))).returning(REQUEST)
EXTEND = (
    update(REQUEST)
    .where(REQUEST.c.id == bindparam("request_id"), REQUEST.c.citizen_id == bindparam("citizen"), *WAITING)
    .where(REQUEST.c.deadline_at > bindparam("now"))
    .values(deadline_at=bindparam("deadline"))
    .returning(REQUEST.c.deadline_at)
)
LAPSED = RecordedChange(
    update(REQUEST)
    .where(REQUEST.c.decided_at.is_(None), REQUEST.c.deadline_at <= bindparam("now"))
    .values(decided_at=bindparam("now"))
    .returning(REQUEST.c.transaction_id, REQUEST.c.citizen_id, REQUEST.c.client_id)
)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """A decision that was taken; `location` takes the browser back to the client, with or without a code."""

    location: str
    transaction_id: str
    consent_id: str | None = None


def push(
    session: Session, parameters: AuthorizationParameters, *, client_id: str, settings: Settings, now: datetime
) -> str:
    """Keep a validated request and return its request_uri (RFC 9126 section 2.2). The caller commits."""
    request_uri = new_secret(REQUEST_URI_PREFIX)
    session.execute(
        PUSH,
        {
            "id": new_secret(""),
            "digest": digest(request_uri),
            "transaction_id": new_transaction_id(),
            "client_id": client_id,
            "parameters": parameters.to_json(),
            "pushed_at": now,
            "expires_at": now + timedelta(seconds=settings.limits.request_uri_ttl_s),
            "deadline_at": now + timedelta(seconds=settings.limits.transaction_ttl_s),
        },
    )
    return request_uri


def begin(
    session: Session, request_uri: str, client_id: str, *, citizen_id: int | None, now: datetime
) -> PendingRequest:
    """The request behind a request_uri, begun now if it wasn't, and bound to the citizen if one is signed in.

    Opening it again before the decision is fine. The caller commits.
    Raises: RequestNotUsable; WrongCitizen if somebody else has begun to read it.
    """
    known = {"request_uri": digest(request_uri), "asking_client": client_id, "now": now}
    if citizen_id is None:
        row = session.execute(BEGIN, known).one_or_none()
    else:
        row = session.execute(BEGIN_SIGNED_IN, known | {"citizen": citizen_id}).one_or_none()
        if row is None and session.execute(BEGIN, known).one_or_none() is not None:
            raise WrongCitizen
    if row is None:
        raise RequestNotUsable("unknown, expired, decided, or another client's")
    return _pending(row)


def open_for(session: Session, request_id: str, *, citizen_id: int, now: datetime) -> PendingRequest:
    """The begun request, from now on this citizen's alone. The caller commits.

    Raises: RequestNotUsable: unknown, over, decided, or another citizen's; all look alike.
    """
    row = session.execute(OPEN, {"request_id": request_id, "citizen": citizen_id, "now": now}).one_or_none()
    if row is None:
        raise RequestNotUsable("unknown, expired, decided, or another citizen's")
    return _pending(row)


def find(session: Session, request_id: str, *, now: datetime) -> PendingRequest | None:
    """The begun, undecided request, for a page that must show who asks before anybody has signed in."""
    row = session.execute(
        select(REQUEST).where(REQUEST.c.id == request_id, REQUEST.c.started_at.is_not(None), REQUEST.c.deadline_at > now)
        .where(*WAITING)
    ).one_or_none()  # fmt: skip
    return _pending(row) if row else None


def client_of(session: Session, request_id: str) -> str | None:
    """Which client a request of any state came from, so that a dead end can point the way back."""
    return session.execute(select(REQUEST.c.client_id).where(REQUEST.c.id == request_id)).scalar_one_or_none()


def extend(session: Session, request_id: str, *, citizen_id: int, settings: Settings, now: datetime) -> datetime | None:
    """Give a slow reader the full time again, at most four times over in all; the new deadline. The caller commits."""
    found = session.execute(select(REQUEST.c.pushed_at).where(REQUEST.c.id == request_id)).scalar_one_or_none()
    if found is None:
        return None
    full = timedelta(seconds=settings.limits.transaction_ttl_s)
    deadline = min(now + full, found + 4 * full)
    return session.execute(
        EXTEND, {"request_id": request_id, "citizen": citizen_id, "deadline": deadline, "now": now}
    ).scalar_one_or_none()


def approve(
    session: Session,
    pending: PendingRequest,
    chosen: Mapping[int, Sequence[str]],
    *,
    client: Client,
    signed_in: SignedIn,
    notice: Notice,
    catalogue: Catalogue,
    settings: Settings,
    now: datetime,
) -> Outcome:
    """Record the consent and issue the code: request spent, consent, code and entries in one transaction.

    The caller commits, after it has checked that `notice` is what was shown.
    Args: chosen: by position of the dataset in the request, the optional fields that were ticked.
    Raises: IdentityNotSufficient; RequestNotUsable, when it was decided or its time ran out meanwhile.
    """
    require_identity(pending, signed_in, catalogue=catalogue, now=now)
    known = {"request_id": pending.request_id, "citizen": signed_in.citizen_id, "now": now}
    if session.execute(APPROVE, known).one_or_none() is None:
        raise RequestNotUsable("decided or expired meanwhile")
    asked = pending.parameters
    granted = grant_of(asked, chosen)
    purpose = client.purposes[pending.purpose_id] if pending.purpose_id else None
    today = pending.started_at.date()  # the notice, which was read before, counts from here
    consent_id = new_secret("")[:22]
    session.execute(
        insert(CONSENT),
        {
            "id": consent_id,
            "transaction_id": pending.transaction_id,
            "citizen_id": signed_in.citizen_id,
            "client_id": pending.client_id,
            "scopes": asked.scopes,
            "purpose_id": pending.purpose_id,
            "granted": granted,
            "notice": notice.to_json(),
            "notice_version": notice.version,
            "notice_locale": notice.locale,
            "notice_sha256": notice.sha256,
            "use_until": _days_after(today, purpose.use_until_days if purpose else None),
            "erase_by": _days_after(today, purpose.erase_by_days if purpose else None),
            "level": signed_in.level,
            "amr": signed_in.amr,
            "auth_time": signed_in.auth_time,
            "decided_at": now,
        },
    )
    code = issue_code(
        session,
        now=now,
        ttl_s=settings.limits.code_ttl_s,
        consent_id=consent_id,
        transaction_id=pending.transaction_id,
        citizen_id=signed_in.citizen_id,
        client_id=pending.client_id,
        redirect_uri=asked.redirect_uri,
        code_challenge=asked.code_challenge,
        dpop_jkt=asked.dpop_jkt,
        nonce=asked.nonce,
        claims=asked.claims,
    )
    _record_decision(session, pending, "approved", consent_id=consent_id, granted=granted, now=now)
    location = response_location(asked, settings.issuer, code=code)
    return Outcome(location=location, transaction_id=pending.transaction_id, consent_id=consent_id)


def require_identity(pending: PendingRequest, signed_in: SignedIn, *, catalogue: Catalogue, now: datetime) -> None:
    """Check that this sign-in is strong and fresh enough for this request.  Raises: IdentityNotSufficient."""
    if not levels.reached(signed_in.level, pending.needed_level(catalogue)):
        raise IdentityNotSufficient("level")
    if not levels.fresh(signed_in, pending.authenticated_after(now)):
        raise IdentityNotSufficient("again")


def deny(session: Session, request_id: str, *, citizen_id: int | None, settings: Settings, now: datetime) -> Outcome:
    """Record the refusal; nothing is sent to the client but `access_denied`. The caller commits.

    Raises: RequestNotUsable.
    """
    row = session.execute(DENY, {"request_id": request_id, "citizen": citizen_id, "now": now}).one_or_none()
    if row is None:
        raise RequestNotUsable("unknown, expired, decided, or another citizen's")
    pending = _pending(row)
    _record_decision(session, pending, "denied", citizen_id=citizen_id, now=now)
    location = response_location(
        pending.parameters, settings.issuer, error="access_denied", error_description="The citizen did not agree."
    )
    return Outcome(location=location, transaction_id=pending.transaction_id)


def fail(session: Session, pending: PendingRequest, error: str, *, settings: Settings, now: datetime) -> Outcome:
    """End a request that can't be answered without asking (prompt=none). The caller commits."""
    if (
        session.execute(DENY, {"request_id": pending.request_id, "citizen": pending.citizen_id, "now": now}).first()
        is None
    ):
        raise RequestNotUsable("decided or expired meanwhile")
    return Outcome(
        location=response_location(pending.parameters, settings.issuer, error=error),
        transaction_id=pending.transaction_id,
    )


def grant_of(asked: AuthorizationParameters, chosen: Mapping[int, Sequence[str]]) -> list[dict[str, Any]]:
    """What a decision grants: required fields, ticked optional ones, in the order asked; never more than was asked.

    A dataset without required fields is itself optional: it is granted if one of its fields was ticked.
    """
    granted = []
    for position, dataset in enumerate(asked.datasets):
        ticked = [name for name in dataset.fields_optional if name in chosen.get(position, ())]
        fields = [*dataset.fields_required, *ticked]
        if fields:
            granted.append(
                {
                    "type": "dataset",
                    "dataset": dataset.dataset_id,
                    "purpose": dataset.purpose_id,
                    "fields": fields,
                    "parameters": dict(dataset.parameters),
                    "recipient_jwk": dataset.recipient_jwk,
                }
            )
    return granted


def tidy(session: Session, *, now: datetime) -> Sequence[Row[Any]]:
    """Put on the record the requests that nobody decided in time. The caller commits."""
    return LAPSED.run(session, Entry(at=now, event="consent.expired", success=False, actor="worker"), now=now)


def _record_decision(
    session: Session,
    pending: PendingRequest,
    decision: str,
    *,
    now: datetime,
    citizen_id: int | None = None,
    consent_id: str | None = None,
    granted: Sequence[Mapping[str, Any]] = (),
) -> None:
    owner = {
        "transaction_id": pending.transaction_id,
        "citizen_id": pending.citizen_id or citizen_id,
        "client_id": pending.client_id,
    }
    asked = Entry(
        at=pending.pushed_at, event="consent.requested", success=True, actor=f"client:{pending.client_id}", **owner
    )
    decided = Entry(
        at=now,
        event=f"consent.{decision}",
        success=decision == "approved",
        actor="citizen",
        consent_id=consent_id,
        **owner,
    )
    record(session, asked, decided)


def _pending(row: Row[Any]) -> PendingRequest:
    return PendingRequest(
        request_id=row.id,
        transaction_id=row.transaction_id,
        client_id=row.client_id,
        citizen_id=row.citizen_id,
        parameters=AuthorizationParameters.from_json(row.parameters),
        pushed_at=row.pushed_at,
        started_at=row.started_at,
        deadline_at=row.deadline_at,
        previous=row._mapping.get("previous"),
    )


def _days_after(day: date, days: int | None) -> date | None:
    return None if days is None else day + timedelta(days=days)
