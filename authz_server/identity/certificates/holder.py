"""Whom a certificate names: a citizen certificate holds the name and the last characters of the national id only."""

from dataclasses import dataclass, field
from typing import Final

from cryptography import x509
from cryptography.hazmat import asn1
from cryptography.x509 import ExtensionNotFound, ObjectIdentifier
from cryptography.x509.oid import NameOID

from authz_server.identity.certificates.cms_schema import Attribute
from authz_server.identity.certificates.errors import UNREADABLE

SUBJECT_DIRECTORY_ATTRIBUTES: Final = ObjectIdentifier("2.5.29.9")
TAIL_OF_ID: Final = ObjectIdentifier("2.16.886.1.100.2.51")  # of the government's public key infrastructure


@dataclass(frozen=True)
class Holder:
    """What the certificate says of its holder; None where it says nothing that can be read."""

    name: str | None = field(repr=False)
    id_tail: str | None = field(repr=False)


@asn1.sequence
class _Enclosed:
    octets: asn1.TLV


@asn1.sequence
class _Attributes:
    all: list[Attribute]


def named(certificate: x509.Certificate) -> Holder:
    """The holder, by name and last characters of the id."""
    try:
        names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        tail = _id_tail(certificate)
    except UNREADABLE:
        return Holder(None, None)
    name = names[0].value if len(names) == 1 and isinstance(names[0].value, str) else None
    return Holder(name, tail)


def _id_tail(certificate: x509.Certificate) -> str | None:
    """RFC 5280 section 4.2.1.8: a sequence of attributes, each with a set of values; this one with a string."""
    try:
        extension = certificate.extensions.get_extension_for_oid(SUBJECT_DIRECTORY_ATTRIBUTES).value
    except ExtensionNotFound:
        return None
    if not isinstance(extension, x509.UnrecognizedExtension):
        return None
    # The reader takes a list only as a part of something.
    enclosed = asn1.encode_der(_Enclosed(octets=asn1.decode_der(asn1.TLV, extension.value)))
    for attribute in asn1.decode_der(_Attributes, enclosed).all:
        if attribute.type == TAIL_OF_ID:
            (value,) = attribute.values.as_list()
            return bytes(value.data).decode("ascii")
    return None
