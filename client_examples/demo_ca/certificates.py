"""Certificates as a citizens' authority issues them: RFC 5280.

As on real citizen certificates, the last four characters of the holder's id stand in the subject directory attributes,
and nothing else of it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat import asn1
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import ObjectIdentifier
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID

POLICY = ObjectIdentifier("2.16.886.101.0.3.3.99")  # of no meaning anywhere
TAIL_OF_ID = ObjectIdentifier("2.16.886.1.100.2.51")
SUBJECT_DIRECTORY_ATTRIBUTES = ObjectIdentifier("2.5.29.9")

Builder = x509.CertificateBuilder
Extend = Callable[[Builder], Builder]


@dataclass(frozen=True)
class Office:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


@asn1.sequence
class _Attribute:
    type: ObjectIdentifier
    values: asn1.SetOf[asn1.PrintableString]


@asn1.sequence
class _Attributes:
    only: _Attribute


def issue(name: str, issuer: Office | None, extend: Extend, *, days: int) -> Office:
    """A new key and a certificate for it; `issuer` None signs itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COUNTRY_NAME, "TW"), x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC).replace(microsecond=0)
    signer = issuer.key if issuer else key
    builder = (
        Builder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    )
    return Office(extend(builder).sign(signer, hashes.SHA256()), key)


def authority(path_length: int, crl_url: str | None = None) -> Extend:
    """What an authority's certificate says."""

    def extend(builder: Builder) -> Builder:
        constraints = x509.BasicConstraints(ca=True, path_length=path_length)
        builder = builder.add_extension(constraints, critical=True)
        builder = builder.add_extension(_usage("key_cert_sign", "crl_sign"), critical=True)
        builder = builder.add_extension(_policies(), critical=False)
        return builder.add_extension(_lists(crl_url), critical=False) if crl_url else builder

    return extend


def responder(builder: Builder) -> Builder:
    """What the certificate of whoever answers questions says (RFC 6960 section 4.2.2.2)."""
    purpose = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.OCSP_SIGNING])
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_usage("digital_signature"), critical=True)
    return builder.add_extension(purpose, critical=False).add_extension(x509.OCSPNoCheck(), critical=False)


def card(url: str, id_tail: str) -> Extend:
    """What a citizen's certificate says."""
    where = x509.AccessDescription(AuthorityInformationAccessOID.OCSP, x509.UniformResourceIdentifier(f"{url}/ocsp"))

    def extend(builder: Builder) -> Builder:
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(_usage("digital_signature"), critical=True)
        builder = builder.add_extension(_policies(), critical=False)
        builder = builder.add_extension(_lists(f"{url}/issuing.crl"), critical=False)
        builder = builder.add_extension(x509.AuthorityInformationAccess([where]), critical=False)
        return builder.add_extension(_directory_attributes(id_tail), critical=False)

    return extend


def _directory_attributes(id_tail: str) -> x509.UnrecognizedExtension:
    """RFC 5280 section 4.2.1.8, a list of one."""
    tail = _Attribute(type=TAIL_OF_ID, values=asn1.SetOf([asn1.PrintableString(id_tail)]))
    return x509.UnrecognizedExtension(SUBJECT_DIRECTORY_ATTRIBUTES, asn1.encode_der(_Attributes(only=tail)))


def _usage(*names: str) -> x509.KeyUsage:
    all_names = (
        "digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
        "key_cert_sign", "crl_sign", "encipher_only", "decipher_only",
    )  # fmt: skip
    return x509.KeyUsage(**{name: name in names for name in all_names})


def _policies() -> x509.CertificatePolicies:
    return x509.CertificatePolicies([x509.PolicyInformation(POLICY, None)])


def _lists(url: str) -> x509.CRLDistributionPoints:
    return x509.CRLDistributionPoints([x509.DistributionPoint([x509.UniformResourceIdentifier(url)], None, None, None)])
