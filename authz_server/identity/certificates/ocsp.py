"""The status of one certificate, as its issuer's responder says now (RFC 6960; nonce: RFC 9654)."""

import os
from collections.abc import Callable
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.x509 import ExtensionNotFound, ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, SignatureAlgorithmOID
from cryptography.x509.verification import Criticality, ExtensionPolicy, PolicyBuilder, Store, VerificationError

from authz_server.identity.certificates import algorithms
from authz_server.identity.certificates.crl import SKEW
from authz_server.identity.certificates.errors import UNREADABLE, StatusUnknown

NONCE_BYTES = 32  # RFC 9654 section 2.1
# An answer that does not say when the next one comes is about the moment at which it was given.
OLDEST_WITHOUT_NEXT = timedelta(minutes=5)
_MAX_CERTIFICATES = 8
_RSA = {
    SignatureAlgorithmOID.RSA_WITH_SHA256,
    SignatureAlgorithmOID.RSA_WITH_SHA384,
    SignatureAlgorithmOID.RSA_WITH_SHA512,
}


def urls(certificate: x509.Certificate) -> list[str]:
    """Where the certificate says its responder is."""
    try:
        access = certificate.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    except ExtensionNotFound:
        return []
    return [
        one.access_location.value
        for one in access
        if one.access_method == AuthorityInformationAccessOID.OCSP
        and isinstance(one.access_location, x509.UniformResourceIdentifier)
    ]


def question(certificate: x509.Certificate, issuer: x509.Certificate) -> ocsp.OCSPRequest:
    """A request about one certificate, with a fresh nonce."""
    return (
        ocsp.OCSPRequestBuilder()
        # Names the certificate, secures nothing; the one hash that every responder knows (RFC 5019 section 2.1.1).
        .add_certificate(certificate, issuer, hashes.SHA1())  # noqa: S303
        .add_extension(x509.OCSPNonce(os.urandom(NONCE_BYTES)), critical=False)
        .build()
    )


def check(
    octets: bytes,
    asked: ocsp.OCSPRequest,
    issuer: x509.Certificate,
    *,
    now: datetime,
    nonce_required: bool,
    check_responder: Callable[[x509.Certificate], None],
) -> bool:
    """Tell whether the certificate that was asked about is revoked.

    Args:
        octets: the answer, from the network. issuer: verified to have issued the certificate.
        nonce_required: refuse answers made beforehand; else they count while they are in force.
        check_responder: raises StatusUnknown for a responder's certificate that is revoked; for those that do not say
            that they need no such check.
    Raises: StatusUnknown.
    """
    try:
        answer = ocsp.load_der_ocsp_response(octets)
        if answer.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
            raise StatusUnknown(f"ocsp: {answer.response_status.name.lower()}")
        _check_signature(answer, issuer, now=now, check_responder=check_responder)
        _check_nonce(answer, asked, required=nonce_required)
        return _status(answer, asked, now)
    except UNREADABLE:
        raise StatusUnknown("ocsp: malformed") from None


def _check_signature(
    answer: ocsp.OCSPResponse,
    issuer: x509.Certificate,
    *,
    now: datetime,
    check_responder: Callable[[x509.Certificate], None],
) -> None:
    """RFC 6960 section 3.2, items 2 to 4."""
    responder = _responder(answer, issuer)
    hash_algorithm = answer.signature_hash_algorithm
    if hash_algorithm is None:
        raise StatusUnknown("ocsp: algorithm")
    rsa = answer.signature_algorithm_oid in _RSA
    parameters: algorithms.Parameters = padding.PKCS1v15() if rsa else ec.ECDSA(hash_algorithm)
    if not algorithms.check(
        responder.public_key(), answer.signature, answer.tbs_response_bytes, parameters, hash_algorithm
    ):
        raise StatusUnknown("ocsp: signature")
    if responder != issuer:
        _check_delegated(responder, issuer, now)
        if not _needs_no_check(responder):
            check_responder(responder)


def _responder(answer: ocsp.OCSPResponse, issuer: x509.Certificate) -> x509.Certificate:
    """The certificate that the answer names as its signer's."""
    for one in (issuer, *answer.certificates[:_MAX_CERTIFICATES]):
        if answer.responder_name is not None and answer.responder_name == one.subject:
            return one
        if answer.responder_key_hash is not None:
            identifier = x509.SubjectKeyIdentifier.from_public_key(one.public_key()).digest
            if identifier == answer.responder_key_hash:
                return one
    raise StatusUnknown("ocsp: nobody we know")


def _check_delegated(responder: x509.Certificate, issuer: x509.Certificate, now: datetime) -> None:
    """RFC 6960 section 4.2.2.2: issued by this very issuer, for this."""
    policy = ExtensionPolicy.permit_all().require_present(x509.ExtendedKeyUsage, Criticality.AGNOSTIC, _signs_answers)
    verifier = (
        PolicyBuilder()
        .store(Store([issuer]))
        .time(now)
        .max_chain_depth(0)
        .extension_policies(ca_policy=ExtensionPolicy.webpki_defaults_ca(), ee_policy=policy)
        .build_client_verifier()
    )
    try:
        verifier.verify(responder, [])
    except VerificationError:
        raise StatusUnknown("ocsp: responder without authority") from None


def _signs_answers(_policy: object, _certificate: x509.Certificate, usage: x509.ExtendedKeyUsage) -> None:
    if ExtendedKeyUsageOID.OCSP_SIGNING not in usage:
        raise ValueError("extended key usage")


def _needs_no_check(responder: x509.Certificate) -> bool:
    try:
        responder.extensions.get_extension_for_class(x509.OCSPNoCheck)
    except ExtensionNotFound:
        return False
    return True


def _check_nonce(answer: ocsp.OCSPResponse, asked: ocsp.OCSPRequest, *, required: bool) -> None:
    ours = asked.extensions.get_extension_for_class(x509.OCSPNonce).value
    try:
        theirs = answer.extensions.get_extension_for_class(x509.OCSPNonce).value
    except ExtensionNotFound:
        if required:
            raise StatusUnknown("ocsp: no nonce") from None
        return
    if theirs != ours:
        raise StatusUnknown("ocsp: nonce of another request")


def _status(answer: ocsp.OCSPResponse, asked: ocsp.OCSPRequest, now: datetime) -> bool:
    for one in answer.responses:
        if _about(one) != _about(asked) or type(one.hash_algorithm) is not type(asked.hash_algorithm):
            continue
        if one.this_update_utc > now + SKEW:
            raise StatusUnknown("ocsp: from the future")
        over = one.next_update_utc or one.this_update_utc + OLDEST_WITHOUT_NEXT
        if now >= over:
            raise StatusUnknown("ocsp: not in force any more")
        if one.certificate_status is ocsp.OCSPCertStatus.UNKNOWN:
            raise StatusUnknown("ocsp: unknown to the responder")
        return one.certificate_status is ocsp.OCSPCertStatus.REVOKED
    raise StatusUnknown("ocsp: about another certificate")


def _about(one: ocsp.OCSPSingleResponse | ocsp.OCSPRequest) -> tuple[bytes, bytes, int]:
    return one.issuer_name_hash, one.issuer_key_hash, one.serial_number
