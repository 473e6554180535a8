"""ID tokens (OpenID Connect Core section 2)."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Protocol

from authz_server.core import jose
from authz_server.core.jose import BadToken
from authz_server.extensions import Services
from authz_server.identity.subjects import pairwise_subject
from authz_server.oauth.errors import InvalidRequest

TTL_S = 600


class Authentication(Protocol):
    """Who proved who they are, to whom, how and when: what a code is redeemed for."""

    citizen_id: int
    client_id: str
    nonce: str | None
    amr: list[str]
    auth_time: datetime


def acting(secret: bytes, client_id: str, *, agent_id: int | None, clerk_citizen_id: int | None) -> dict[str, Any]:
    """RFC 8693 section 4.1: the claim that says who acts for the citizen; nothing if nobody does.

    That is the clerk of an office that names them, and within, as the actor before, the agent who brought the barcode.
    `sub` is how this client knows them, a clerk by their sign-in at its desk; elsewhere it says no more than that there
    was somebody.
    """
    act: dict[str, Any] = {}
    for citizen_id in (agent_id, clerk_citizen_id):
        if citizen_id is not None:
            before = {"act": act} if act else {}
            act = {"sub": pairwise_subject(secret, client_id, citizen_id), **before}
    return {"act": act} if act else {}


def issue(services: Services, code: Authentication, *, acr: str, asked: Mapping[str, Any], now: datetime) -> str:
    """The id_token of a redeemed code, signed with the key in force.

    Args: acr: what is told of the level; asked: identity claims that the claims parameter wanted in this place (OpenID
        Connect Core section 5.5).
    """
    issued_at = int(now.timestamp())
    claims: dict[str, Any] = {
        "iss": services.settings.issuer,
        "sub": pairwise_subject(services.secret, code.client_id, code.citizen_id),
        "aud": code.client_id,
        "iat": issued_at,
        "exp": issued_at + TTL_S,
        "auth_time": int(code.auth_time.timestamp()),
        "acr": acr,
        "amr": code.amr,
        **asked,
    }
    if code.nonce is not None:
        claims["nonce"] = code.nonce
    return jose.sign(claims, services.keys.get(jose.OWN_ALG))


def subject_of_hint(services: Services, hint: str) -> str:
    """The subject of an id_token_hint: one of ours, expired or not (OpenID Connect Core section 3.1.2.1).

    Raises: InvalidRequest.
    """
    try:
        claims: Mapping[str, Any] = jose.verify(hint, services.keys, algorithms=(jose.OWN_ALG,)).claims
    except BadToken:
        raise InvalidRequest("id_token_hint is not valid") from None
    subject = claims.get("sub")
    if claims.get("iss") != services.settings.issuer or not isinstance(subject, str):
        raise InvalidRequest("id_token_hint is not valid")
    return subject
