"""The platform's question: is this really so? A JWS by the platform inside a JWE to this registry.

Nothing in it is believed before its signature has been verified, and nothing is answered before every member has been
seen to be there, of its type, and meant for us. Sources: RFC 7519, RFC 7516, RFC 8725 (JWT best practice).
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from joserfc import jwe, jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, GuestProtocol, Key

from client_examples.demo_agency.ticket import UsedTickets

QUESTION_TYPE = "registry-question+jwt"
SKEW_S = 10
MAX_LIFE_S = 120
MAX_QUESTION_BYTES = 8192
MEMBERS = {"iss": str, "aud": str, "iat": int, "exp": int, "jti": str, "check": str, "evidence": dict}


class QuestionRefused(Exception):
    """The question is not answered. The text is for the registry's log; the caller is told nothing of it."""


@dataclass(frozen=True)
class Question:
    """A verified question: which check, and what the person typed."""

    check: str
    evidence: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True)
class Reader:
    """Everything needed to tell a good question from another: who we are, our key, whom we believe, what was used."""

    registry_id: str
    issuer: str
    decryption_key: ECKey
    signing_key: Callable[[str], Key | None]
    used: UsedTickets

    def read(self, raw: bytes, *, now: int) -> Question:
        """Spend a question and return it.  Args: now: seconds since 1970.  Raises: QuestionRefused, TooBusy."""
        claims = self._open(raw)
        for name, kind in MEMBERS.items():
            if not isinstance(claims.get(name), kind) or isinstance(claims[name], bool):
                raise QuestionRefused(f"{name} is missing, or has no usable value")
        if claims["iss"] != self.issuer or claims["aud"] != self.registry_id:
            raise QuestionRefused("asked by another platform, or of another registry")
        if not claims["iat"] - SKEW_S <= now < claims["exp"] or claims["exp"] - claims["iat"] > MAX_LIFE_S:
            raise QuestionRefused("not valid now")
        if claims["iat"] < self.used.started_at:
            raise QuestionRefused("from before this server started to remember questions")
        if not all(isinstance(value, str) for value in claims["evidence"].values()):
            raise QuestionRefused("evidence has a value that is no text")
        if not self.used.use(claims["jti"], exp=claims["exp"], now=now):
            raise QuestionRefused("answered before")
        return Question(claims["check"], claims["evidence"])

    def _open(self, raw: bytes) -> dict[str, Any]:
        if len(raw) > MAX_QUESTION_BYTES:
            raise QuestionRefused("too large")
        try:
            # "zip" is not in the list, so a compressed question is refused before it is blown up.
            opened = jwe.decrypt_compact(raw, self.decryption_key, algorithms=["ECDH-ES", "A256GCM"])
            signed = jws.deserialize_compact(opened.plaintext or b"", self._key_for, algorithms=["ES256"])
            claims = json.loads(signed.payload)
        except (JoseError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise QuestionRefused(f"cannot be opened: {type(error).__name__}") from error
        if not isinstance(claims, dict):
            raise QuestionRefused("not a set of claims")
        return claims

    def _key_for(self, signed: GuestProtocol) -> Key:
        """The platform's key that the signature has to verify with: by `kid`, never from the token itself."""
        header = signed.headers()
        if header.get("typ") != QUESTION_TYPE:  # RFC 8725 section 3.11: no other kind of token will do
            raise QuestionRefused("not of the type of a question")
        key = self.signing_key(str(header.get("kid")))
        if key is None:
            raise QuestionRefused("signed with a key that the platform does not publish")
        return key
