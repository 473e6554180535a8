"""UserInfo (OpenID Connect Core section 5.3), for DPoP-bound access tokens only."""

from typing import Any

from flask import Request

from authz_server.core import clock
from authz_server.core.dpop import BadProof
from authz_server.core.secrets import equal
from authz_server.extensions import services
from authz_server.identity.subjects import pairwise_subject
from authz_server.oauth import dpop, requester
from authz_server.oauth.dpop import DpopVerifier
from authz_server.oauth.errors import InsufficientScope, InvalidToken
from authz_server.oauth.scopes import released
from authz_server.prepared import lone_connection
from authz_server.tokens import access_tokens


def answer(request: Request, verifier: DpopVerifier) -> dict[str, Any]:
    """The claims that the presented token opens; the token stays good until it expires.

    Raises: InvalidToken, BadProof, UseDpopNonce, InsufficientScope, ProofReplayed.
    """
    token = dpop.presented_token(request)
    proof = verifier.verify(request, access_token=token)
    with lone_connection() as connection:
        row = access_tokens.find(connection, token, spend=[dpop.identifier(proof)], now=clock.now())
    if row is None:
        raise InvalidToken("unknown, expired or revoked")
    requester.remember(row.client_id)
    if not equal(proof.jkt, row.jkt):
        raise BadProof("the proof is by another key than the token's")
    if "openid" not in row.scopes:
        raise InsufficientScope
    subject = pairwise_subject(services().secret, row.client_id, row.citizen_id)
    return {"sub": subject, **released(row.scopes, row.claims.get("userinfo", ()), row)}
