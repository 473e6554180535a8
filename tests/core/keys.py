"""Keys and tokens made by jwcrypto: an implementation that shares no code with ours."""

import base64
import json
from datetime import UTC, datetime
from functools import cache
from typing import Any

from jwcrypto import jwk, jws

from authz_server.core import jose

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def b64(value: object) -> str:
    """Return the base64url of octets, or of the JSON of anything else."""
    octets = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


@cache
def foreign_key(alg: str) -> jwk.JWK:
    """Return jwcrypto's private key for a JOSE algorithm; one per algorithm and test run, RSA being slow to make."""
    shapes: dict[str, dict[str, Any]] = {
        "ES256": {"kty": "EC", "crv": "P-256"},
        "ES384": {"kty": "EC", "crv": "P-384"},
        "EdDSA": {"kty": "OKP", "crv": "Ed25519"},
        "Ed25519": {"kty": "OKP", "crv": "Ed25519"},
        "PS256": {"kty": "RSA", "size": 2048},
        "RS256": {"kty": "RSA", "size": 2048},
        "ECDH-ES": {"kty": "EC", "crv": "P-256"},
        "ECDH-ES+A256KW": {"kty": "EC", "crv": "P-384"},
        "RSA-OAEP-256": {"kty": "RSA", "size": 2048},
    }
    key: jwk.JWK = jwk.JWK.generate(**shapes[alg], kid=f"foreign-{alg}", alg=alg)
    return key


@cache
def own_keys(alg: str) -> jose.KeySet:
    """Return a set with one private key of ours; one per algorithm and test run."""
    return jose.parse_private_keys({"keys": [jose.generate_key(alg)]})


def public_jwk(key: jwk.JWK) -> dict[str, Any]:
    """Return the public JWK without labels, as a DPoP header carries it."""
    members: dict[str, Any] = key.export_public(as_dict=True)
    return {name: value for name, value in members.items() if name not in {"kid", "alg", "use"}}


def foreign_keyset(*algorithms: str) -> jose.KeySet:
    """Return our parse of jwcrypto's public keys."""
    return jose.parse_public_keys({"keys": [foreign_key(alg).export_public(as_dict=True) for alg in algorithms]})


def foreign_sign(claims: object, alg: str, **header: Any) -> str:
    """Return a compact JWS with jwcrypto's signature, over any payload and any header.

    Args: claims: any JSON, or raw octets.  header: added to `alg` and `kid`; a member of None is left out.
    """
    members = {"alg": alg, "kid": f"foreign-{alg}"} | header
    kept = {name: value for name, value in members.items() if value is not None}
    signing_input = f"{b64(kept)}.{b64(claims)}"
    # The engine alone: the class above it refuses to write the headers that we have to refuse to read.
    engine = jws.JWSCore(alg, foreign_key(alg), None, b"", algs=[alg]).engine
    return f"{signing_input}.{b64(engine.sign(foreign_key(alg), signing_input.encode()))}"


def proof_of(alg: str = "ES256", *, header: dict[str, Any] | None = None, **claims: Any) -> str:
    """Return a DPoP proof by jwcrypto for `POST https://op.example/token`; a claim of None is left out."""
    content = {
        "jti": "e1j3V_bKic8-LAEB",
        "htm": "POST",
        "htu": "https://op.example/token",
        "iat": int(NOW.timestamp()),
    } | claims
    members = {"typ": "dpop+jwt", "kid": None, "jwk": public_jwk(foreign_key(alg))} | (header or {})
    return foreign_sign({name: value for name, value in content.items() if value is not None}, alg, **members)
