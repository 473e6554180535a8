"""Authorities and cards for tests: right ones by default, and wrong in any way that a test asks for."""

import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from math import gcd
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID, NameOID

Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
Builder = x509.CertificateBuilder
ListBuilder = x509.CertificateRevocationListBuilder
NOW = datetime(2026, 11, 28, 4, tzinfo=UTC)
DAY = timedelta(days=1)

SIGN = "digital_signature"
AUTHORITY = ("key_cert_sign", "crl_sign")
_USAGES = (
    "digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
    "key_cert_sign", "crl_sign", "encipher_only", "decipher_only",
)  # fmt: skip


def usage(*names: str) -> x509.KeyUsage:
    return x509.KeyUsage(**{name: name in names for name in _USAGES})


@cache
def rsa_key(bits: int = 2048) -> rsa.RSAPrivateKey:
    """One for all tests, for they take long to make."""
    return rsa.generate_private_key(65537, bits)


@cache
def slow_key(bits: int, exponent_bits: int) -> rsa.RSAPrivateKey:
    """A right one by which signatures are slow to verify, for its public exponent is long."""
    usual = rsa_key(bits).private_numbers()
    p, q = usual.p, usual.q
    order = (p - 1) * (q - 1)
    exponent = (1 << exponent_bits - 1) + 1
    while gcd(exponent, order) > 1:
        exponent += 2
    d = pow(exponent, -1, order)
    public = rsa.RSAPublicNumbers(exponent, p * q)
    return rsa.RSAPrivateNumbers(p, q, d, d % (p - 1), d % (q - 1), usual.iqmp, public).private_key()


def ec_key(curve: ec.EllipticCurve | None = None) -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(curve or ec.SECP256R1())


@dataclass(frozen=True)
class Holder:
    """A certificate with its key, and who issued it."""

    certificate: x509.Certificate
    key: Key
    issuer: "Holder | None" = None

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    def chain(self) -> list[x509.Certificate]:
        """From this one to the root."""
        return [self.certificate, *(self.issuer.chain() if self.issuer else [])]

    def write(self, folder: Path, name: str) -> tuple[Path, Path]:
        """The certificate and the key as PEM files."""
        certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
        certificate.write_bytes(self.pem)
        key.write_bytes(self.key_pem)
        return certificate, key


def name(common_name: str) -> x509.Name:
    return x509.Name(
        [x509.NameAttribute(NameOID.COUNTRY_NAME, "TW"), x509.NameAttribute(NameOID.COMMON_NAME, common_name)]
    )


def issue(
    common_name: str,
    issuer: Holder | None,
    *,
    ca: bool | None = False,
    usages: Sequence[str] | None = (SIGN,),
    key: Key | None = None,
    valid: tuple[datetime, datetime] = (NOW - DAY, NOW + 365 * DAY),
    serial: int | None = None,
    path_length: int | None = None,
    crl_url: str | None = None,
    ocsp_url: str | None = None,
    hash_algorithm: hashes.SHA256 | hashes.SHA224 | None = None,
    more: Callable[[Builder], Builder] = lambda builder: builder,
) -> Holder:
    """A certificate; `issuer` None signs itself, `ca` and `usages` None leave the extension out."""
    key = key or ec_key()
    signs = issuer.key if issuer else key
    subject = name(common_name)
    builder = (
        Builder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(serial or x509.random_serial_number())
        .not_valid_before(valid[0])
        .not_valid_after(valid[1])
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signs.public_key()), critical=False)
    )
    if ca is not None:
        builder = builder.add_extension(x509.BasicConstraints(ca=ca, path_length=path_length), critical=True)
    if usages is not None:
        builder = builder.add_extension(usage(*usages), critical=True)
    if crl_url is not None:
        builder = builder.add_extension(crl_points(crl_url), critical=False)
    if ocsp_url is not None:
        at = x509.UniformResourceIdentifier(ocsp_url)
        access = x509.AccessDescription(AuthorityInformationAccessOID.OCSP, at)
        builder = builder.add_extension(x509.AuthorityInformationAccess([access]), critical=False)
    made = more(builder).sign(signs, hash_algorithm or hashes.SHA256())
    return Holder(made, key, issuer)


def root(common_name: str = "Root", *, key: Key | None = None) -> Holder:
    return issue(common_name, None, ca=True, usages=AUTHORITY, key=key)


