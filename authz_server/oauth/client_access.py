"""A client's own access token, for Grant Management: short-lived, bound to its DPoP key, and kept by nobody.

It is a signed JWT (RFC 9068): what it opens is judged anew each time that it is used, so that nothing would be gained
by remembering it here.
"""

from datetime import datetime
from typing import Any, Final
from uuid import uuid4

from flask import Request

from authz_server.clients.model import Client
from authz_server.core import clock, jose
from authz_server.core.dpop import BadProof, Proof
from authz_server.core.jose import BadToken
from authz_server.core.secrets import equal
from authz_server.extensions import Services
from authz_server.oauth import requester
from authz_server.oauth.dpop import DpopVerifier, presented_token
from authz_server.oauth.errors import InsufficientScope, InvalidToken

TTL_S: Final = 300
TYPE: Final = "at+jwt"
QUERY: Final = "grant_management_query"
REVOKE: Final = "grant_management_revoke"
ERASURE: Final = "grant_erasure"
SCOPES: Final = (QUERY, REVOKE, ERASURE)
PATH: Final = "/grants"


class ScopeMissing(InsufficientScope):
    """RFC 6750 section 3.1."""

    public = "The access token was not granted the scope that this needs."


def issue(services: Services, client_id: str, *, scope: str, jkt: str, now: datetime) -> str:
    """An access token of this client for these scopes, bound to the key `jkt`."""
    issued_at = int(now.timestamp())
    claims: dict[str, Any] = {
        "iss": services.settings.issuer,
        "aud": services.settings.issuer + PATH,
        "sub": client_id,
        "client_id": client_id,
        "iat": issued_at,
        "exp": issued_at + TTL_S,
        "jti": str(uuid4()),
        "scope": scope,
        "cnf": {"jkt": jkt},
    }
    return jose.sign(claims, services.keys.get(jose.OWN_ALG), typ=TYPE)


def admit(request: Request, services: Services, verifier: DpopVerifier, *, scope: str) -> tuple[Client, Proof]:
    """The client that presents its token for this scope, and the proof, yet unspent.

    Raises: InvalidToken, BadProof, UseDpopNonce, ScopeMissing.
    """
    token = presented_token(request)
    claims = _claims(services, token)
    requester.remember(claims["client_id"])
    proof = verifier.verify(request, access_token=token)
    if not equal(proof.jkt, claims["cnf"]["jkt"]):
        raise BadProof("the proof is by another key than the token's")
    if scope not in claims["scope"].split():
        raise ScopeMissing
    client = services.registry.client(claims["client_id"])
    if client is None or client.suspended:
        raise InvalidToken("unknown or suspended client")
    return client, proof


def is_good(services: Services, token: str, client_id: str) -> bool:
    """Whether this is a token of this client that opens something yet."""
    try:
        return bool(_claims(services, token)["client_id"] == client_id)
    except InvalidToken:
        return False


def _claims(services: Services, token: str) -> dict[str, Any]:
    try:
        claims = jose.verify(token, services.keys, algorithms=(jose.OWN_ALG,), typ=TYPE).claims
    except BadToken as error:
        raise InvalidToken(error.detail) from None
    issuer = services.settings.issuer
    # Of what is signed with this key only these tokens have this type and this audience.
    if claims.get("iss") != issuer or claims.get("aud") != issuer + PATH:
        raise InvalidToken("not for this place")
    if claims["exp"] <= clock.now().timestamp():
        raise InvalidToken("expired")
    return claims
