"""Opening a ticket in an agency's stead: only for agencies that can't do it themselves."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from authz_server.core import clock, jose
from authz_server.core.outbound_http import FetchError, FetchFailed
from authz_server.core.remote_keys import Kept
from resource_proxy.authz_client import AuthorizationServerDown, AuthzClient
from resource_proxy.connectors.base import BadSignature, Question

TICKET_TYPE = "at+jwt"
TICKET_LIMIT_BYTES = 32 * 1024
AGAIN_AFTER = timedelta(seconds=2)  # it has just answered the exchange, so it will be there again soon
CLOCK_SKEW_S = 10


@dataclass(frozen=True, kw_only=True)
class Ticket:
    """What the citizen agreed to, as the authorization server signed it."""

    national_id: str = field(repr=False)
    client_id: str
    fields: tuple[str, ...]
    parameters: Mapping[str, str] = field(repr=False)
    recipient_jwk: Mapping[str, Any] = field(repr=False)


class TicketReader:
    """Opens and verifies tickets for one agency. Thread-safe."""

    def __init__(self, authz: AuthzClient, *, issuer: str, agency_id: str, keys: jose.KeySet) -> None:
        self._authz = authz
        self._issuer = issuer
        self._agency_id = agency_id
        self._keys = keys
        self._issuer_keys = Kept(self._fetch, again_after=AGAIN_AFTER)

    def open(self, question: Question) -> Ticket:
        """The ticket of this question.  Raises: BadSignature, also if it is for another question."""
        try:
            signed = jose.decrypt(question.ticket, self._keys, max_bytes=TICKET_LIMIT_BYTES).decode("ascii")
            claims = self._verify(signed).claims
        except (jose.BadToken, UnicodeDecodeError) as error:
            raise BadSignature(f"ticket: {getattr(error, 'detail', type(error).__name__)}") from None
        self._check(claims, question)
        try:
            return _ticket(claims)
        except (KeyError, ValueError) as error:
            raise BadSignature(f"ticket: {error}") from None

    def _verify(self, signed: str) -> jose.Verified:
        unverified = jose.unverified(signed, max_bytes=TICKET_LIMIT_BYTES)
        kid = unverified.header.get("kid")
        try:
            # The server may have a new key. Asked for at most once a minute, so that nobody can make us ask.
            keys = self._issuer_keys.get(suits=lambda keys: not isinstance(kid, str) or keys.find(kid) is not None)
        except FetchError as error:
            raise BadSignature(f"no keys to verify with: {error.detail}") from None
        return unverified.verify(keys, algorithms=jose.SIGNING, typ=TICKET_TYPE)

    def _fetch(self) -> jose.KeySet:
        try:
            return self._authz.public_keys()
        except AuthorizationServerDown as error:
            raise FetchFailed(error.detail) from None

    def _check(self, claims: Mapping[str, Any], question: Question) -> None:
        """RFC 9068 section 4, and that it is this fetch and no other."""
        expected = {
            "iss": self._issuer,
            "aud": self._agency_id,
            "dataset": question.dataset.id,
            "txn": question.transaction,
        }
        for name, value in expected.items():
            if claims.get(name) != value:
                raise BadSignature(f"ticket: another {name}")
        now, exp, iat = clock.now().timestamp(), claims.get("exp"), claims.get("iat")
        if not isinstance(exp, int) or not isinstance(iat, int):
            raise BadSignature("ticket: no exp or iat")
        if not iat - CLOCK_SKEW_S <= now < exp + CLOCK_SKEW_S:
            raise BadSignature("ticket: not valid now")


def _ticket(claims: Mapping[str, Any]) -> Ticket:
    fields, parameters = claims["fields"], claims["parameters"]
    texts = {name: claims[name] for name in ("sub", "client_id", "jti")}
    if not all(isinstance(text, str) and text for text in texts.values()):
        raise ValueError("sub, client_id or jti is not a text")
    if not isinstance(fields, list) or not fields or not all(isinstance(name, str) for name in fields):
        raise ValueError("fields is not a list of names")
    if not isinstance(parameters, dict) or not all(isinstance(value, str) for value in parameters.values()):
        raise ValueError("parameters is not an object of texts")
    if not isinstance(claims["recipient_jwk"], dict):
        raise ValueError("recipient_jwk is not a key")
    return Ticket(
        national_id=texts["sub"],
        client_id=texts["client_id"],
        fields=tuple(fields),
        parameters=parameters,
        recipient_jwk=claims["recipient_jwk"],
    )
