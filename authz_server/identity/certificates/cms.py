"""A signature over our challenge, as card software makes it: SignedData of Cryptographic Message Syntax (RFC 5652).

Detached or with the challenge inside; DER, BER, PEM or plain base64. One signer, with signed attributes, and the
certificate along with it. What is not signed and not needed is refused rather than ignored.
"""

import base64
import hashlib
import re
from typing import Final

from cryptography import x509
from cryptography.hazmat import asn1
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.x509 import ExtensionNotFound, ObjectIdentifier

from authz_server.identity.certificates import algorithms, ber
from authz_server.identity.certificates.cms_schema import (
    CONTENT_TYPE,
    DATA,
    MESSAGE_DIGEST,
    SIGNED_DATA,
    AlgorithmIdentifier,
    Attribute,
    IssuerAndSerialNumber,
    PssIdentifier,
    SignedData,
    SignedMessage,
    SignerInfo,
)
from authz_server.identity.certificates.errors import UNREADABLE, CertificateRefused
from authz_server.identity.certificates.trust import MAX_CERTIFICATES, Presented

MAX_BYTES: Final = 32 * 1024  # with a whole chain of long keys, and in base64, it is half of this
# What a text editor or a shell may have put after the challenge before it was signed.
_LINE_ENDS: Final = (b"", b"\n", b"\r\n")
# No hyphen in between, which base64 has none of: else each of many beginnings would be looked for an end of.
_PEM = re.compile(rb"-----BEGIN (?:CMS|PKCS7|PKCS #7 SIGNED DATA)-----([^-]*)-----END [A-Z0-9# ]+-----")
_KEY_IDENTIFIER: Final = b"\x80"  # [0] IMPLICIT OCTET STRING

_HASHES: Final[dict[str, hashes.HashAlgorithm]] = {
    "2.16.840.1.101.3.4.2.1": hashes.SHA256(),
    "2.16.840.1.101.3.4.2.2": hashes.SHA384(),
    "2.16.840.1.101.3.4.2.3": hashes.SHA512(),
}
# RFC 5754 section 3: with a hash of its own, or with that of the digest (`None`).
_RSA: Final[dict[str, str | None]] = {
    "1.2.840.113549.1.1.1": None,
    "1.2.840.113549.1.1.11": "2.16.840.1.101.3.4.2.1",
    "1.2.840.113549.1.1.12": "2.16.840.1.101.3.4.2.2",
    "1.2.840.113549.1.1.13": "2.16.840.1.101.3.4.2.3",
}
_ECDSA: Final = {
    "1.2.840.10045.4.3.2": "2.16.840.1.101.3.4.2.1",
    "1.2.840.10045.4.3.3": "2.16.840.1.101.3.4.2.2",
    "1.2.840.10045.4.3.4": "2.16.840.1.101.3.4.2.3",
}
_PSS: Final = "1.2.840.113549.1.1.10"
_MGF1: Final = "1.2.840.113549.1.1.8"
_MAX_SALT: Final = 512


def signer(message: bytes, challenge: str) -> Presented:
    """Verify a signature over the challenge and return whose key made it.

    Args: message: as it was uploaded or pasted. challenge: ASCII, one line.
    Raises: CertificateRefused.
    """
    try:
        signed = _read(message)
        (info,) = signed.signers.as_list()
        _check_frame(signed, info)
        algorithm = _hash(info.digest_algorithm)
        _check_content(signed, info, challenge.encode("ascii"), algorithm)
        certificate = _signers_certificate(signed.certificates, info)
        parameters = _parameters(info, algorithm)
        key = certificate.public_key()
        # RFC 5652 section 5.4: signed is the DER encoding with the tag of a set.
        octets = asn1.encode_der(asn1.SetOf(info.signed_attributes))
    except UNREADABLE:
        raise CertificateRefused("malformed", "cms") from None
    if not algorithms.is_strong(key):
        raise CertificateRefused("algorithm", "key")
    if not algorithms.check(key, info.signature, octets, parameters, algorithm):
        raise CertificateRefused("wrong_signature")
    others = tuple(one for one in signed.certificates if one != certificate)
    return Presented(certificate=certificate, others=others)


def _read(message: bytes) -> SignedData:
    """Raises: CertificateRefused, and what is UNREADABLE."""
    if not message.strip() or len(message) > MAX_BYTES:
        raise CertificateRefused("malformed", "size")
    read = asn1.decode_der(SignedMessage, ber.to_der(_decoded(message)))
    if read.content_type != SIGNED_DATA:
        raise CertificateRefused("malformed", "no signed data")
    return read.content


