"""JWS in compact form (RFC 7515), with joserfc's algorithms and a parser of our own.

The parser is ours for three reasons. It is the stricter one: one spelling per token, no `crit`, no key the token brings
along. joserfc's own path warns at each use of EdDSA, which FAPI 2.0 allows, and warnings are errors here. And it costs
42 us on top of a bare ES256 signature of 29 us, where calling its algorithm objects costs 22.
"""

from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import orjson
from joserfc.errors import JoseError
from joserfc.jws import JWSRegistry

from authz_server.core.jose.encoding import decode, encode, json_segment, token_octets
from authz_server.core.jose.errors import BadKey, BadToken, KeyNotFound
from authz_server.core.jose.keys import KEY_OF_ALGORITHM, Key, KeySet, parse_public_key

# FAPI 2.0 security profile section 5.4: PS256, ES256, EdDSA with Ed25519, which RFC 9864 section 2.2 names Ed25519.
SIGNING = ("PS256", "ES256", "EdDSA", "Ed25519")
MAX_HEADER_CHARS = 4096  # a DPoP proof carries an RSA key
MAX_TOKEN_BYTES = 16384

# Members by which a token would choose its own key, or change how it is read.
_NEVER = frozenset({"crit", "b64", "zip", "jku", "x5u", "x5c", "jwk"})
_NEVER_BUT_KEY = _NEVER - {"jwk"}
_ALGORITHMS = {alg: JWSRegistry.algorithms[alg] for alg, need in KEY_OF_ALGORITHM.items() if need[0] == "sig"}


@dataclass(frozen=True)
class Verified:
    """What a verified token says: its header, its claims, and the key that vouches for both."""

    header: dict[str, Any]
    claims: dict[str, Any]
    key: Key


class _Parts(NamedTuple):
    header: dict[str, Any]
    signing_input: bytes
    payload: bytes
    signature: bytes


class Unverified:
    """What a token claims: proven by nothing, until `verify`. What it hands out is the caller's own."""

    def __init__(self, parts: _Parts) -> None:
        self._parts = parts

    @property
    def header(self) -> dict[str, Any]:
        return dict(self._parts.header)

    @property
    def claims(self) -> dict[str, Any]:
        """The payload.  Raises: BadToken unless it is a JSON object."""
        return json_segment(self._parts.payload)

    def verify(
        self, keys: Key | KeySet, *, algorithms: Collection[str], typ: str | Collection[str] | None = None
    ) -> Verified:
        """See `verify`."""
        header = self._parts.header
        alg = _check_header(header, algorithms, typ, never=_NEVER)
        return _verified(self._parts, alg, _choose(keys, header.get("kid"), alg))


def sign(claims: dict[str, Any], key: Key, *, typ: str | None = None) -> str:
    """Return a JWS of `claims` with `kid`, and with `typ` if given. The key's own `alg` decides the algorithm.

    Raises: BadKey if the key is not a private signing key with an `alg`.
    """
    if not key.is_private or key.alg not in _ALGORITHMS or not key.fits(key.alg):
        raise BadKey("not a private signing key with an alg")
    signing_input = _header_segment(key.alg, key.kid, typ) + b"." + encode(orjson.dumps(claims))
    signature = _ALGORITHMS[key.alg].sign(signing_input, key.native)
    return (signing_input + b"." + encode(signature)).decode("ascii")


def verify(
    token: str,
    keys: Key | KeySet,
    *,
    algorithms: Collection[str],
    typ: str | Collection[str] | None = None,
    max_bytes: int = MAX_TOKEN_BYTES,
) -> Verified:
    """Verify a JWS of a JSON object with the one key that its `kid` and `alg` point to, and return it.

    Claims are not judged here (`exp`, `aud` and so on are the caller's), only that they are a JSON object.
    Args: algorithms: the only ones taken.
        typ: a string: the header must have this type. Several: one of them, or none. None: `JWT`, or none.
          Compared without case and without the prefix `application/` (RFC 7515 section 4.1.9).
    Raises: BadToken; KeyNotFound, one of its kinds, if `kid` is none of `keys`.
    """
    return unverified(token, max_bytes=max_bytes).verify(keys, algorithms=algorithms, typ=typ)


