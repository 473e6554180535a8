"""The one source of randomness and of keyed derivation. Secrets are stored only as the digest made here."""

import base64
import hashlib
import hmac
import secrets as system

SECRET_BYTES = 32
SECRET_CHARS = 43  # in base64url


def new_secret(prefix: str) -> str:
    """Return `prefix` followed by 43 URL-safe characters (256 random bits)."""
    return prefix + system.token_urlsafe(SECRET_BYTES)


def new_id() -> str:
    """Return 22 URL-safe characters (132 random bits): the name of a row that others are told, which opens nothing."""
    return new_secret("")[:22]


def digest(secret: str) -> bytes:
    """Return the 32 bytes under which `secret` is stored.

    Plain SHA-256 is enough: every secret has 256 random bits, there is nothing to guess and nothing to slow down.
    """
    # What comes in is whatever a peer sent, lone surrogates included: it must be "unknown", never an encoding error.
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


def equal(a: str | bytes, b: str | bytes) -> bool:
    """Compare in constant time; `str` and `bytes` may be mixed."""
    return hmac.compare_digest(_octets(a), _octets(b))


def derive(key: bytes, *labels: str) -> str:
    """Return 43 URL-safe characters that only a holder of `key` can compute for these labels (HMAC-SHA256).

    Each label is preceded by its length, so ("ab", "c") and ("a", "bc") differ. Put the purpose first.
    """
    message = b"".join(len(octets).to_bytes(4, "big") + octets for octets in map(_octets, labels))
    return base64.urlsafe_b64encode(hmac.digest(key, message, "sha256")).rstrip(b"=").decode("ascii")


def derive_number(key: bytes, bits: int, *labels: str) -> int:
    """Return a number of so many bits, at most 256, that only a holder of `key` can compute for these labels."""
    derived = hashlib.sha256(derive(key, *labels).encode("ascii")).digest()
    return int.from_bytes(derived, "big") >> 256 - bits


def derive_digits(key: bytes, count: int, *labels: str) -> str:
    """Return a code of `count` digits that only a holder of `key` can compute for these labels. Limit the tries!"""
    derived = hashlib.sha256(derive(key, *labels).encode("ascii")).digest()
    return f"{int.from_bytes(derived, 'big') % 10**count:0{count}}"


def _octets(value: str | bytes) -> bytes:
    return value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value
