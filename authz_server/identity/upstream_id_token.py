"""Whether an ID token is the answer to the journey that was begun, and whom it names.

Every claim that is needed has to be there; nothing is read before the signature is verified with the one key that the
header points to. Source: OpenID Connect Core 1.0 section 3.1.3.7.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from authz_server.core import clock, jose, secrets
from authz_server.core.jose.encoding import encode
from authz_server.core.remote_keys import RemoteKeys
from authz_server.identity.errors import WrongCredentials
from authz_server.neighbours import UpstreamSettings

SKEW: Final = timedelta(seconds=60)
MAX_SUBJECT_CHARS: Final = 255  # OpenID Connect Core section 2
# OpenID Connect Core section 3.1.3.6: the hash of the ID token's own algorithm; of Ed25519 that is SHA-512.
_HASHES: Final = {
    **dict.fromkeys(("ES256", "PS256", "RS256"), "sha256"),
    "ES384": "sha384",
    **dict.fromkeys(("EdDSA", "Ed25519"), "sha512"),
}


class AnswerRefused(WrongCredentials):
    """What came back is not the answer to what was asked. `detail` names the check, never the value."""

    def __init__(self, detail: str, reason: str = "upstream_answer") -> None:
        super().__init__(reason)
        self.detail = detail


@dataclass(frozen=True, kw_only=True)
class Journey:
    """What one sign-in at a provider is known by here; made anew for each, and good for one answer."""

    state: str = field(repr=False)
    nonce: str = field(repr=False)
    code_verifier: str = field(repr=False)
    redirect_uri: str
    begun_at: datetime


@dataclass(frozen=True, kw_only=True)
class Person:
    """Whom a provider has identified just now, and how well, as a level of ours."""

    issuer: str
    subject: str = field(repr=False)
    level: int

    @property
    def external_id(self) -> str:
        """Both together, as a digest: a subject means nothing without who says it (OpenID Connect Core section 5.7)."""
        return hashlib.sha256(f"{self.issuer}\0{self.subject}".encode()).hexdigest()


def verify_id_token(
    id_token: str, keys: RemoteKeys, *, access_token: str, journey: Journey, settings: UpstreamSettings
) -> Person:
    """Return whom a provider names to this journey.  Raises: AnswerRefused; FetchError, if its keys can't be had."""
    try:
        unverified = jose.unverified(id_token)
        kid = unverified.header.get("kid")
        known = keys.of(kid if isinstance(kid, str) else None)
        verified = unverified.verify(known, algorithms=settings.algorithms)
    except jose.BadToken as error:
        raise AnswerRefused(f"id_token: {error.detail}") from None
    claims = verified.claims
    _check_parties(claims, settings)
    nonce, subject = claims.get("nonce"), claims.get("sub")
    if not isinstance(nonce, str) or not secrets.equal(nonce, journey.nonce):
        raise AnswerRefused("id_token: nonce is not ours")
    if not isinstance(subject, str) or not subject.isascii() or not 0 < len(subject) <= MAX_SUBJECT_CHARS:
        raise AnswerRefused("id_token: sub is no subject")
    _check_times(claims, begun_at=journey.begun_at, now=clock.now())
    _check_hash(claims, access_token, alg=str(verified.header["alg"]))
    return Person(issuer=settings.issuer, subject=subject, level=_level(claims.get("acr"), settings))


def usable_keys(jwks: object) -> jose.KeySet:
    """The keys of a provider's JWKS that we could verify with; what else it publishes is for others.

    RFC 7517 section 5: keys that are not understood are ignored.  Raises: BadKey, if it is no JWKS.
    """
    members = jwks.get("keys") if isinstance(jwks, dict) else None
    if not isinstance(members, list):
        raise jose.BadKey("not a JWKS")
    usable: dict[str, jose.Key] = {}
    for member in members:
        try:
            key = jose.parse_public_key(member)
        except jose.BadKey:
            continue
        if key.use in (None, "sig"):
            usable.setdefault(key.kid, key)
    return jose.KeySet(usable.values())


def _check_parties(claims: Mapping[str, Any], settings: UpstreamSettings) -> None:
    if claims.get("iss") != settings.issuer:
        raise AnswerRefused("id_token: iss is another provider")
    if claims.get("aud") not in (settings.client_id, [settings.client_id]):  # items 3, 4: for us alone
        raise AnswerRefused("id_token: aud is not this server alone")
    if claims.get("azp", settings.client_id) != settings.client_id:
        raise AnswerRefused("id_token: azp is another client")


def _check_times(claims: Mapping[str, Any], *, begun_at: datetime, now: datetime) -> None:
    """`exp`, `iat`, and `auth_time`: the person has signed in there since the journey began."""
    for name in ("exp", "iat", "auth_time"):
        if not clock.is_numeric_date(claims.get(name)):
            raise AnswerRefused(f"id_token: {name} is missing, or no time")
    earliest, latest = (begun_at - SKEW).timestamp(), (now + SKEW).timestamp()
    if claims["exp"] <= (now - SKEW).timestamp():
        raise AnswerRefused("id_token: expired")
    for name in ("iat", "auth_time"):
        if not earliest <= claims[name] <= latest:
            raise AnswerRefused(f"id_token: {name} is not within the journey")


def _check_hash(claims: Mapping[str, Any], access_token: str, *, alg: str) -> None:
    """`at_hash`, if it is there, is of the access token beside it."""
    if "at_hash" not in claims:
        return
    whole = hashlib.new(_HASHES[alg], access_token.encode("utf-8", "surrogatepass")).digest()
    found = claims["at_hash"]
    if not isinstance(found, str) or not secrets.equal(found, encode(whole[: len(whole) // 2])):
        raise AnswerRefused("id_token: at_hash is of another access token")


def _level(acr: object, settings: UpstreamSettings) -> int:
    level = settings.acr.get(acr) if isinstance(acr, str) else None
    if level is None:
        raise AnswerRefused("id_token: acr is missing, or means nothing here", reason="upstream_acr")
    return level