def authority(
    issuer: Holder, common_name: str = "Issuing", *, path_length: int | None = 0, crl_url: str | None = None
) -> Holder:
    return issue(common_name, issuer, ca=True, usages=AUTHORITY, path_length=path_length, crl_url=crl_url)


def crl_points(url: str) -> x509.CRLDistributionPoints:
    point = x509.DistributionPoint([x509.UniformResourceIdentifier(url)], None, None, None)
    return x509.CRLDistributionPoints([point])


def crl(
    issuer: Holder,
    *revoked: x509.Certificate,
    key: Key | None = None,
    valid: tuple[datetime, datetime] = (NOW - DAY, NOW + DAY),
    hash_algorithm: hashes.SHA256 | hashes.SHA224 | None = None,
    more: Callable[[ListBuilder], ListBuilder] = lambda one: one,
) -> bytes:
    """A list of the issuer's, in DER."""
    builder = (
        ListBuilder()
        .issuer_name(issuer.certificate.subject)
        .last_update(valid[0])
        .next_update(valid[1])
        .add_extension(x509.CRLNumber(1), critical=False)
    )
    for one in revoked:
        entry = x509.RevokedCertificateBuilder().serial_number(one.serial_number).revocation_date(valid[0])
        builder = builder.add_revoked_certificate(entry.build())
    signed = more(builder).sign(key or issuer.key, hash_algorithm or hashes.SHA256())
    return signed.public_bytes(Encoding.DER)


def ocsp_answer(
    asked: bytes | ocsp.OCSPRequest,
    card: Holder,
    *,
    responder: Holder | None = None,
    status: ocsp.OCSPCertStatus = ocsp.OCSPCertStatus.GOOD,
    valid: tuple[datetime, datetime | None] = (NOW, NOW + DAY),
    nonce: bool | bytes = True,
    about: x509.Certificate | None = None,
    by_key: bool = True,
    hash_algorithm: hashes.SHA256 | hashes.SHA224 | None = None,
) -> bytes:
    """What a responder says of a card: `responder` None: its issuer; `nonce`: the asked one, none, or another."""
    request = ocsp.load_der_ocsp_request(asked) if isinstance(asked, bytes) else asked
    assert card.issuer is not None
    signer = responder or card.issuer
    builder = ocsp.OCSPResponseBuilder().add_response(
        cert=about or card.certificate,
        issuer=card.issuer.certificate,
        algorithm=request.hash_algorithm,
        cert_status=status,
        this_update=valid[0],
        next_update=valid[1],
        revocation_time=valid[0] if status is ocsp.OCSPCertStatus.REVOKED else None,
        revocation_reason=None,
    )
    encoding = ocsp.OCSPResponderEncoding.HASH if by_key else ocsp.OCSPResponderEncoding.NAME
    builder = builder.responder_id(encoding, signer.certificate)
    if responder is not None:
        builder = builder.certificates([responder.certificate])
    if nonce is True:
        builder = builder.add_extension(request.extensions.get_extension_for_class(x509.OCSPNonce).value, False)
    elif nonce:
        builder = builder.add_extension(x509.OCSPNonce(nonce), False)
    return builder.sign(signer.key, hash_algorithm or hashes.SHA256()).public_bytes(Encoding.DER)


def octets(der: bytes, signature: bytes) -> list[int]:
    """The places of a signed structure, but for the one that counts the unused bits of its signature.

    Where the signature happens to end with such bits, another count is another way to write the same.
    """
    return [place for place in range(len(der)) if place != der.rindex(signature) - 1]


def sign_with_openssl(
    folder: Path, holder: Holder, challenge: bytes, *options: str, form: str = "DER", others: Sequence[Holder] = ()
) -> bytes:
    """A signature as `openssl cms -sign` makes it, over exactly these octets."""
    certificate, key = holder.write(folder, "signer")
    (folder / "challenge").write_bytes(challenge)
    command = ["openssl", "cms", "-sign", "-binary", "-in", "challenge", "-outform", form]
    command += ["-signer", str(certificate), "-inkey", str(key), *options]
    if others:
        (folder / "others.pem").write_bytes(b"".join(one.pem for one in others))
        command += ["-certfile", "others.pem"]
    return subprocess.run(command, cwd=folder, capture_output=True, check=True).stdout
