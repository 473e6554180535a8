"""Asking a registry whether what somebody typed is so: a sealed question, a signed yes or no, and never any data.

The question is a JWT signed by this server inside a JWE to the registry, the answer a JWT signed by the registry that
names the question by its hash; client_examples/registry/README.md has every claim. Nothing of either is kept.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import orjson
from flask import Flask, current_app

from authz_server.clients.keys import encryption_key, signing_keys
from authz_server.config import Settings
from authz_server.core import clock, jose, outbound_http, secrets
from authz_server.core.identifiers import HIGHEST_LEVEL, LOWEST_LEVEL
from authz_server.core.jose.encoding import sha256_of
from authz_server.core.settings import of
from authz_server.identity.peer import Peer, PeerUnavailable
from authz_server.neighbours import RegistrySettings

QUESTION_TYPE: Final = "registry-question+jwt"
ANSWER_TYPE: Final = "registry-answer+jwt"
QUESTION_LIFE: Final = timedelta(seconds=60)
LONGEST_ANSWER_LIFE: Final = timedelta(minutes=5)
SKEW: Final = timedelta(seconds=30)
# All that an answer may say, and what of: one that says more has brought somebody's data along.
ANSWER_MEMBERS: Final[Mapping[str, type]] = {
    "iss": str,
    "aud": str,
    "iat": float,  # a NumericDate
    "exp": float,
    "jti": str,
    "question_hash": str,
    "verified": bool,
    "assurance": int,
}
_EXTENSION: Final = "mydata.registries"


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What a registry says: whether everything was right, and the identity level that its yes is worth."""

    verified: bool
    assurance: int


class RegistryClient:
    """Asks one registry. Used by many threads at once."""

    def __init__(self, settings: RegistrySettings, *, issuer: str, own_keys: jose.KeySet) -> None:
        """Raises: BadKey, OSError, if the registry's keys can't be used."""
        self.id = settings.id
        self._url = f"{settings.url}/verifications"
        self._issuer = issuer
        self._own_key = own_keys.get(jose.OWN_ALG)
        keys = _public_keys(settings)
        self._keys = jose.KeySet(signing_keys(keys))
        recipient = encryption_key(keys)
        if recipient is None or not len(self._keys):
            raise jose.BadKey(f"{settings.jwks_file} needs a key for signatures and one for encryption")
        self._recipient = recipient
        self._peer = Peer(
            self.id,
            timeout_s=settings.timeout_s,
            max_concurrent=settings.max_concurrent,
            allowed_hosts=frozenset({outbound_http.authority(self._url)}),
        )

    def ask(self, check: str, evidence: Mapping[str, str], *, now: datetime) -> Verdict:
        """Put one question, once; no database.  Raises: PeerUnavailable."""
        with self._peer.asking():
            question = self._question(check, evidence, now)
            return self._verdict(self._send(question), question)

    def _question(self, check: str, evidence: Mapping[str, str], now: datetime) -> bytes:
        claims = {
            "iss": self._issuer,
            "aud": self.id,
            "iat": int(now.timestamp()),
            "exp": int((now + QUESTION_LIFE).timestamp()),
            "jti": secrets.new_secret(""),
            "check": check,
            "evidence": dict(evidence),
        }
        signed = jose.sign(claims, self._own_key, typ=QUESTION_TYPE)
        return jose.encrypt(signed.encode("ascii"), self._recipient, cty="JWT").encode("ascii")

    def _send(self, question: bytes) -> str:
        headers = {"Accept": "application/jwt"}
        answer = self._peer.post(self._url, question, content_type="application/jose", headers=headers)
        if answer.status != 200 or answer.content_type != "application/jwt":
            raise PeerUnavailable(f"status {answer.status}, not an answer")
        return answer.body.decode("ascii", "replace")

    def _verdict(self, answer: str, question: bytes) -> Verdict:
        try:
            claims = jose.verify(answer, self._keys, algorithms=jose.SIGNING, typ=ANSWER_TYPE).claims
        except jose.BadToken as error:
            raise PeerUnavailable(f"answer: {error.detail}") from None
        _check_members(claims)
        now = int(clock.now().timestamp())
        skew_s = int(SKEW.total_seconds())
        if claims["iss"] != self.id or claims["aud"] != self._issuer:
            raise PeerUnavailable("answer: of another registry, or for another platform")
        if not secrets.equal(claims["question_hash"], sha256_of(question)):
            raise PeerUnavailable("answer: to another question")
        if not now - skew_s < claims["exp"] <= claims["iat"] + LONGEST_ANSWER_LIFE.total_seconds():
            raise PeerUnavailable("answer: expired, or lives too long")
        if claims["iat"] > now + skew_s:
            raise PeerUnavailable("answer: from the future")
        if not HIGHEST_LEVEL <= claims["assurance"] <= LOWEST_LEVEL:
            raise PeerUnavailable("answer: assurance is no identity level")
        return Verdict(verified=claims["verified"], assurance=claims["assurance"])


def init_app(app: Flask, settings: Settings, own_keys: jose.KeySet) -> None:
    """Make the connectors that the settings name.  Raises: SettingsError."""
    clients = app.extensions[_EXTENSION] = {}
    for method_id, each in settings.registries.items():
        with of(f"registries.{method_id}.jwks_file"):
            clients[method_id] = RegistryClient(each, issuer=settings.issuer, own_keys=own_keys)


def registry_of(method_id: str) -> RegistryClient:
    """The connector of a method that is available."""
    found: RegistryClient = current_app.extensions[_EXTENSION][method_id]
    return found


def _public_keys(settings: RegistrySettings) -> jose.KeySet:
    try:
        document = orjson.loads(settings.jwks_file.read_bytes())
    except ValueError:
        raise jose.BadKey(f"{settings.jwks_file} is not JSON") from None
    return jose.parse_public_keys(document)


def _check_members(claims: Mapping[str, Any]) -> None:
    if set(claims) - set(ANSWER_MEMBERS):
        raise PeerUnavailable("answer: says more than it was asked")
    for name, kind in ANSWER_MEMBERS.items():
        value = claims.get(name)
        if not (clock.is_numeric_date(value) if kind is float else type(value) is kind):
            raise PeerUnavailable(f"answer: {name} is missing, or of another type")
