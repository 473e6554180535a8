"""The platform's question: is this really so? A JWS by the platform inside a JWE to this registry.

Nothing in it is believed before its signature has been verified, and nothing is answered before every member has been
seen to be there, of its type, and meant for us. Sources: RFC 7519, RFC 7516, RFC 8725 (JWT best practice).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from joserfc.jwk import ECKey, Key

from client_examples.demo_agency.ticket import Refused, UsedTickets, opened

QUESTION_TYPE = "registry-question+jwt"
SKEW_S = 10
MAX_LIFE_S = 120
MAX_QUESTION_BYTES = 8192
MEMBERS = {"iss": str, "aud": str, "iat": int, "exp": int, "jti": str, "check": str, "evidence": dict}


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
        """Spend a question and return it.  Args: now: seconds since 1970.  Raises: Refused, TooBusy."""
        if len(raw) > MAX_QUESTION_BYTES:
            raise Refused("too large")
        claims = opened(raw, self.decryption_key, self.signing_key, typ=QUESTION_TYPE)
        for name, kind in MEMBERS.items():
            if not isinstance(claims.get(name), kind) or isinstance(claims[name], bool):
                raise Refused(f"{name} is missing, or has no usable value")
        if claims["iss"] != self.issuer or claims["aud"] != self.registry_id:
            raise Refused("asked by another platform, or of another registry")
        if not claims["iat"] - SKEW_S <= now < claims["exp"] or claims["exp"] - claims["iat"] > MAX_LIFE_S:
            raise Refused("not valid now")
        if claims["iat"] < self.used.started_at:
            raise Refused("from before this server started to remember questions")
        if not all(isinstance(value, str) for value in claims["evidence"].values()):
            raise Refused("evidence has a value that is no text")
        if not self.used.use(claims["jti"], exp=claims["exp"], now=now):
            raise Refused("answered before")
        return Question(claims["check"], claims["evidence"])
