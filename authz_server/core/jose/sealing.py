"""JWE in compact form (RFC 7516), written on `cryptography`: one recipient, ECDH-ES or RSA-OAEP-256, A256GCM, no `zip`.

Any JOSE library opens the result. joserfc takes half as long again to make it, and each exchange of a token needs one.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import orjson
import pybase64
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.concatkdf import ConcatKDFHash
from cryptography.hazmat.primitives.keywrap import aes_key_wrap
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from authz_server.core.jose.encoding import encode
from authz_server.core.jose.errors import BadKey
from authz_server.core.jose.keys import Key, parse_public_key

CONTENT = "A256GCM"
KEY_BITS = 256
IV_BYTES = 12
TAG_BYTES = 16
DEFAULT_ALGORITHM = {"EC": "ECDH-ES", "RSA": "RSA-OAEP-256"}


@dataclass(frozen=True, kw_only=True)
class _Agreement:
    """What a key management algorithm contributes: the content key, and how the recipient gets at it."""

    content_key: bytes = field(repr=False)
    encrypted_key: bytes = b""
    header: Mapping[str, Any] = field(default_factory=dict)


def encrypt(
    plaintext: bytes, recipient: Mapping[str, Any] | Key, *, cty: str | None = None, typ: str | None = None
) -> str:
    """Return a JWE that only `recipient` (a public JWK, or a parsed key) can read.

    The algorithm is the key's own `alg`; without one ECDH-ES for an EC key and RSA-OAEP-256 for an RSA key.
    Raises: BadKey if it is not a key that we encrypt to.  Source: RFC 7516 section 5.1, RFC 7518 section 5.3.
    """
    key = recipient if isinstance(recipient, Key) else parse_public_key(recipient)
    algorithm = key.alg or DEFAULT_ALGORITHM.get(key.kty, "")
    if algorithm not in _AGREEMENTS or not key.fits(algorithm):
        raise BadKey("not a key for encryption")
    agreement = _AGREEMENTS[algorithm](key)
    named = {"typ": typ, "cty": cty, "kid": key.kid}
    header = {"alg": algorithm, "enc": CONTENT, **agreement.header}
    header |= {name: value for name, value in named.items() if value is not None}
    protected, iv = encode(orjson.dumps(header)), os.urandom(IV_BYTES)
    sealed = AESGCM(agreement.content_key).encrypt(iv, plaintext, protected)
    ciphertext = pybase64.urlsafe_b64encode(memoryview(sealed)[:-TAG_BYTES]).rstrip(b"=")
    parts = (protected, encode(agreement.encrypted_key), encode(iv), ciphertext, encode(sealed[-TAG_BYTES:]))
    return b".".join(parts).decode("ascii")


def _ecdh_es(recipient: Key) -> _Agreement:
    """RFC 7518 section 4.6: the agreed key is the content key, there is no encrypted key."""
    key, epk = _agree(recipient, label=CONTENT)
    return _Agreement(content_key=key, header={"epk": epk})


def _ecdh_es_a256kw(recipient: Key) -> _Agreement:
    """RFC 7518 section 4.6: the agreed key wraps the content key."""
    key, epk = _agree(recipient, label="ECDH-ES+A256KW")
    content_key = os.urandom(KEY_BITS // 8)
    return _Agreement(content_key=content_key, encrypted_key=aes_key_wrap(key, content_key), header={"epk": epk})


def _rsa_oaep_256(recipient: Key) -> _Agreement:
    """RFC 7518 section 4.3."""
    public = cast("rsa.RSAPublicKey", recipient.native.public_key)
    content_key = os.urandom(KEY_BITS // 8)
    oaep = padding.OAEP(mgf=padding.MGF1(SHA256()), algorithm=SHA256(), label=None)
    return _Agreement(content_key=content_key, encrypted_key=public.encrypt(content_key, oaep))


_AGREEMENTS = {"ECDH-ES": _ecdh_es, "ECDH-ES+A256KW": _ecdh_es_a256kw, "RSA-OAEP-256": _rsa_oaep_256}
KEY_MANAGEMENT = tuple(_AGREEMENTS)


def _agree(recipient: Key, *, label: str) -> tuple[bytes, dict[str, str | None]]:
    """A fresh key agreed with the recipient's (RFC 7518 section 4.6.2), and the public half it needs for that."""
    public = cast("ec.EllipticCurvePublicKey", recipient.native.public_key)
    ephemeral = ec.generate_private_key(public.curve)
    info = _counted(label.encode()) + _counted(b"") + _counted(b"") + KEY_BITS.to_bytes(4, "big")
    key = ConcatKDFHash(SHA256(), KEY_BITS // 8, info).derive(ephemeral.exchange(ec.ECDH(), public))
    # SEC 1 section 2.3.3: an octet that says "uncompressed", then both coordinates in full size.
    point = ephemeral.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)[1:]
    x, y = (encode(half).decode() for half in (point[: len(point) // 2], point[len(point) // 2 :]))
    return key, {"kty": "EC", "crv": recipient.crv, "x": x, "y": y}


def _counted(octets: bytes) -> bytes:
    return len(octets).to_bytes(4, "big") + octets