def verify_embedded(token: str, *, algorithms: Collection[str], typ: str, max_bytes: int) -> Verified:
    """Verify a JWS with the public key in its own header. It proves possession of `key`, not who holds it.

    Raises: BadToken. Source: RFC 9449 section 4.3, items 3 to 7.
    """
    parts = _split(token, max_bytes)
    alg = _check_header(parts.header, algorithms, typ, never=_NEVER_BUT_KEY)
    try:
        key = parse_public_key(parts.header.get("jwk"))
    except BadKey as error:
        raise BadToken(f"jwk: {error.detail}") from None
    if not key.fits(alg):
        raise BadToken("the key is not for this alg")
    return _verified(parts, alg, key)


def unverified(token: str, *, max_bytes: int = MAX_TOKEN_BYTES) -> Unverified:
    """Return what a token claims, proven by nothing: only to find out whose keys to ask. Raises: BadToken."""
    return Unverified(_split(token, max_bytes))


@lru_cache(maxsize=256)
def _header_segment(alg: str, kid: str, typ: str | None) -> bytes:
    header = {"alg": alg, "kid": kid} if typ is None else {"alg": alg, "kid": kid, "typ": typ}
    return encode(orjson.dumps(header))


# The same for all assertions of a key, and for all proofs of one transaction. Whoever returns it returns a copy.
@lru_cache(maxsize=512)
def _header_of(segment: bytes) -> dict[str, Any]:
    return json_segment(segment)


def _split(token: str, max_bytes: int) -> _Parts:
    signing_input, _, signature = token_octets(token, max_bytes).rpartition(b".")
    header, dot, payload = signing_input.partition(b".")
    if not dot or b"." in payload:
        raise BadToken("not three parts")
    if len(header) > MAX_HEADER_CHARS:
        raise BadToken("header too long")
    try:
        return _Parts(dict(_header_of(header)), signing_input, payload, decode(signature))
    except ValueError:
        raise BadToken("the signature is not base64url") from None


def _check_header(
    header: dict[str, Any], algorithms: Collection[str], typ: str | Collection[str] | None, *, never: frozenset[str]
) -> str:
    if not never.isdisjoint(header):
        raise BadToken("a header member that is never taken")
    alg = header.get("alg")
    if not isinstance(alg, str) or alg not in algorithms or alg not in _ALGORITHMS:
        raise BadToken("alg is not taken here")
    if not _type_fits(header.get("typ"), typ):
        raise BadToken("typ is not the one expected here")
    return alg


def _type_fits(received: object, wanted: str | Collection[str] | None) -> bool:
    if received is None:
        return not isinstance(wanted, str)
    if not isinstance(received, str):
        return False
    acceptable = ("JWT",) if wanted is None else (wanted,) if isinstance(wanted, str) else wanted
    return _media_type(received) in map(_media_type, acceptable)


def _media_type(typ: str) -> str:
    return typ.lower().removeprefix("application/")


def _choose(keys: Key | KeySet, kid: object, alg: str) -> Key:
    """Return the one key that the header points to: never try several until one verifies."""
    candidates = KeySet([keys]) if isinstance(keys, Key) else keys
    if kid is None:
        fitting = candidates.fitting(alg)
        if len(fitting) != 1:
            raise BadToken("no kid, and not exactly one key for this alg")
        return fitting[0]
    key = candidates.find(kid) if isinstance(kid, str) else None
    if key is None:
        raise KeyNotFound("no key with this kid")
    if not key.fits(alg):
        raise BadToken("the key is not for this alg")
    return key


def _verified(parts: _Parts, alg: str, key: Key) -> Verified:
    try:
        good = _ALGORITHMS[alg].verify(parts.signing_input, parts.signature, key.native)
    except (JoseError, ValueError) as error:
        raise BadToken(f"signature: {type(error).__name__}") from None
    if not good:
        raise BadToken("the signature is wrong")
    return Verified(dict(parts.header), json_segment(parts.payload), key)
