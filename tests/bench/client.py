"""The bank's side of FAPI 2.0: keys, client assertions, DPoP proofs and PKCE, on `cryptography` alone.

Independent of the servers' own JOSE code on purpose: the driver must not share its mistakes or its caches.
"""

import base64
import hashlib
import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


def b64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def sha256(text: str) -> str:
    return b64url(hashlib.sha256(text.encode()).digest())


class SigningKey:
    """An ES256 key."""

    def __init__(self, private_jwk: Mapping[str, str] | None = None) -> None:
        if private_jwk is None:
            self._key = ec.generate_private_key(ec.SECP256R1())
        else:
            scalar = base64.urlsafe_b64decode(private_jwk["d"] + "==")
            self._key = ec.derive_private_key(int.from_bytes(scalar, "big"), ec.SECP256R1())
        numbers = self._key.public_key().public_numbers()
        self.public_jwk = {
            "kty": "EC",
            "crv": "P-256",
            "x": b64url(numbers.x.to_bytes(32, "big")),
            "y": b64url(numbers.y.to_bytes(32, "big")),
        }
        # RFC 7638 section 3.2: required members only, in lexicographic order
        self.thumbprint = sha256(json.dumps(self.public_jwk, sort_keys=True, separators=(",", ":")))
        self.kid = (private_jwk or {}).get("kid", self.thumbprint)

    def private_jwk(self) -> dict[str, str]:
        scalar = self._key.private_numbers().private_value
        return {**self.public_jwk, "d": b64url(scalar.to_bytes(32, "big")), **self._marks()}

    def registered_jwk(self) -> dict[str, str]:
        return {**self.public_jwk, **self._marks()}

    def sign(self, header: Mapping[str, object], claims: Mapping[str, object]) -> str:
        """JWS compact serialization. RFC 7515 section 7.1, RFC 7518 section 3.4."""
        protected = ".".join(b64url(json.dumps(part, separators=(",", ":")).encode()) for part in (header, claims))
        r, s = decode_dss_signature(self._key.sign(protected.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{protected}.{b64url(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"

    def _marks(self) -> dict[str, str]:
        return {"kid": self.kid, "use": "sig", "alg": "ES256"}


@dataclass(frozen=True)
class BenchClient:
    """A registered client."""

    client_id: str
    redirect_uri: str
    key: SigningKey

    def assertion(self, issuer: str) -> dict[str, str]:
        """The form fields of private_key_jwt. RFC 7523; audience by FAPI 2.0 Security Profile section 5.3.2.1."""
        now = int(time.time())
        claims = {
            "iss": self.client_id,
            "sub": self.client_id,
            "aud": issuer,
            "jti": secrets.token_urlsafe(16),
            "iat": now,
            "exp": now + 60,
        }
        signed = self.key.sign({"alg": "ES256", "kid": self.key.kid}, claims)
        return {"client_assertion_type": ASSERTION_TYPE, "client_assertion": signed}


def dpop_proof(key: SigningKey, method: str, url: str, access_token: str | None = None) -> str:
    """RFC 9449 section 4.2."""
    claims: dict[str, object] = {
        "jti": secrets.token_urlsafe(16),
        "htm": method,
        "htu": url,
        "iat": int(time.time()),
    }
    if access_token is not None:
        claims["ath"] = sha256(access_token)
    return key.sign({"typ": "dpop+jwt", "alg": "ES256", "jwk": key.public_jwk}, claims)


def new_code_verifier() -> str:
    return secrets.token_urlsafe(32)
