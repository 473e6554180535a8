"""A standard JWE (compact), written as a stream: header, key, IV, then the ciphertext chunk by chunk, the tag last.

Libraries build a JWE in one piece, four to six times the payload in memory; here one chunk is in memory, whatever the
size.  Any JOSE library opens the result.  RFC 7516 sections 5.1 and 7.1; RFC 7518 sections 4.3, 4.6 and 5.3.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
import pybase64
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import GCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.concatkdf import ConcatKDFHash
from cryptography.hazmat.primitives.keywrap import aes_key_wrap

from authz_server.core import jose
from authz_server.core.jose.encoding import decode, encode

CONTENT_ENCRYPTION = "A256GCM"
KEY_BITS = 256
IV_BYTES = 12
CURVES: Mapping[str, ec.EllipticCurve] = {"P-256": ec.SECP256R1(), "P-384": ec.SECP384R1()}
DEFAULT_ALGORITHM = {"EC": "ECDH-ES", "RSA": "RSA-OAEP-256"}


@dataclass(frozen=True, kw_only=True)
class _Agreement:
    """What a key management algorithm contributes: the content key, and how the recipient gets at it."""

    content_key: bytes = field(repr=False)
    encrypted_key: bytes = b""
    header: Mapping[str, Any] = field(default_factory=dict)


def seal(chunks: Iterable[bytes], recipient_jwk: Mapping[str, Any], *, cty: str | None = None) -> Iterator[bytes]:
    """Yield the octets of a JWE of `chunks` that only the holder of the recipient's private key can open.

    The algorithm is the key's own `alg`; without one ECDH-ES for an EC key and RSA-OAEP-256 for an RSA key.
    Raises: BadKey, before anything is yielded, if it is not a public key that we encrypt to.
    """
    key = jose.parse_public_key(dict(recipient_jwk))
    algorithm = key.alg or DEFAULT_ALGORITHM.get(key.kty, "")
    if algorithm not in AGREEMENTS or not key.fits(algorithm):
        raise jose.BadKey("not a key for encryption")
    agreement = AGREEMENTS[algorithm](key.public_jwk())
    header = {"alg": algorithm, "enc": CONTENT_ENCRYPTION, "kid": key.kid, **agreement.header}
    if cty is not None:
        header["cty"] = cty
    return _write(encode(orjson.dumps(header)), agreement, chunks)


def _write(protected: bytes, agreement: _Agreement, chunks: Iterable[bytes]) -> Iterator[bytes]:
    iv = os.urandom(IV_BYTES)
    encryptor = Cipher(AES(agreement.content_key), GCM(iv)).encryptor()
    encryptor.authenticate_additional_data(protected)
    yield b".".join((protected, encode(agreement.encrypted_key), encode(iv), b""))
    rest = b""
    for chunk in chunks:
        ciphertext = rest + encryptor.update(chunk) if rest else encryptor.update(chunk)
        # Base64 turns 3 octets into 4 characters: what does not fill a group waits for the next chunk.
        whole = len(ciphertext) - len(ciphertext) % 3
        rest = ciphertext[whole:]
        yield pybase64.urlsafe_b64encode(memoryview(ciphertext)[:whole])
    rest += encryptor.finalize()
    yield encode(rest) + b"." + encode(encryptor.tag)


def _ecdh_es(jwk: Mapping[str, Any]) -> _Agreement:
    """RFC 7518 section 4.6: the agreed key is the content key, there is no encrypted key."""
    key, epk = _agree(jwk, label=CONTENT_ENCRYPTION)
    return _Agreement(content_key=key, header={"epk": epk})


def _ecdh_es_a256kw(jwk: Mapping[str, Any]) -> _Agreement:
    """RFC 7518 section 4.6: the agreed key wraps the content key."""
    key, epk = _agree(jwk, label="ECDH-ES+A256KW")
    content_key = os.urandom(KEY_BITS // 8)
    return _Agreement(content_key=content_key, encrypted_key=aes_key_wrap(key, content_key), header={"epk": epk})


def _rsa_oaep_256(jwk: Mapping[str, Any]) -> _Agreement:
    """RFC 7518 section 4.3."""
    recipient = rsa.RSAPublicNumbers(_integer(jwk["e"]), _integer(jwk["n"])).public_key()
    content_key = os.urandom(KEY_BITS // 8)
    oaep = padding.OAEP(mgf=padding.MGF1(SHA256()), algorithm=SHA256(), label=None)
    return _Agreement(content_key=content_key, encrypted_key=recipient.encrypt(content_key, oaep))


AGREEMENTS = {"ECDH-ES": _ecdh_es, "ECDH-ES+A256KW": _ecdh_es_a256kw, "RSA-OAEP-256": _rsa_oaep_256}


def _agree(jwk: Mapping[str, Any], *, label: str) -> tuple[bytes, dict[str, str]]:
    """A fresh key agreed with the recipient's (RFC 7518 section 4.6.2), and the public half it needs for that."""
    curve = CURVES[jwk["crv"]]
    recipient = ec.EllipticCurvePublicNumbers(_integer(jwk["x"]), _integer(jwk["y"]), curve).public_key()
    ephemeral = ec.generate_private_key(curve)
    info = _counted(label.encode()) + _counted(b"") + _counted(b"") + KEY_BITS.to_bytes(4, "big")
    key = ConcatKDFHash(SHA256(), KEY_BITS // 8, info).derive(ephemeral.exchange(ec.ECDH(), recipient))
    point, size = ephemeral.public_key().public_numbers(), (curve.key_size + 7) // 8
    x, y = (encode(value.to_bytes(size, "big")).decode() for value in (point.x, point.y))
    return key, {"kty": "EC", "crv": jwk["crv"], "x": x, "y": y}


def _counted(octets: bytes) -> bytes:
    return len(octets).to_bytes(4, "big") + octets


def _integer(text: str) -> int:
    return int.from_bytes(decode(text.encode("ascii")), "big")
