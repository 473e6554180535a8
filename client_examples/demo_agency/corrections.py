"""What a citizen wants corrected: opened, decided, and the outcome told to the platform.

The platform pushes a JWT inside a JWE, exactly as a ticket is made, of another type and without an end.
"""

import json
from base64 import urlsafe_b64decode
from dataclasses import dataclass
from typing import Any

import requests
from joserfc import jwe, jwt
from joserfc.errors import JoseError

from .keys import AgencyKeys
from .platform import Platform, PlatformUnavailable

TYPE = "mydata-correction+jwt"
OUTCOME_TYPE = "mydata-correction-outcome+jwt"
IN_PERSON = {"name", "national_id", "birth_date"}  # of these an office has to see papers
TIMEOUT_S = 4  # the platform waits five seconds for us


class CorrectionRefused(Exception):
    """What was pushed is no request of the platform to this agency."""


@dataclass(frozen=True)
class Corrections:
    """One agency's desk for them."""

    agency_id: str
    platform: Platform
    keys: AgencyKeys

    def take(self, pushed: str, *, now: int) -> str:
        """Decide and tell the platform; the outcome. The same request may come twice, and is answered the same.

        Raises: CorrectionRefused, PlatformUnavailable.
        """
        claims = self._open(pushed)
        outcome = "in_person" if claims["field"] in IN_PERSON else "corrected"
        answer = {"iss": self.agency_id, "aud": self.platform.issuer, "iat": now}
        answer |= {"correction": claims["jti"], "outcome": outcome}
        header = {"alg": "ES256", "typ": OUTCOME_TYPE, "kid": self.keys.signing.kid}
        url = f"{self.platform.issuer}/corrections/{claims['jti']}"
        try:
            told = requests.post(
                url,
                jwt.encode(header, answer, self.keys.signing),
                headers={"Content-Type": "application/jwt"},
                timeout=TIMEOUT_S,
            )
        except requests.RequestException as error:
            raise PlatformUnavailable(type(error).__name__) from error
        if told.status_code != 204:
            raise PlatformUnavailable(f"the outcome was answered {told.status_code}")
        return outcome

    def _open(self, pushed: str) -> dict[str, Any]:
        try:
            opened = jwe.decrypt_compact(pushed, self.keys.decryption, algorithms=["ECDH-ES", "A256GCM"])
            signed = (opened.plaintext or b"").decode()
            header = _header(signed)
            key = self.platform.signing_key(str(header.get("kid")))
            if header.get("typ") != TYPE or key is None:
                raise CorrectionRefused("of another type, or by another key")
            claims = jwt.decode(signed, key, algorithms=["ES256"]).claims
        except (JoseError, ValueError, TypeError, AttributeError) as error:
            raise CorrectionRefused(f"cannot be opened: {type(error).__name__}") from error
        if (claims.get("iss"), claims.get("aud")) != (self.platform.issuer, self.agency_id):
            raise CorrectionRefused("by another platform, or for another agency")
        return claims


def _header(signed: str) -> dict[str, Any]:
    """Proven by nothing yet: only which key to verify with."""
    segment = signed.partition(".")[0]
    header = json.loads(urlsafe_b64decode(segment + "=" * (-len(segment) % 4)))
    return header if isinstance(header, dict) else {}
