"""Grant Management for OAuth 2.0 (OpenID FAPI working group): a client looks at its grant, and gives it up.

A grant is a consent, so `grant_id` is what agency tickets carry as well. What has ended, is unknown or another client's
is the same 404.
"""

from collections import defaultdict, deque
from typing import Any

from flask import Request

from authz_server.clients import standing
from authz_server.consent.outcome import find_outcome
from authz_server.core import clock, transfers
from authz_server.core.dpop import Proof
from authz_server.database import db
from authz_server.extensions import services
from authz_server.oauth import client_access, dpop
from authz_server.oauth.dpop import DpopVerifier
from authz_server.oauth.errors import InvalidToken
from authz_server.tokens import withdrawal

SHOWN = ("type", "dataset", "purpose", "fields", "parameters")


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
    states: dict[str, deque[str]] = defaultdict(deque)
    for fetch in outcome.fetches if outcome else ():
        states[fetch.dataset_id].append(fetch.state)
    details = [
        {**{name: detail[name] for name in SHOWN}, "state": states[detail["dataset"]].popleft()}
        for detail in grant.granted
    ]
    return {
        "scopes": [{"scope": " ".join(grant.scopes)}] if grant.scopes else [],
        "authorization_details": details,
    }


def revoke(request: Request, verifier: DpopVerifier, grant_id: str) -> None:
    """End a grant, exactly as its citizen would stop it; answers once nothing of it leaves any more. It commits.

    Raises: as `query`.
    """
    client, proof = client_access.admit(request, services(), verifier, scope=client_access.REVOKE)
    _check_active(client.client_id, proof)
    under_way = withdrawal.give_up(db.session(), grant_id, client_id=client.client_id, now=clock.now())
    db.session.commit()
    if under_way:
        transfers.let_end(request.environ)


def _check_active(client_id: str, proof: Proof) -> None:
    """Spend the proof. In the transaction of what follows, so a request that is refused spends nothing."""
    if not standing.check(db.session(), client_id, spend=[dpop.identifier(proof)]):
        raise InvalidToken("suspended a moment ago")
