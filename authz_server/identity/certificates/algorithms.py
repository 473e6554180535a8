"""The signature algorithms that count: SHA-256 or stronger, with RSA from 2048 to 8192 bits or on P-256 and P-384."""

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

STRONG_HASHES = (hashes.SHA256, hashes.SHA384, hashes.SHA512)
CURVES = (ec.SECP256R1, ec.SECP384R1)
MIN_RSA_BITS = 2048
# Whoever shows a key says how long we are at work on it: a longer exponent takes a hundred times as long. As browsers.
MAX_RSA_BITS = 8192
MAX_EXPONENT_BITS = 33

Parameters = padding.PSS | padding.PKCS1v15 | ec.ECDSA


def is_strong(key: PublicKeyTypes) -> bool:
    """Whether this server takes signatures of such a key."""
    if isinstance(key, rsa.RSAPublicKey):
        exponent_bits = key.public_numbers().e.bit_length()
        return MIN_RSA_BITS <= key.key_size <= MAX_RSA_BITS and exponent_bits <= MAX_EXPONENT_BITS
    return isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, CURVES)


def check(
    key: PublicKeyTypes,
    signature: bytes,
    signed: bytes,
    parameters: Parameters,
    hash_algorithm: hashes.HashAlgorithm,
) -> bool:
    """Tell whether the signature is right; a weak key, a weak hash or another kind of key never is."""
    if not is_strong(key) or not isinstance(hash_algorithm, STRONG_HASHES):
        return False
    try:
        if isinstance(key, rsa.RSAPublicKey) and isinstance(parameters, padding.PSS | padding.PKCS1v15):
            key.verify(signature, signed, parameters, hash_algorithm)
        elif isinstance(key, ec.EllipticCurvePublicKey) and isinstance(parameters, ec.ECDSA):
            key.verify(signature, signed, parameters)
        else:
            return False
    except InvalidSignature:
        return False
    return True
