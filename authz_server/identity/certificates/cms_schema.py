"""The parts of Cryptographic Message Syntax that a signature over a challenge has (RFC 5652 sections 3, 5 and 11).

Where the standard has a choice or an option that such a signature does not need, there is none here: reading fails.
Sets with an implicit tag are read as lists, because not everybody sorts them, and nothing here depends on their order.
"""

from typing import Annotated, Final

from cryptography import x509
from cryptography.hazmat import asn1
from cryptography.x509 import ObjectIdentifier

SIGNED_DATA: Final = ObjectIdentifier("1.2.840.113549.1.7.2")
DATA: Final = ObjectIdentifier("1.2.840.113549.1.7.1")
CONTENT_TYPE: Final = ObjectIdentifier("1.2.840.113549.1.9.3")
MESSAGE_DIGEST: Final = ObjectIdentifier("1.2.840.113549.1.9.4")


@asn1.sequence
class AlgorithmIdentifier:
    """An algorithm whose parameters are NULL or absent: all but PSS."""

    algorithm: ObjectIdentifier
    parameters: asn1.Null | None


@asn1.sequence
class MaskGeneration:
    """RFC 4055 section 3.1, maskGenAlgorithm."""

    algorithm: ObjectIdentifier
    parameters: AlgorithmIdentifier


@asn1.sequence
class PssParameters:
    """RFC 4055 section 3.1. The defaults, which are SHA-1's, are not taken, so the first two must be there."""

    hash_algorithm: Annotated[AlgorithmIdentifier, asn1.Explicit(0)]
    mask_generation: Annotated[MaskGeneration, asn1.Explicit(1)]
    salt_length: Annotated[int, asn1.Explicit(2), asn1.Default(20)]


@asn1.sequence
class PssIdentifier:
    """RSASSA-PSS with its parameters."""

    algorithm: ObjectIdentifier
    parameters: PssParameters


@asn1.sequence
class Attribute:
    """One attribute; those that are looked at have one value."""

    type: ObjectIdentifier
    values: asn1.SetOf[asn1.TLV]


@asn1.sequence
class IssuerAndSerialNumber:
    """Who signed, by the name in the certificate."""

    issuer: asn1.TLV
    serial_number: int


@asn1.sequence
class ContentInformation:
    """What was signed: nothing for a detached signature."""

    content_type: ObjectIdentifier
    content: Annotated[bytes | None, asn1.Explicit(0)]


@asn1.sequence
class SignerInfo:
    """A signature. Signed attributes must be there, unsigned ones must not."""

    version: int
    signer: asn1.TLV  # IssuerAndSerialNumber, or [0] IMPLICIT a subject key identifier
    digest_algorithm: AlgorithmIdentifier
    signed_attributes: Annotated[list[Attribute], asn1.Implicit(0)]
    signature_algorithm: asn1.TLV  # AlgorithmIdentifier or PssIdentifier
    signature: bytes


@asn1.sequence
class SignedData:
    """Certificates must be there; lists of revoked ones must not, for we get them ourselves."""

    version: int
    digest_algorithms: asn1.SetOf[AlgorithmIdentifier]
    content: ContentInformation
    certificates: Annotated[list[x509.Certificate], asn1.Implicit(0)]
    signers: asn1.SetOf[SignerInfo]


@asn1.sequence
class SignedMessage:
    """ContentInfo of RFC 5652 section 3, around signed data."""

    content_type: ObjectIdentifier
    content: Annotated[SignedData, asn1.Explicit(0)]
