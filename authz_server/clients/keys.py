"""Public keys of clients and agencies, and which of them serve for encryption."""

import re
from typing import Any

from authz_server.clients.model import RegisteredAgency
from authz_server.core import jose
from authz_server.core.jose import KEY_MANAGEMENT, SIGNING, BadKey, Key, KeySet, parse_public_key

# It goes into headers and records; a database or a serialiser may choke on what else JSON allows in a string.
_KID = re.compile(r"[\x21-\x7e]{1,200}")

# What packages are encrypted to, for whoever has another key.
RECIPIENTS = (
    "EC P-256 (ECDH-ES, ECDH-ES+A256KW) or RSA of 2048 to 4096 bits (RSA-OAEP-256), "
    "with a kid of 1 to 200 visible ASCII characters"
)
NO_RECIPIENT = f"no key of use enc that packages are encrypted to: {RECIPIENTS}"


def encryption_key(keys: KeySet) -> Key | None:
    """The key in force for encryption: the first whose `use` is `enc` and that we encrypt to."""
    return next((key for key in keys if key.use == "enc" and is_recipient(key)), None)


def only_unusable_recipients(keys: KeySet) -> bool:
    """Whether there is a key of use enc, and none that we encrypt to."""
    return encryption_key(keys) is None and any(key.use == "enc" for key in keys)


def signing_keys(keys: KeySet) -> tuple[Key, ...]:
    """The keys with which the owner may sign."""
    return tuple(key for key in keys if any(key.fits(alg) for alg in SIGNING))


def seal(claims: dict[str, Any], agency: RegisteredAgency, key: Key, *, typ: str) -> str:
    """What this agency alone can open, and knows to come from us: a JWT of this type, encrypted to it.

    Args: key: ours, to sign with.
    """
    return jose.encrypt(jose.sign(claims, key, typ=typ).encode(), agency.encryption_key, cty="JWT")


def is_recipient(key: Key) -> bool:
    """Whether a package or ticket may be encrypted to this key: EC P-256 or RSA, for one of our algorithms.

    Its `kid` goes into the header, of which libraries read so much and no more.
    """
    fits = key.crv in {None, "P-256"} and any(key.fits(alg) for alg in KEY_MANAGEMENT)
    return fits and _KID.fullmatch(key.kid) is not None


def recipient_jwk(member: object) -> dict[str, Any]:
    """Return a recipient's JWK, any JSON value, reduced to its public members, with `use` and `kid`.

    Raises: BadKey unless it is a public EC P-256 or RSA key of 2048 to 4096 bits that is not meant for signatures.
    """
    key = parse_public_key(member)
    if not _KID.fullmatch(key.kid):
        raise BadKey("kid is not 1 to 200 visible ASCII characters")
    if not is_recipient(key):
        raise BadKey("not an encryption key on P-256 or of RSA")
    return {**key.public_jwk(), "use": "enc"}
