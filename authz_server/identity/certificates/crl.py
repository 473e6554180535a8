"""Certificate revocation lists (RFC 5280 sections 5 and 6.3): complete ones, signed by the issuer itself."""

from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509 import ExtensionNotFound

from authz_server.identity.certificates.algorithms import STRONG_HASHES
from authz_server.identity.certificates.errors import UNREADABLE, StatusUnknown

_HANDLED = {x509.IssuingDistributionPoint.oid, x509.AuthorityKeyIdentifier.oid, x509.CRLNumber.oid}

SKEW = timedelta(minutes=1)  # what is signed while we ask is younger than the moment at which we began


def urls(certificate: x509.Certificate) -> list[str]:
    """Where the certificate says its list is; only http and https, and only lists of its own issuer."""
    try:
        points = certificate.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    except ExtensionNotFound:
        return []
    names = (
        name
        for point in points
        # Another issuer's list, or one for some reasons only, would not tell all.
        if point.crl_issuer is None and point.reasons is None
        for name in point.full_name or ()
    )
    return [
        name.value
        for name in names
        if isinstance(name, x509.UniformResourceIdentifier) and name.value.lower().startswith(("http://", "https://"))
    ]


def parse(octets: bytes) -> x509.CertificateRevocationList:
    """A list from DER, or from PEM as some publish it.  Raises: StatusUnknown."""
    try:
        if octets.startswith(b"-----BEGIN"):
            return x509.load_pem_x509_crl(octets)
        return x509.load_der_x509_crl(octets)
    except UNREADABLE:
        raise StatusUnknown("crl: malformed") from None


def check(
    crl: x509.CertificateRevocationList,
    certificate: x509.Certificate,
    issuer: x509.Certificate,
    *,
    url: str,
    now: datetime,
) -> bool:
    """Tell whether the certificate is on the list, as its issuer says now.

    Args: issuer: verified to have issued the certificate. url: where the list came from.
    Raises: StatusUnknown if the list is not this issuer's, not in force now, or not about such certificates.
    """
    try:
        if crl.issuer != issuer.subject or certificate.issuer != issuer.subject:
            raise StatusUnknown("crl: of another issuer")
        if not in_force(crl, now):
            raise StatusUnknown("crl: not in force")
        _check_issuer(crl, issuer)
        _check_scope(crl, certificate, url)
        return crl.get_revoked_certificate_by_serial_number(certificate.serial_number) is not None
    except UNREADABLE:
        raise StatusUnknown("crl: malformed") from None


def in_force(crl: x509.CertificateRevocationList, now: datetime) -> bool:
    """Whether it is valid now; one that does not say when the next comes never is (RFC 5280 section 5.1.2.5)."""
    return crl.next_update_utc is not None and crl.last_update_utc <= now + SKEW and now < crl.next_update_utc


def _check_issuer(crl: x509.CertificateRevocationList, issuer: x509.Certificate) -> None:
    try:
        usage = issuer.extensions.get_extension_for_class(x509.KeyUsage).value
    except ExtensionNotFound:
        raise StatusUnknown("crl: issuer without key usage") from None
    if not usage.crl_sign:
        raise StatusUnknown("crl: its issuer may not sign lists")
    key = issuer.public_key()
    if not isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey):
        raise StatusUnknown("crl: algorithm")
    if not isinstance(crl.signature_hash_algorithm, STRONG_HASHES) or not crl.is_signature_valid(key):
        raise StatusUnknown("crl: signature")


def _check_scope(crl: x509.CertificateRevocationList, certificate: x509.Certificate, url: str) -> None:
    """RFC 5280 section 6.3.3 (b) 2: a list that is about others says nothing about this certificate."""
    for extension in crl.extensions:
        if extension.critical and extension.oid not in _HANDLED:
            raise StatusUnknown("crl: critical extension")  # a delta list among others
        scope = extension.value
        if not isinstance(scope, x509.IssuingDistributionPoint):
            continue
        if scope.indirect_crl or scope.only_contains_attribute_certs or scope.only_some_reasons:
            raise StatusUnknown("crl: scope")
        if scope.only_contains_ca_certs if not _is_authority(certificate) else scope.only_contains_user_certs:
            raise StatusUnknown("crl: scope")
        if scope.relative_name or (scope.full_name and url not in {str(name.value) for name in scope.full_name}):
            raise StatusUnknown("crl: of another distribution point")


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except ExtensionNotFound:
        return False
