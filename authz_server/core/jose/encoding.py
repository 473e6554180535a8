"""base64url and JSON as JOSE wants them: one spelling per value, objects only."""

import binascii
import hashlib
from typing import Any

import orjson

from authz_server.core.jose.errors import BadToken

# Between the alphabets of RFC 4648 sections 5 and 4. What only the other one has becomes a character of neither.
_TO_STANDARD = bytes.maketrans(b"-_+/", b"+/!!")
_TO_URL_SAFE = bytes.maketrans(b"+/", b"-_")


def encode(octets: bytes) -> bytes:
    """Return unpadded base64url."""
    return binascii.b2a_base64(octets, newline=False).translate(_TO_URL_SAFE).rstrip(b"=")


def sha256_of(octets: bytes) -> str:
    """Return the SHA-256 digest in base64url, as RFC 7636, RFC 7638 and a package's manifest write it."""
    return encode(hashlib.sha256(octets).digest()).decode("ascii")


def decode(segment: bytes) -> bytes:
    """Return the octets of unpadded base64url.

    Raises: ValueError unless `segment` is exactly what `encode` makes of them (RFC 7515 section 2): no padding, no
    foreign characters, no stray bits in the last character; so two different tokens never mean the same.
    """
    standard = segment.translate(_TO_STANDARD)
    octets = binascii.a2b_base64(standard + b"==")  # lenient by itself: skips what it does not know
    if binascii.b2a_base64(octets, newline=False).rstrip(b"=") != standard:
        raise ValueError("not canonical base64url")
    return octets


def json_object(octets: bytes) -> dict[str, Any]:
    """Parse a JSON object. Raises: BadToken for anything else; the parser bounds the depth itself."""
    try:
        value = orjson.loads(octets)
    except ValueError:
        raise BadToken("not JSON") from None
    if not isinstance(value, dict):
        raise BadToken("not a JSON object")
    return value


def json_segment(segment: bytes) -> dict[str, Any]:
    """Parse the base64url of a JSON object. Raises: BadToken."""
    try:
        octets = decode(segment)
    except ValueError:
        raise BadToken("not base64url") from None
    return json_object(octets)


def token_octets(token: object, max_chars: int) -> bytes:
    """Return the octets of a compact serialisation. Raises: BadToken unless it is a short enough ASCII string."""
    if not isinstance(token, str) or len(token) > max_chars or not token.isascii():
        raise BadToken("not a string, too long, or not ASCII")
    return token.encode("ascii")
