"""Keys: parsed once, held as objects, strong and unambiguous or refused.

A key is known by its RFC 7638 thumbprint; so that one key has one thumbprint, every member has to be spelt in the
one way that RFC 7518 section 6 prescribes.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import orjson
from cryptography.hazmat.primitives.asymmetric import ec
from joserfc import jwk
from joserfc.errors import JoseError

from authz_server.core.jose.encoding import decode, sha256_of
from authz_server.core.jose.errors import BadKey

PRIVATE_MEMBERS = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
# The members that make a public key, in the order of RFC 7638 section 3.2, with the octets a coordinate takes.
_REQUIRED = {"EC": ("crv", "kty", "x", "y"), "OKP": ("crv", "kty", "x"), "RSA": ("e", "kty", "n")}
_COORDINATE_BYTES = {("EC", "P-256"): 32, ("EC", "P-384"): 48, ("OKP", "Ed25519"): 32}
_CURVES: Mapping[str, ec.EllipticCurve] = {"P-256": ec.SECP256R1(), "P-384": ec.SECP384R1()}
_RSA_BITS = range(2048, 4097)  # above, one proof with a key of the sender's choice would cost us milliseconds
_MAX_EXPONENT_BYTES = 4
MAX_KEYS = 32

_Members = tuple[tuple[str, str], ...]

# What each algorithm needs of a key: use, key type, curve (None: any that we parse).
KEY_OF_ALGORITHM: dict[str, tuple[str, str, str | None]] = {
    "ES256": ("sig", "EC", "P-256"),
    "ES384": ("sig", "EC", "P-384"),
    "EdDSA": ("sig", "OKP", "Ed25519"),
    "Ed25519": ("sig", "OKP", "Ed25519"),
    "PS256": ("sig", "RSA", None),
    "RS256": ("sig", "RSA", None),
    "ECDH-ES": ("enc", "EC", None),
    "ECDH-ES+A256KW": ("enc", "EC", None),
    "RSA-OAEP-256": ("enc", "RSA", None),
}
_ED25519 = {"EdDSA", "Ed25519"}  # RFC 9864 section 2.2: the same, under the name of before and the one of now


@dataclass(frozen=True, eq=False)
class Key:
    """One parsed key. `kid` falls back to the thumbprint; `use` and `alg` are None where the JWK left them open."""

    kid: str
    kty: str
    crv: str | None
    use: str | None
    alg: str | None
    thumbprint: str
    is_private: bool
    native: jwk.Key = field(repr=False)

    def fits(self, alg: str) -> bool:
        """Whether this key may be used with `alg`: type, curve, and its own `use` and `alg` where it has them."""
        use, kty, crv = KEY_OF_ALGORITHM[alg]
        serves = self.alg in (None, alg) or {self.alg, alg} == _ED25519
        return serves and self.kty == kty and crv in (None, self.crv) and self.use in (None, use)

    def public_jwk(self) -> dict[str, Any]:
        """Return the public JWK with `kid`, and `use` and `alg` where known. A fresh dict, the caller's own."""
        named = {"kid": self.kid, "use": self.use, "alg": self.alg}
        members = {name: self.native.dict_value[name] for name in _REQUIRED[self.kty]}
        return members | {name: value for name, value in named.items() if value is not None}


class KeySet:
    """Keys of one owner, in the order given: the first that fits is the one in force, the others are being retired."""

    def __init__(self, keys: Iterable[Key]) -> None:
        self.keys = tuple(keys)
        self._by_kid = {key.kid: key for key in self.keys}
        if len(self._by_kid) != len(self.keys):
            raise BadKey("two keys with one kid")

    def __iter__(self) -> Iterator[Key]:
        return iter(self.keys)

    def __len__(self) -> int:
        return len(self.keys)

    def find(self, kid: str) -> Key | None:
        return self._by_kid.get(kid)

    def fitting(self, alg: str) -> tuple[Key, ...]:
        return tuple(key for key in self.keys if key.fits(alg))

    def get(self, alg: str) -> Key:
        """Return the key in force for `alg`. Raises: BadKey if there is none."""
        for key in self.keys:
            if key.fits(alg):
                return key
        raise BadKey(f"no key for {alg}")


def generate_key(alg: str, use: str | None = None) -> dict[str, Any]:
    """Return a new private JWK with `kid` (its thumbprint), `use` and `alg`.

    Raises: ValueError for an algorithm that we do not use, or a `use` that contradicts it.
    """
    if alg not in KEY_OF_ALGORITHM:
        raise ValueError(f"no key for {alg}")
    proper_use, kty, crv = KEY_OF_ALGORITHM[alg]
    if use not in (None, proper_use):
        raise ValueError(f"{alg} is not for use {use}")
    generated = jwk.JWKRegistry.generate_key(kty, 2048 if kty == "RSA" else crv or "P-256")
    members = generated.as_dict(private=True)
    return {**members, "kid": thumbprint(members), "use": proper_use, "alg": alg}


def parse_private_keys(jwks: object) -> KeySet:
    """Return our own keys from a JWKS document. Raises: BadKey."""
    return KeySet(_parse_private(member) for member in _listed(jwks))


def parse_public_keys(jwks: object) -> KeySet:
    """Return a peer's keys from a JWKS document, any JSON value.

    Raises: BadKey for a private or symmetric key, RSA below 2048 bits, a curve other than P-256, P-384 and Ed25519,
    a misspelt member, two keys with one `kid`. A set with one bad key is refused as a whole: somebody should look.
    """
    return KeySet(_numbered(number, member) for number, member in enumerate(_listed(jwks)))


def _numbered(number: int, member: object) -> Key:
    try:
        return parse_public_key(member)
    except BadKey as error:
        raise BadKey(f"keys[{number}]: {error.detail}") from None