def _decoded(message: bytes) -> bytes:
    """DER or BER as it is; else base64, with or without the lines of PEM around it."""
    if message[:1] == b"\x30":
        return message
    armoured = _PEM.search(message)
    text = armoured[1] if armoured else message
    return base64.b64decode(b"".join(text.split()), validate=True)


def _check_frame(signed: SignedData, info: SignerInfo) -> None:
    """What nobody signed says what it must, so that a message has one reading only."""
    digests = [one.algorithm for one in signed.digest_algorithms.as_list()]
    version = 3 if info.signer.tag_bytes == _KEY_IDENTIFIER else 1  # RFC 5652 sections 5.1 and 5.3
    if digests != [info.digest_algorithm.algorithm] or (signed.version, info.version) != (version, version):
        raise CertificateRefused("malformed", "frame")
    if len(signed.certificates) > MAX_CERTIFICATES:
        raise CertificateRefused("malformed", "certificates")


def _check_content(signed: SignedData, info: SignerInfo, challenge: bytes, algorithm: hashes.HashAlgorithm) -> None:
    """RFC 5652 section 11: exactly one content type and one digest, and the digest is that of our challenge."""
    if signed.content.content_type != DATA:
        raise CertificateRefused("malformed", "content type")
    if asn1.decode_der(ObjectIdentifier, _only_value(info.signed_attributes, CONTENT_TYPE)) != DATA:
        raise CertificateRefused("malformed", "content type")
    digest = asn1.decode_der(bytes, _only_value(info.signed_attributes, MESSAGE_DIGEST))
    for end in _LINE_ENDS:
        content = challenge + end
        if digest == hashlib.new(algorithm.name, content).digest() and signed.content.content in {None, content}:
            return
    raise CertificateRefused("wrong_challenge")


def _only_value(attributes: list[Attribute], wanted: ObjectIdentifier) -> bytes:
    (attribute,) = (one for one in attributes if one.type == wanted)
    (value,) = attribute.values.as_list()
    return asn1.encode_der(value)


def _signers_certificate(certificates: list[x509.Certificate], info: SignerInfo) -> x509.Certificate:
    for one in certificates:
        if info.signer.tag_bytes == _KEY_IDENTIFIER:
            if _key_identifier(one) == bytes(info.signer.data):
                return one
            continue
        named = info.signer.parse(IssuerAndSerialNumber)
        if one.serial_number == named.serial_number and one.issuer.public_bytes() == asn1.encode_der(named.issuer):
            return one
    raise CertificateRefused("malformed", "the signer's certificate is missing")


def _key_identifier(certificate: x509.Certificate) -> bytes | None:
    try:
        return certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    except ExtensionNotFound:
        return None


def _hash(identifier: AlgorithmIdentifier) -> hashes.HashAlgorithm:
    try:
        return _HASHES[identifier.algorithm.dotted_string]
    except KeyError:
        raise CertificateRefused("algorithm", "digest") from None


def _parameters(info: SignerInfo, algorithm: hashes.HashAlgorithm) -> algorithms.Parameters:
    """How the signature is to be verified: with the digest's hash throughout, so that nothing can be mixed."""
    digest = info.digest_algorithm.algorithm.dotted_string
    try:
        name = info.signature_algorithm.parse(AlgorithmIdentifier).algorithm.dotted_string
    except ValueError:
        return _pss(info.signature_algorithm, digest, algorithm)
    if _RSA.get(name, "") in {digest, None}:
        return padding.PKCS1v15()
    if _ECDSA.get(name) == digest:
        return ec.ECDSA(algorithm)
    raise CertificateRefused("algorithm", "signature")


def _pss(encoded: asn1.TLV, digest: str, algorithm: hashes.HashAlgorithm) -> padding.PSS:
    try:
        identifier = encoded.parse(PssIdentifier)
    except ValueError:
        raise CertificateRefused("algorithm", "signature") from None
    given = identifier.parameters
    named = [given.hash_algorithm, given.mask_generation.parameters]
    if (
        identifier.algorithm.dotted_string != _PSS
        or given.mask_generation.algorithm.dotted_string != _MGF1
        or any(one.algorithm.dotted_string != digest for one in named)
        or not 0 <= given.salt_length <= _MAX_SALT
    ):
        raise CertificateRefused("algorithm", "PSS")
    return padding.PSS(mgf=padding.MGF1(algorithm), salt_length=given.salt_length)
