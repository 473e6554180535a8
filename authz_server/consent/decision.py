"""The decision: approve or deny, once, with everything that it leaves behind in one transaction."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, bindparam, update
from sqlalchemy.sql.dml import ReturningUpdate

from authz_server.audit.models import AUDIT_ENTRY
from authz_server.audit.service import Entry
from authz_server.catalogue.model import Catalogue
from authz_server.clients import own
from authz_server.clients.model import RegisteredAgency
from authz_server.config import Settings
from authz_server.consent import download, preparation
from authz_server.consent.codes import AT_COUNTER, CODE, PREFIX, collectable_s, unshown
from authz_server.consent.details import DETAILS_TYPE
from authz_server.consent.errors import IdentityNotSufficient, RequestNotUsable
from authz_server.consent.models import CONSENT, REFUSAL
from authz_server.consent.notice import Notice
from authz_server.consent.request import AuthorizationParameters, PendingRequest, response_location
from authz_server.consent.service import REQUEST, WAITING, refusal
from authz_server.consent.standing import is_for
from authz_server.core import clock
from authz_server.core.secrets import digest, new_id, new_secret
from authz_server.identity import levels, turns
from authz_server.identity.sessions import SignedIn
from authz_server.prepared import Executor
from authz_server.single_use.decision import Decision


def deciding(*conditions: ColumnElement[bool]) -> ReturningUpdate[Any]:
    """The one UPDATE that decides a request; whoever takes a decision with it says what that leaves behind."""
    undecided = (REQUEST.c.id == bindparam("request_id"), REQUEST.c.deadline_at > bindparam("now"), *WAITING)
    return update(REQUEST).where(*undecided, *conditions).values(decided_at=bindparam("now")).returning(REQUEST.c.id)


OWN = REQUEST.c.citizen_id == bindparam("citizen")
LEAVES = (CONSENT, CODE, AUDIT_ENTRY)
# With a turn: an approval and a freeze wait for each other, so that a freeze finds every code that was given before it.
APPROVING = deciding(OWN, turns.STILL_SIGNED_IN)
APPROVE = Decision(APPROVING, leaves=LEAVES)
# Apart from the other, which most consents are, so that it costs them nothing.
APPROVE_SLOW = Decision(APPROVING, leaves=[*LEAVES, preparation.PREPARATION])
DENY = Decision(deciding(REQUEST.c.citizen_id.is_(None) | OWN), leaves=[REFUSAL, AUDIT_ENTRY])
# OpenID Connect Core section 3.1.2.1: the answer where the id_token_hint names another one.
SOMEBODY_ELSE: Final = "login_required"
# What may still happen to a consent.
NOTHING_SINCE: Final = dict.fromkeys(
    ("withdrawn_at", "erasure_requested_at", "erasure_reminded_at", "erasure_answered_at", "erasure_refusal")
)


def approve(
    session: Executor,
    pending: PendingRequest,
    chosen: Mapping[int, Sequence[str]],
    *,
    signed_in: SignedIn,
    notice: Notice,
    catalogue: Catalogue,
    settings: Settings,
    server_secret: bytes,
    now: datetime,
    session_secret: str = "",
    agency_of: Callable[[str], RegisteredAgency | None] = lambda _: None,
) -> str:
    """Record the consent and issue the code; the location that takes the browser back to the client with it,
    or to where the citizen is shown a barcode in its place.

    Request spent, consent, code and entries are one decision. The caller commits.
    Args: chosen: by position of the dataset in the request, the optional fields that were ticked; notice: found to be
        what was shown, for nothing is looked at again; session_secret: what a download's code is derived from;
        agency_of: the registration of an agency, which may take requests to prepare what is slow.
    Raises: IdentityNotSufficient; RequestNotUsable, when it was decided, its time ran out, the citizen was frozen,
        suspended or signed out meanwhile, it is for somebody else, or another one would have to agree as well.
    """
    if not is_for(pending, signed_in.citizen_id, server_secret=server_secret):
        raise RequestNotUsable("for somebody else")
    if not agrees_alone(pending, signed_in, settings=settings, now=now):
        raise RequestNotUsable("the citizen is not of age")
    stated = require_identity(pending, signed_in, catalogue=catalogue)
    asked = pending.parameters
    who, consent_id = signed_in.citizen_id, new_id()
    code = _code(pending, server_secret, session_secret)
    granted = grant_of(asked, chosen, catalogue=catalogue, unavailable=notice.unavailable)
    collected_by = _collected_by(pending, settings, now=now)
    owner = {"transaction_id": pending.transaction_id, "citizen_id": who, "client_id": pending.client_id}
    consent = {"id": consent_id, "granted": granted} | _consent(pending, notice, stated, now=now)
    answer = _answer(pending, code, consent_id, stated, collected_by)
    entries = _entries(pending, "approved", citizen_id=who, consent_id=consent_id, now=now)
    rows = [[owner | consent], [owner | answer], [entry.values() for entry in entries]]
    decision = APPROVE
    if asked.at_counter or pending.client_id == own.CLIENT_ID:  # somebody comes later
        askable = preparation.Askable(catalogue, agency_of, collected_by, settings.limits.dataset_token_ttl_s)
        decision = _with_preparations(rows, granted, owner | {"consent_id": consent_id}, askable, now=now)
    known: dict[str, Any] = {
        "request_id": pending.request_id,
        "citizen": who,
        "secret_digest": signed_in.session_digest,
        "now": now,
    }
    if not decision.run(session, rows=rows, **known):
        raise RequestNotUsable("decided or expired, or the citizen shut out, meanwhile")
    return _location(pending, code, settings)


def _consent(pending: PendingRequest, notice: Notice, stated: levels.Stated, *, now: datetime) -> dict[str, Any]:
    """The columns of the consent: all but its id, its owner and what it grants."""
    return {
        "scopes": pending.parameters.scopes,
        "purpose_id": pending.purpose_id,
        "notice": notice.to_json(),
        "notice_version": notice.version,
        "notice_locale": notice.locale,
        "notice_sha256": notice.sha256,
        "use_until": notice.use_until,
        "erase_by": notice.erase_by,
        **stated._asdict(),
        "decided_at": now,
        **NOTHING_SINCE,
    }


def _answer(
    pending: PendingRequest, code: str, consent_id: str, stated: levels.Stated, collected_by: datetime
) -> dict[str, Any]:
    """The columns of the code: all but its owner."""
    asked = pending.parameters
    return {
        "digest": digest(code),
        "consent_id": consent_id,
        "redirect_uri": asked.redirect_uri,
        "code_challenge": asked.code_challenge,
        "dpop_jkt": asked.dpop_jkt,
        "nonce": asked.nonce,
        "claims": {**asked.claims, "acr": asked.stated_acr(stated.level)},
        "expires_at": collected_by,
        "used_at": None,
    }


def _collected_by(pending: PendingRequest, settings: Settings, *, now: datetime) -> datetime:
    at_counter = pending.parameters.at_counter
    ttl_s = collectable_s(settings.limits, at_counter=at_counter, client_id=pending.client_id)
    return now + timedelta(seconds=ttl_s)


def _with_preparations(
    rows: list[list[dict[str, Any]]],
    granted: Sequence[Mapping[str, Any]],
    owner: Mapping[str, Any],
    askable: preparation.Askable,
    *,
    now: datetime,
) -> Decision:
    """Add the rows and entries of what agencies are asked to have ready, if anything; the decision that leaves them."""
    ahead, entries = preparation.ask(granted, owner, askable, now=now)
    if not ahead:
        return APPROVE
    rows[-1] += [entry.values() for entry in entries]
    rows.append(ahead)
    return APPROVE_SLOW


def _code(pending: PendingRequest, server_secret: bytes, session_secret: str) -> str:
    if pending.parameters.at_counter:
        return unshown(server_secret, pending.transaction_id)
    if pending.client_id == own.CLIENT_ID:
        return PREFIX + download.Page(session_secret, pending.transaction_id).code
    return new_secret(PREFIX)


def _location(pending: PendingRequest, code: str, settings: Settings) -> str:
    if pending.parameters.at_counter:
        return f"{settings.issuer}/counter/{pending.transaction_id}"
    if pending.client_id == own.CLIENT_ID:
        return f"{download.PATH}/{pending.transaction_id}"
    return response_location(pending.parameters, settings.issuer, code=code)


def agrees_alone(pending: PendingRequest, signed_in: SignedIn, *, settings: Settings, now: datetime) -> bool:
    """Whether nobody else has to agree: of a minor the legal representative has to, and that one did is not presumed.

    Their own data, which go to nobody else, they may take at any age.
    Source: Civil Code of Taiwan, articles 12, 77 and 79.
    """
    is_for_themselves = pending.client_id == own.CLIENT_ID
    return is_for_themselves or clock.years_since(signed_in.birthdate, now=now) >= settings.limits.adult_years


def require_identity(pending: PendingRequest, signed_in: SignedIn, *, catalogue: Catalogue) -> levels.Stated:
    """Check that this sign-in is strong and fresh enough for this request; what may be told of it.

    Raises: IdentityNotSufficient.
    """
    needed_level, authenticated_after = pending.needed_level(catalogue), pending.authenticated_after
    lacking = levels.lack(signed_in, needed_level, authenticated_after, two_methods=signed_in.first_use)
    stated = levels.stated(signed_in, needed_level, authenticated_after)
    if lacking is not None or stated is None:
        raise IdentityNotSufficient(lacking or "level")
    return stated


def deny(
    session: Executor, pending: PendingRequest, *, citizen_id: int | None, settings: Settings, now: datetime
) -> str:
    """Record the refusal; the location that tells the client `access_denied`, and nothing else. The caller commits.

    Raises: RequestNotUsable.
    """
    who = pending.citizen_id or citizen_id
    entries = _entries(pending, "denied", citizen_id=who, consent_id=None, now=now)
    rows = [refusal(pending, pending.parameters, who, now=now), [entry.values() for entry in entries]]
    if not DENY.run(session, rows=rows, request_id=pending.request_id, citizen=citizen_id, now=now):
        raise RequestNotUsable("decided or expired meanwhile")
    return response_location(
        pending.parameters, settings.issuer, error="access_denied", error_description="The citizen did not agree."
    )


def fail(session: Executor, pending: PendingRequest, error: str, *, settings: Settings, now: datetime) -> str:
    """End a request that can't be answered without asking (prompt=none); the location that says so.

    The caller commits.  Raises: RequestNotUsable.
    """
    if not DENY.run(session, rows=[[], []], request_id=pending.request_id, citizen=pending.citizen_id, now=now):
        raise RequestNotUsable("decided or expired meanwhile")
    return response_location(pending.parameters, settings.issuer, error=error)


def grant_of(
    asked: AuthorizationParameters,
    chosen: Mapping[int, Sequence[str]],
    *,
    catalogue: Catalogue,
    unavailable: Collection[int],
) -> list[dict[str, Any]]:
    """What a decision grants, dataset by dataset in the order asked; never more than was asked.

    Args: chosen: by position, the optional fields that were ticked; unavailable: positions of datasets of which the
        notice said that they are not shared.
    """
    granted = []
    for position, requested in enumerate(asked.datasets):
        dataset = catalogue.dataset(requested.dataset_id)
        fields = requested.granted_fields(chosen.get(position, ()), dataset)
        if fields and position not in unavailable:
            granted.append(
                {
                    "type": DETAILS_TYPE,
                    "dataset": requested.dataset_id,
                    "purpose": requested.purpose_id,
                    "fields": list(fields),
                    "parameters": dict(requested.parameters),
                    "recipient_jwk": requested.recipient_jwk,
                    **({"actions": list(requested.actions)} if requested.actions else {}),
                }
            )
    return granted


def _entries(
    pending: PendingRequest, decision: str, *, citizen_id: int | None, consent_id: str | None, now: datetime
) -> tuple[Entry, Entry]:
    """The request and its decision: only now is it known whose record the request belongs to."""
    at_counter = pending.parameters.at_counter
    asked = Entry(
        at=pending.pushed_at,
        event="consent.requested",
        success=True,
        actor="citizen" if at_counter else f"client:{pending.client_id}",
        transaction_id=pending.transaction_id,
        citizen_id=citizen_id,
        client_id=pending.client_id,
        reason=AT_COUNTER if at_counter else None,
    )
    decided = replace(
        asked,
        at=now,
        event=f"consent.{decision}",
        success=decision == "approved",
        actor="citizen",
        consent_id=consent_id,
    )
    return asked, decided
