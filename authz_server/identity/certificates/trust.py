"""From a certificate to a configured trust anchor: RFC 5280 section 6, by `cryptography`, with a citizen's profile.

What `cryptography` checks: signatures (SHA-256 or stronger; RSA from 2048 bits, P-256 and above), validity of each
certificate, names, path length, name constraints, basic constraints and key usage of authorities, and that no critical
extension is left unhandled. What stands here is what a citizen's card must be: not an authority, its key meant for
digital signatures of a person, under a policy that was agreed on.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.x509 import ExtensionNotFound, ObjectIdentifier
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import ExtensionPolicy, PolicyBuilder, Store, VerificationError

from authz_server.identity.certificates import algorithms
from authz_server.identity.certificates.errors import UNREADABLE, CertificateRefused

MAX_CERTIFICATES = 8  # that may come along with one that is shown
MAX_DEPTH = 4  # authorities between it and an anchor
ANY_POLICY = ObjectIdentifier("2.5.29.32.0")
# One of these must be among the purposes of a certificate that names any: what people sign and sign in with.
PURPOSES = (
    ExtendedKeyUsageOID.CLIENT_AUTH,
    ExtendedKeyUsageOID.EMAIL_PROTECTION,
    ExtendedKeyUsageOID.SMARTCARD_LOGON,
    ObjectIdentifier("1.3.6.1.5.5.7.3.36"),  # document signing, RFC 9336
    ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,
)

Chain = Sequence[x509.Certificate]  # from the citizen's up to and including the anchor


@dataclass(frozen=True, kw_only=True)
class Presented:
    """A certificate that somebody has the key of, and what came along; nobody has vouched for it yet."""

    certificate: x509.Certificate
    others: tuple[x509.Certificate, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Trust:
    """Whom this server believes. `policies`: one of them must hold for the whole chain; empty demands none."""

    anchors: tuple[x509.Certificate, ...]
    intermediates: tuple[x509.Certificate, ...] = ()
    policies: frozenset[str] = frozenset()

    def chain(self, leaf: x509.Certificate, others: Sequence[x509.Certificate], *, now: datetime) -> Chain:
        """Return the way from `leaf` to an anchor; both ends included.

        Args: others: what came along, in any order; used if they help. now: aware.
        Raises: CertificateRefused.
        """
        try:
            _check_key(leaf)
            _check_purpose(leaf)
            if not leaf.not_valid_before_utc <= now <= leaf.not_valid_after_utc:
                raise CertificateRefused("expired")
            chain = self._way_up(leaf, others, now)
            self._check_policies(chain)
        except UNREADABLE:
            raise CertificateRefused("malformed", "certificate") from None
        return chain

    def _way_up(self, leaf: x509.Certificate, others: Sequence[x509.Certificate], now: datetime) -> Chain:
        verifier = (
            PolicyBuilder()
            .store(Store(list(self.anchors)))
            .time(now)
            .max_chain_depth(MAX_DEPTH)
            # Names and purposes of web servers, which the library's profile of a leaf is about, are not a citizen's.
            .extension_policies(ca_policy=_AUTHORITY, ee_policy=ExtensionPolicy.permit_all())
            .build_client_verifier()
        )
        try:
            return verifier.verify(leaf, self._between([*others, *self.intermediates])).chain
        except VerificationError as error:
            raise CertificateRefused("untrusted", type(error).__name__) from None

    def _between(self, offered: Sequence[x509.Certificate]) -> list[x509.Certificate]:
        """Those that an anchor has issued, or one that is among them.

        Others lead nowhere, but a search would try each with each: whoever makes them up would keep us at work.
        """
        found: list[x509.Certificate] = []
        rest = [one for one in dict.fromkeys(offered) if one not in self.anchors]
        issuers: Sequence[x509.Certificate] = self.anchors
        while issuers:
            issuers = [one for one in rest if any(_has_issued(issuer, one) for issuer in issuers)]
            rest = [one for one in rest if one not in issuers]
            found += issuers
        return found

    def _check_policies(self, chain: Chain) -> None:
        """Raises: CertificateRefused unless an agreed policy holds from the citizen's up to below the anchor.

        RFC 5280 section 6.1.3 (d) without mappings, which none of the authorities meant here uses: a mapping that is
        critical, as it should be, is refused as an extension that nobody handled.
        """
        if not self.policies:
            return
        held = set(self.policies)
        leaf, *authorities = chain[:-1]
        held &= _policies(leaf)
        for authority in authorities:
            found = _policies(authority)
            if ANY_POLICY.dotted_string not in found:
                held &= found
        if not held:
            raise CertificateRefused("purpose", "policy")


def load(path: Path) -> tuple[x509.Certificate, ...]:
    """The certificates of a PEM file.  Raises: ValueError, which says what is wrong with it."""
    try:
        return tuple(x509.load_pem_x509_certificates(path.read_bytes()))
    except (OSError, ValueError) as error:
        raise ValueError(f"{path}: no PEM file of certificates ({error})") from None


def parse(encoded: Iterable[bytes]) -> list[x509.Certificate]:
    """Certificates from DER.  Raises: CertificateRefused."""
    try:
        return [x509.load_der_x509_certificate(one) for one in encoded]
    except UNREADABLE:
        raise CertificateRefused("malformed", "certificate") from None


def _check_key(leaf: x509.Certificate) -> None:
    if not algorithms.is_strong(leaf.public_key()):
        raise CertificateRefused("algorithm", "key")


def _has_issued(issuer: x509.Certificate, one: x509.Certificate) -> bool:
    try:
        one.verify_directly_issued_by(issuer)
    except (*UNREADABLE, InvalidSignature):
        return False
    return True


def _check_purpose(leaf: x509.Certificate) -> None:
    """Raises: CertificateRefused if it is an authority's, or if its key is not meant for signatures of a person."""
    for extension in leaf.extensions:
        if isinstance(extension.value, x509.ExtendedKeyUsage) and not set(PURPOSES) & set(extension.value):
            raise CertificateRefused("purpose", "extended key usage")  # RFC 5280 section 4.2.1.12
    try:
        usage = leaf.extensions.get_extension_for_class(x509.KeyUsage).value
        if not usage.digital_signature or usage.key_cert_sign:
            raise CertificateRefused("purpose", "key usage")
        constraints = leaf.extensions.get_extension_for_class(x509.BasicConstraints).value
    except ExtensionNotFound as error:
        if error.oid == x509.KeyUsage.oid:
            raise CertificateRefused("purpose", "no key usage") from None
        return
    if constraints.ca:
        raise CertificateRefused("purpose", "authority")


def _policies(certificate: x509.Certificate) -> set[str]:
    try:
        found = certificate.extensions.get_extension_for_class(x509.CertificatePolicies).value
    except ExtensionNotFound:
        return set()
    return {one.policy_identifier.dotted_string for one in found}


_AUTHORITY = ExtensionPolicy.webpki_defaults_ca()
