"""JOSE for the whole project, on joserfc, which nothing outside this package imports.

keys      one parsed key, sets of them; what we refuse to hold
own_keys  the file of our private keys: read, and replaced by fresh ones
signed    JWS compact: sign, verify
sealing   JWE compact: encrypt
opening   JWE compact: decrypt

Each purpose names the algorithms it takes; nothing is read from a token before its size is known; whatever is wrong
with a token is a `BadToken`, whatever is wrong with a key a `BadKey`.
"""

from authz_server.core.jose.errors import BadKey, BadToken, KeyNotFound
from authz_server.core.jose.keys import (
    Key,
    KeySet,
    generate_key,
    parse_private_keys,
    parse_public_key,
    parse_public_keys,
    public_jwks,
    thumbprint,
)
from authz_server.core.jose.opening import decrypt
from authz_server.core.jose.own_keys import OWN_ALG, forgotten, load_keys, rotated
from authz_server.core.jose.sealing import KEY_MANAGEMENT, encrypt
from authz_server.core.jose.signed import (
    SIGNING,
    Unverified,
    Verified,
    sign,
    unverified,
    verify,
    verify_embedded,
)

__all__ = [
    "KEY_MANAGEMENT",
    "OWN_ALG",
    "SIGNING",
    "BadKey",
    "BadToken",
    "Key",
    "KeyNotFound",
    "KeySet",
    "Unverified",
    "Verified",
    "decrypt",
    "encrypt",
    "forgotten",
    "generate_key",
    "load_keys",
    "parse_private_keys",
    "parse_public_key",
    "parse_public_keys",
    "public_jwks",
    "rotated",
    "sign",
    "thumbprint",
    "unverified",
    "verify",
    "verify_embedded",
]
