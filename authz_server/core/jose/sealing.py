"""JWE in compact form, written as a stream: header, key, IV, then the ciphertext chunk by chunk, the tag last.

Libraries build a JWE in one piece, four to six times the payload in memory, and take half as long again.  Any JOSE
library opens the result.  RFC 7516 sections 5.1 and 7.1; RFC 7518 sections 4.3, 4.6 and 5.3.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import orjson
import pybase64
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import GCM
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
    """Return a JWE that only `recipient` can read.  Args and errors: see `seal`."""
    return b"".join(seal([plaintext], recipient, cty=cty, typ=typ)).decode("ascii")


def seal(
    chunks: Iterable[bytes], recipient: Mapping[str, Any] | Key, *, cty: str | None = None, typ: str | None = None
) -> Iterator[bytes]:
    """Yield the octets of a JWE of `chunks` that only `recipient` (a public JWK, or a parsed key) can read.

    The algorithm is the key's own `alg`; without one ECDH-ES for an EC key and RSA-OAEP-256 for an RSA key.
    Raises: BadKey, before anything is yielded, if it is not a key that we encrypt to.
    """
    key = recipient if isinstance(recipient, Key) else parse_public_key(recipient)
    algorithm = key.alg or DEFAULT_ALGORITHM.get(key.kty, "")
    if algorithm not in _AGREEMENTS or not key.fits(algorithm):
        raise BadKey("not a key for encryption")
    agreement = _AGREEMENTS[algorithm](key)
    named = {"typ": typ, "cty": cty, "kid": key.kid}
    header = {"alg": algorithm, "enc": CONTENT, **agreement.header}
    header |= {name: value for name, value in named.items() if value is not None}
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
