"""Grant Management for OAuth 2.0 (OpenID FAPI working group): a client looks at its grant, and gives it up.

A grant is a consent, so `grant_id` is what agency tickets carry as well. What has ended, is unknown or another client's
is the same 404.
"""

from collections import defaultdict, deque
from typing import Any, cast

from flask import Request

from authz_server.clients import standing
from authz_server.consent import erasure
from authz_server.consent.details import TOLD
from authz_server.consent.errors import NoSuchConsent
from authz_server.consent.outcome import find_outcome
from authz_server.core import clock, transfers
from authz_server.core.dpop import Proof
from authz_server.database import db
from authz_server.extensions import services
from authz_server.oauth import client_access, dpop
from authz_server.oauth.dpop import DpopVerifier
from authz_server.oauth.errors import InvalidRequest, InvalidToken
from authz_server.oauth.params import FormPayload, read_form
from authz_server.tokens import withdrawal


def query(request: Request, verifier: DpopVerifier, grant_id: str) -> dict[str, Any]:
    """The scopes of a living grant, and each dataset with the state of its one fetch (see `consent.outcome`).

    Raises: as `client_access.admit`; NoSuchConsent, ProofReplayed.
    """
    here, session, now = services(), db.session(), clock.now()
    client, proof = client_access.admit(request, here, verifier, scope=client_access.QUERY)
    _check_active(client.client_id, proof)
    grant = withdrawal.find_grant(session, grant_id, client_id=client.client_id)
    outcome = find_outcome(
        session, grant.transaction_id, citizen_id=grant.citizen_id, limits=here.settings.limits, now=now
    )
    if outcome is None:  # a moment before the consent itself goes: see `retention`
        raise NoSuchConsent("its record is gone")
    states: dict[str, deque[str]] = defaultdict(deque)
    for fetch in outcome.fetches:
        states[fetch.dataset_id].append(fetch.state)
    details = [
        {**{name: detail[name] for name in TOLD}, "state": states[detail["dataset"]].popleft()}
        for detail in grant.granted
    ]
    return {
        "scopes": [{"scope": " ".join(grant.scopes)}] if grant.scopes else [],
        "authorization_details": details,
        "erasure": _shown_erasure(erasure.find(session, grant_id, client_id=client.client_id)),
    }


def revoke(request: Request, verifier: DpopVerifier, grant_id: str) -> None:
    """End a grant, exactly as its citizen would stop it; answers once nothing of it leaves any more. It commits.

    Raises: as `query`.
    """
    client, proof = client_access.admit(request, services(), verifier, scope=client_access.REVOKE)
    _check_active(client.client_id, proof)
    under_way = withdrawal.give_up(db.session(), grant_id, client_id=client.client_id, now=clock.now())
    transfers.commit_end(db.session(), under_way=under_way, environ=request.environ)


def query_erasure(request: Request, verifier: DpopVerifier, grant_id: str) -> dict[str, Any]:
    """Whether the citizen asked to erase, by when, and what was answered; also of a grant that has ended.

    Raises: as `query`.
    """
    client, proof = client_access.admit(request, services(), verifier, scope=client_access.QUERY)
    _check_active(client.client_id, proof)
    return _shown_erasure(erasure.find(db.session(), grant_id, client_id=client.client_id))


def answer_erasure(request: Request, verifier: DpopVerifier, grant_id: str) -> None:
    """Take the client's word on what became of the data; also of a grant that has ended.

    Raises: as `query`; InvalidRequest, ErasureSettled.
    """
    client, proof = client_access.admit(request, services(), verifier, scope=client_access.ERASURE)
    form = FormPayload(read_form(request))
    status, reason = form.get("status"), form.find("reason")
    if status not in {erasure.ERASED, "refused"}:
        raise InvalidRequest("status is unknown.")
    if (reason is not None) != (status == "refused") or reason not in {None, *erasure.REFUSALS}:
        raise InvalidRequest("reason is missing, unknown, or not for this status.")
    _check_active(client.client_id, proof)
    said = cast(erasure.Answer, reason or status)
    erasure.answer(db.session(), grant_id, said, client_id=client.client_id, now=clock.now())


def _shown_erasure(found: Any) -> dict[str, Any]:
    asked, answered, refusal = found.erasure_requested_at, found.erasure_answered_at, found.erasure_refusal
    shown = {
        "status": ("refused" if refusal else erasure.ERASED) if answered else "requested" if asked else "none",
        "erase_by": found.erase_by.isoformat() if found.erase_by else None,
        "requested_at": int(asked.timestamp()) if asked else None,
        "answered_at": int(answered.timestamp()) if answered else None,
        "reason": refusal,
    }
    return {name: value for name, value in shown.items() if value is not None}


def _check_active(client_id: str, proof: Proof) -> None:
    """Spend the proof. In the transaction of what follows, so a request that is refused spends nothing."""
    if not standing.check(db.session(), client_id, spend=[dpop.identifier(proof)]):
        raise InvalidToken("suspended a moment ago")
