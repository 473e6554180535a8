"""What the platform pushes to one agency, opened and verified; and what the agency tells the platform, signed.

A push is a JWT inside a JWE, exactly as a ticket is made, of a type of its own. What goes back is a JWT by the
agency's signing key, which is all the credential that it needs.
"""

import json
from base64 import urlsafe_b64decode
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any

import requests
from joserfc import jwe, jwt
from joserfc.errors import JoseError

from .keys import AgencyKeys
from .platform import Platform, PlatformUnavailable

TIMEOUT_S = 4  # the platform waits five seconds for us


class PushRefused(Exception):
    """What was pushed is nothing of the platform for this agency."""


@dataclass(frozen=True)
class Mail:
    """Between one agency and the platform."""

    agency_id: str
    platform: Platform
    keys: AgencyKeys

    def open(self, pushed: str, types: AbstractSet[str]) -> tuple[str, dict[str, Any]]:
        """Which of these types it is of, and its claims.  Raises: PushRefused, PlatformUnavailable."""
        try:
            opened = jwe.decrypt_compact(pushed, self.keys.decryption, algorithms=["ECDH-ES", "A256GCM"])
            signed = (opened.plaintext or b"").decode()
            header = _header(signed)
            key, typ = self.platform.signing_key(str(header.get("kid"))), str(header.get("typ"))
            if typ not in types or key is None:
                raise PushRefused("of another type, or by another key")
            claims = jwt.decode(signed, key, algorithms=["ES256"]).claims
        except (JoseError, ValueError, TypeError, AttributeError) as error:
            raise PushRefused(f"cannot be opened: {type(error).__name__}") from error
        if (claims.get("iss"), claims.get("aud")) != (self.platform.issuer, self.agency_id):
            raise PushRefused("by another platform, or for another agency")
        return typ, claims

    def tell(self, path: str, said: dict[str, Any], *, typ: str, now: int) -> None:
        """Post it to the platform.  Raises: PlatformUnavailable."""
        claims = {"iss": self.agency_id, "aud": self.platform.issuer, "iat": now, **said}
        header = {"alg": "ES256", "typ": typ, "kid": self.keys.signing.kid}
        try:
            told = requests.post(
                f"{self.platform.issuer}/{path}",
                jwt.encode(header, claims, self.keys.signing),
                headers={"Content-Type": "application/jwt"},
                timeout=TIMEOUT_S,
                allow_redirects=False,  # what is said is for the platform alone
            )
        except requests.RequestException as error:
            raise PlatformUnavailable(type(error).__name__) from error
        if told.status_code != 204:
            raise PlatformUnavailable(f"{path} was answered {told.status_code}")


def _header(signed: str) -> dict[str, Any]:
    """Proven by nothing yet: only which key to verify with."""
    segment = signed.partition(".")[0]
    header = json.loads(urlsafe_b64decode(segment + "=" * (-len(segment) % 4)))
    return header if isinstance(header, dict) else {}