def parse_public_key(member: object) -> Key:
    """Return a peer's key from a JWK, any JSON value; parsed keys are remembered. Raises: BadKey, see above."""
    if not isinstance(member, dict):
        raise BadKey("a JWK is a JSON object")
    if not PRIVATE_MEMBERS.isdisjoint(member):
        raise BadKey("private or symmetric key where a public key belongs; replace it, it is a secret no more")
    return _public_key(_required(member), *_labels(member))


def public_jwks(keys: KeySet) -> dict[str, Any]:
    """Return the JWKS to publish: public members only."""
    return {"keys": [key.public_jwk() for key in keys]}


def thumbprint(member: Mapping[str, Any]) -> str:
    """Return the RFC 7638 SHA-256 thumbprint, base64url. Raises: BadKey."""
    return _thumbprint(_checked(_required(member)))


def _listed(jwks: object) -> list[object]:
    members = jwks.get("keys") if isinstance(jwks, dict) else None
    if not isinstance(members, list) or not 0 < len(members) <= MAX_KEYS:
        raise BadKey(f"a JWKS is an object with 1 to {MAX_KEYS} keys")
    return members


def _required(member: Mapping[str, Any]) -> _Members:
    """Return the members that make the key, all strings, in the order of RFC 7638 section 3.2."""
    kty = member.get("kty")
    if not isinstance(kty, str) or kty not in _REQUIRED:
        raise BadKey("kty is not EC, OKP or RSA")
    values = [(name, value) for name in _REQUIRED[kty] if isinstance(value := member.get(name), str)]
    if len(values) != len(_REQUIRED[kty]):
        raise BadKey("a required member is missing or not a string")
    return tuple(values)


def _checked(required: _Members) -> dict[str, str]:
    """Return the members as a dict. Raises: BadKey unless each is spelt in its one right way."""
    members = dict(required)
    if members["kty"] == "RSA":
        _check_rsa(members)
    else:
        _check_curve(members)
    return members


def _check_curve(members: dict[str, str]) -> None:
    size = _COORDINATE_BYTES.get((members["kty"], members["crv"]))
    if size is None:
        raise BadKey("the curve is not P-256, P-384 or Ed25519")
    # RFC 7518 section 6.2.1.2: the full size of a coordinate, leading zeros included.
    if any(len(_octets(members[name])) != size for name in ("x", "y") if name in members):
        raise BadKey("a coordinate has the wrong length")


def _check_rsa(members: dict[str, str]) -> None:
    modulus, exponent = _octets(members["n"]), _octets(members["e"])
    # RFC 7518 section 6.3.1: as few octets as possible.
    if modulus[:1] in (b"", b"\0") or exponent[:1] in (b"", b"\0"):
        raise BadKey("an RSA member has leading zeros")
    if int.from_bytes(modulus, "big").bit_length() not in _RSA_BITS or len(exponent) > _MAX_EXPONENT_BYTES:
        raise BadKey("the RSA key has less than 2048 or more than 4096 bits, or an odd exponent")


def _octets(value: str) -> bytes:
    try:
        return decode(value.encode("ascii"))
    except ValueError:
        raise BadKey("a member is not base64url") from None


def _labels(member: Mapping[str, Any]) -> tuple[str | None, str | None, str | None]:
    kid, use, alg = (member.get(name) for name in ("kid", "use", "alg"))
    for value in (kid, use, alg):
        if not isinstance(value, str | None) or value == "":
            raise BadKey("kid, use and alg are strings")
    # It goes into headers, logs and pages: what nobody sees there makes two names look like one, or one like two lines.
    if kid is not None and not kid.isprintable():
        raise BadKey("kid has a line break, or another character that nobody sees")
    if use not in (None, "sig", "enc"):
        raise BadKey("use is not sig or enc")
    return kid, use, alg


def _thumbprint(members: dict[str, str]) -> str:
    return sha256_of(orjson.dumps(members))


# A DPoP proof brings its key along: the same few keys again and again, 100 us each time to check, import and name.
@lru_cache(maxsize=2048)
def _public_key(required: _Members, kid: str | None, use: str | None, alg: str | None) -> Key:
    members = _checked(required)
    return _key(_public_native(members), members, (kid, use, alg))


def _parse_private(member: object) -> Key:
    if not isinstance(member, dict) or "d" not in member:
        raise BadKey("not a private key")
    members = _checked(_required(member))
    own = {name: value for name, value in member.items() if name in PRIVATE_MEMBERS}
    return _key(_import(members | own), members, _labels(member))


def _public_native(members: dict[str, str]) -> jwk.Key:
    """The key itself. On a curve that is its point: all that joserfc's own import would check is checked by now."""
    if members["kty"] != "EC":
        return _import(members)
    point = b"\x04" + _octets(members["x"]) + _octets(members["y"])  # SEC 1 section 2.3.3: uncompressed
    try:
        return jwk.ECKey(ec.EllipticCurvePublicKey.from_encoded_point(_CURVES[members["crv"]], point), None)
    except ValueError:
        raise BadKey("the key does not load: not a point on its curve") from None


def _import(members: dict[str, Any]) -> jwk.Key:
    try:
        return jwk.JWKRegistry.import_key(members)
    # TypeError, AttributeError: joserfc leaves the types of private members to its callers.
    except (JoseError, ValueError, TypeError, AttributeError) as error:
        raise BadKey(f"the key does not load: {type(error).__name__}") from None


def _key(native: jwk.Key, members: dict[str, str], labels: tuple[str | None, str | None, str | None]) -> Key:
    kid, use, alg = labels
    name = _thumbprint(members)
    return Key(kid or name, members["kty"], members.get("crv"), use, alg, name, native.is_private, native)
