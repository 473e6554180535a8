"""JWE in compact form (RFC 7516), opened by joserfc: one recipient, ECDH-ES or RSA-OAEP-256, A256GCM, no `zip`."""

from functools import lru_cache
from typing import Any

from joserfc import jwe

from authz_server.core.jose.encoding import json_segment, token_octets
from authz_server.core.jose.errors import BadToken, KeyNotFound
from authz_server.core.jose.keys import Key, KeySet
from authz_server.core.jose.sealing import CONTENT, KEY_MANAGEMENT

MAX_PLAINTEXT_BYTES = 65536
MAX_HEADER_CHARS = 4096

# All parts but the ciphertext, as characters: header, key encrypted to RSA 4096, IV, tag, four dots.
_OVERHEAD_CHARS = MAX_HEADER_CHARS + 683 + 16 + 22 + 4


def decrypt(token: str, keys: Key | KeySet, *, max_bytes: int = MAX_PLAINTEXT_BYTES) -> bytes:
    """Return the plaintext of a JWE made for the one of our `keys` that its `kid` and `alg` point to.

    Anyone can encrypt to a public key: the plaintext proves nothing about its sender.
    Args: max_bytes: the longest plaintext taken.
    Raises: BadToken; KeyNotFound, one of its kinds, if `kid` is none of `keys`.
    """
    registry = _registry(max_bytes)
    octets = token_octets(token, _OVERHEAD_CHARS + registry.max_ciphertext_length)
    header = read_header(octets)
    key = _choose(keys, header.get("kid"), check_header(header))
    try:
        plaintext = jwe.decrypt_compact(octets, key.native, registry=registry).plaintext
    # joserfc hands on whatever its parts raise on hostile input (InvalidTag, KeyError, AssertionError...), and any of
    # them means only that the token is bad. Not chained: its messages quote the token.
    except Exception as error:
        raise BadToken(f"JWE: {type(error).__name__}") from None
    if plaintext is None or len(plaintext) > max_bytes:
        raise BadToken("the plaintext is too long")
    return plaintext


@lru_cache(maxsize=16)
def _registry(max_plaintext_bytes: int) -> jwe.JWERegistry:
    registry = jwe.JWERegistry(algorithms=[*KEY_MANAGEMENT, CONTENT])
    registry.max_protected_header_length = MAX_HEADER_CHARS
    registry.max_ciphertext_length = (max_plaintext_bytes * 4 + 2) // 3
    return registry


def read_header(token: bytes) -> dict[str, Any]:
    """What stands before the first dot.  Raises: BadToken."""
    segment, _, _ = token.partition(b".")
    if len(segment) > MAX_HEADER_CHARS:
        raise BadToken("header too long")
    return json_segment(segment)


def check_header(header: dict[str, Any]) -> str:
    """Check that a JWE is of the one kind that is taken; its `alg`.  Raises: BadToken."""
    # RFC 8725 section 3.6: compression tells lengths, and inflates.
    if not {"zip", "crit"}.isdisjoint(header):
        raise BadToken("a header member that is never taken")
    alg = header.get("alg")
    if alg not in KEY_MANAGEMENT or header.get("enc") != CONTENT:
        raise BadToken("alg or enc is not taken here")
    return str(alg)


def _choose(keys: Key | KeySet, kid: object, alg: str) -> Key:
    candidates = [key for key in (KeySet([keys]) if isinstance(keys, Key) else keys) if key.is_private]
    named = candidates if kid is None else [key for key in candidates if key.kid == kid]
    if kid is not None and not named:
        raise KeyNotFound("no key with this kid")
    fitting = [key for key in named if key.fits(alg)]
    if len(fitting) != 1:
        raise BadToken("not exactly one key for this alg")
    return fitting[0]
