"""The authority: a root, an issuing authority below it, a responder, and a register of what was issued, in one folder.

    root.pem       what a server has to trust           issuing.pem    what stands between it and a card
    *.key          private keys, mode 0600              issued.json    number, name, and since when revoked
    cards/         a card each: .p12 with a password, and .pem without the key

Lists follow RFC 5280 section 5, answers RFC 6960.
"""

import json
import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
    pkcs12,
)
from cryptography.x509 import ocsp

from .certificates import Office, authority, card, issue, responder

AUTHORITY_DAYS, CARD_DAYS, RESPONDER_DAYS = 3650, 365, 90
LIST_DAYS = 1


@dataclass(frozen=True)
class Card:
    """A citizen's certificate with its key, as PKCS #12 under a password."""

    certificate: x509.Certificate
    file: Path


class Authority:
    """What lies in the folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root, self.issuing, self.responder = (_load(folder, name) for name in ("root", "issuing", "responder"))

    @classmethod
    def create(cls, folder: Path, url: str) -> Self:
        """Make an authority, or take the one that is there. Args: url: where its lists and answers will be served."""
        if (folder / "root.pem").exists():
            return cls(folder)
        (folder / "cards").mkdir(parents=True, exist_ok=True)
        root = issue("Sandbox Root CA", None, authority(path_length=1), days=AUTHORITY_DAYS)
        issuing = issue("Sandbox Citizen CA", root, authority(0, crl_url=f"{url}/root.crl"), days=AUTHORITY_DAYS)
        answers = issue("Sandbox OCSP Responder", issuing, responder, days=RESPONDER_DAYS)
        for name, office in (("root", root), ("issuing", issuing), ("responder", answers)):
            _write(folder, name, office)
        (folder / "url").write_text(url)
        (folder / "issued.json").write_text("{}")
        return cls(folder)

    @property
    def url(self) -> str:
        """Where lists and answers are served."""
        return (self.folder / "url").read_text()

    def issue(self, file_name: str, name: str, *, id_tail: str, password: str) -> Card:
        """A card for a citizen: `cards/<file_name>.p12` and the certificate alone beside it."""
        made = issue(name, self.issuing, card(self.url, id_tail), days=CARD_DAYS)
        encryption = BestAvailableEncryption(password.encode())
        packed = pkcs12.serialize_key_and_certificates(
            name.encode(), made.key, made.certificate, [self.issuing.certificate], encryption
        )
        path = self.folder / "cards" / f"{file_name}.p12"
        _write_private(path, packed)
        path.with_suffix(".pem").write_bytes(made.certificate.public_bytes(Encoding.PEM))
        self._note(made.certificate.serial_number, {"name": file_name, "revoked_at": None})
        return Card(made.certificate, path)

    def revoke(self, serial_number: int) -> None:
        """Revoke a card from now on.  Raises: KeyError."""
        self._note(serial_number, self._issued()[f"{serial_number:x}"] | {"revoked_at": datetime.now(UTC).isoformat()})

    def crl(self, of: str) -> bytes:
        """The list of `root` or `issuing`, signed now."""
        office = self.root if of == "root" else self.issuing
        now = datetime.now(UTC).replace(microsecond=0)
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(office.certificate.subject)
            .last_update(now)
            .next_update(now + timedelta(days=LIST_DAYS))
            .add_extension(x509.CRLNumber(int(now.timestamp())), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(office.key.public_key()), critical=False)
        )
        if of == "issuing":
            for number, about in self._issued().items():
                if about["revoked_at"]:
                    entry = x509.RevokedCertificateBuilder().serial_number(int(number, 16))
                    since = datetime.fromisoformat(about["revoked_at"])
                    builder = builder.add_revoked_certificate(entry.revocation_date(since).build())
        return builder.sign(office.key, hashes.SHA256()).public_bytes(Encoding.DER)

    def answer(self, question: bytes) -> bytes:
        """The answer to a question about a card, in DER (RFC 6960 section 2.3)."""
        try:
            asked = ocsp.load_der_ocsp_request(question)
            about = self._issued().get(f"{asked.serial_number:x}")
            built = self._built(asked, about)
        except ValueError:
            built = ocsp.OCSPResponseBuilder.build_unsuccessful(ocsp.OCSPResponseStatus.MALFORMED_REQUEST)
        return built.public_bytes(Encoding.DER)

    def _built(self, asked: ocsp.OCSPRequest, about: dict[str, Any] | None) -> ocsp.OCSPResponse:
        now = datetime.now(UTC).replace(microsecond=0)
        since = datetime.fromisoformat(about["revoked_at"]) if about and about["revoked_at"] else None
        status = ocsp.OCSPCertStatus.UNKNOWN if about is None else ocsp.OCSPCertStatus.GOOD
        builder = (
            ocsp.OCSPResponseBuilder()
            .add_response_by_hash(
                issuer_name_hash=asked.issuer_name_hash,
                issuer_key_hash=asked.issuer_key_hash,
                serial_number=asked.serial_number,
                algorithm=asked.hash_algorithm,
                cert_status=ocsp.OCSPCertStatus.REVOKED if since else status,
                this_update=now,
                next_update=now + timedelta(minutes=10),
                revocation_time=since,
                revocation_reason=None,
            )
            .responder_id(ocsp.OCSPResponderEncoding.HASH, self.responder.certificate)
            .certificates([self.responder.certificate])
        )
        for extension in asked.extensions:
            if isinstance(extension.value, x509.OCSPNonce):  # RFC 9654: it comes back as it came
                builder = builder.add_extension(extension.value, critical=False)
        return builder.sign(self.responder.key, hashes.SHA256())

    def _issued(self) -> dict[str, dict[str, Any]]:
        issued: dict[str, dict[str, Any]] = json.loads((self.folder / "issued.json").read_text())
        return issued

    def _note(self, serial_number: int, about: dict[str, Any]) -> None:
        fresh = self.folder / "issued.json.new"
        fresh.write_text(json.dumps(self._issued() | {f"{serial_number:x}": about}, ensure_ascii=False, indent=1))
        fresh.replace(self.folder / "issued.json")


def _load(folder: Path, name: str) -> Office:
    key = load_pem_private_key((folder / f"{name}.key").read_bytes(), None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError(f"{name}.key: not a key of an elliptic curve")
    return Office(x509.load_pem_x509_certificate((folder / f"{name}.pem").read_bytes()), key)


def _write(folder: Path, name: str, office: Office) -> None:
    pem = office.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    _write_private(folder / f"{name}.key", pem)
    (folder / f"{name}.pem").write_bytes(office.certificate.public_bytes(Encoding.PEM))


def _write_private(path: Path, content: bytes) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)
