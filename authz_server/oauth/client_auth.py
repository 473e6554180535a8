"""Client authentication by private_key_jwt (RFC 7523 section 2.2, OpenID Connect Core section 9)."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from authlib.oauth2.rfc6749 import ClientMixin

from authz_server.clients.model import Client
from authz_server.clients.registry import Registry
from authz_server.core import clock, jose
from authz_server.core.jose import BadToken, KeySet
from authz_server.core.outbound_http import FetchError
from authz_server.oauth.errors import InvalidClient
from authz_server.oauth.params import FormRequest
from authz_server.single_use import identifiers
from authz_server.single_use.identifiers import Identifier

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
# RFC 7523bis section 4: the type of its own; JWT, or none at all, as libraries send it today.
ASSERTION_TYPS = ("client-authentication+jwt", "JWT")
METHOD = "private_key_jwt"
SKEW_S = 10  # FAPI 2.0 section 5.3.2.1: 10 at least, 60 at most
MAX_LIFE_S = 310  # five minutes, and the skew
MAX_JTI_CHARS = 256
# For clients that don't exist: their assertions take as long to refuse.
DECOY = jose.parse_private_keys({"keys": [jose.generate_key("ES256")]})


@dataclass(frozen=True)
class OAuthClient(ClientMixin):  # type: ignore[misc]  # Authlib has no types
    """An authenticated client, in the shape that Authlib asks for; `identifier` is its assertion's jti, yet unspent."""

    registered: Client
    identifier: Identifier

    @property
    def client_id(self) -> str:
        return self.registered.client_id

    def check_endpoint_auth_method(self, method: str, _endpoint: str) -> bool:
        return method in self.registered.policy.token_endpoint_auth_methods

    def check_grant_type(self, grant_type: str) -> bool:
        return grant_type in self.registered.grant_types


class PrivateKeyJwt:
    """The method as Authlib calls it: `(query_client, request) -> client`."""

    def __init__(self, issuer: str, registry: Registry) -> None:
        self.issuer = issuer
        self.registry = registry

    def __call__(self, _query_client: object, request: FormRequest) -> OAuthClient:
        """Authenticate. The jti is returned unspent, so that a nonce challenge costs nothing.

        Raises: InvalidClient, for every cause the same.
        """
        payload = request.payload
        assertion = payload.find("client_assertion")
        if payload.find("client_assertion_type") != ASSERTION_TYPE or assertion is None:
            raise InvalidClient("no client assertion")
        if payload.find("client_secret") is not None or "Authorization" in request.headers:
            raise InvalidClient("two ways to authenticate in one request")
        client, identifier = self.judge(assertion, now=clock.now())
        if payload.find("client_id") not in {None, client.client_id}:
            raise InvalidClient("client_id is another client's")
        return OAuthClient(client, identifier)

    def judge(self, assertion: str, *, now: datetime) -> tuple[Client, Identifier]:
        """The client that an assertion proves at this moment, and its jti, yet unspent.  Raises: InvalidClient."""
        client, claims = self._verified(assertion)
        return client, self._judge(claims, client.client_id, now=now)

    def _verified(self, assertion: str) -> tuple[Client, dict[str, Any]]:
        try:
            unverified = jose.unverified(assertion)
            named = unverified.claims.get("sub")
        except BadToken as error:
            raise InvalidClient(error.detail) from None
        client = self.registry.client(named) if isinstance(named, str) else None
        try:
            keys = self._keys(client, unverified.header.get("kid"))
            algorithms = client.policy.signing_algorithms if client else jose.SIGNING
            verified = unverified.verify(keys, algorithms=algorithms, typ=ASSERTION_TYPS)
        except BadToken as error:
            raise InvalidClient(error.detail if client else "unknown client") from None
        except FetchError:  # the log says why, where they are fetched
            raise InvalidClient("the client's keys can't be fetched") from None
        if client is None or client.suspended:
            raise InvalidClient("unknown or suspended client")
        return client, verified.claims

    def _keys(self, client: Client | None, kid: object) -> KeySet:
        if client is None:
            return DECOY
        return self.registry.keys(client, kid=kid if isinstance(kid, str) else None)

    def _judge(self, claims: dict[str, Any], client_id: str, *, now: datetime) -> Identifier:
        """Check every claim: one that is absent is wrong (RFC 7523 section 3; FAPI 2.0 section 5.3.2.1)."""
        if claims.get("iss") != client_id or claims.get("sub") != client_id:
            raise InvalidClient("iss or sub is not the client")
        # Exactly our issuer, as one string: an array could name another server that it was stolen from.
        if claims.get("aud") != self.issuer:
            raise InvalidClient("aud is not the issuer")
        moment = now.timestamp()
        exp, jti = claims.get("exp"), claims.get("jti")
        if not clock.is_numeric_date(exp) or not moment - SKEW_S < exp <= moment + MAX_LIFE_S:
            raise InvalidClient("exp is missing, past, or too far ahead")
        for name in ("iat", "nbf"):
            if name in claims and (not clock.is_numeric_date(claims[name]) or claims[name] > moment + SKEW_S):
                raise InvalidClient(f"{name} lies in the future")
        if not isinstance(jti, str) or not 0 < len(jti) <= MAX_JTI_CHARS:
            raise InvalidClient("jti is missing or too long")
        expires_at = datetime.fromtimestamp(exp + SKEW_S, UTC)
        return identifiers.client_assertion(client_id, jti, expires_at=expires_at)
