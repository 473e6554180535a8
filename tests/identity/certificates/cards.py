"""A server that trusts one authority, whose lists are on a real socket, and the cards of its citizens."""

import base64
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from io import BytesIO
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ObjectIdentifier
from werkzeug.test import TestResponse

from authz_server.certificate_settings import CertificateSettings
from authz_server.config import Settings
from authz_server.identity.certificates import client_cert
from tests.support.platform import CitizenBrowser, hidden_fields

from . import pki
from .responder import Shelf, serving

SECRET = "h" * 43
TLS_URL = "https://mydata.example:8443"
_DIRECTORY = ObjectIdentifier("2.5.29.9")
# SEQUENCE { SEQUENCE { 2.16.886.1.100.2.51, SET { PrintableString of 4 } } }
_TAIL = bytes.fromhex("3013301106076086760164023331061304")


@dataclass
class Authority:
    """Issues cards whose list is on the shelf at /crl."""

    shelf: Shelf
    root: pki.Holder = field(default_factory=pki.root)

    def __post_init__(self) -> None:
        self.shelf.answers["/crl"] = pki.crl(self.root)

    def card(self, name: str = "測試市民甲", tail: str | None = "6789", **changes: Any) -> pki.Holder:
        """The card of citizen1, but for the changes."""

        def more(builder: pki.Builder) -> pki.Builder:
            if tail is None:
                return builder
            attributes = x509.UnrecognizedExtension(_DIRECTORY, _TAIL + tail.encode())
            return builder.add_extension(attributes, critical=False)

        given: dict[str, Any] = {"issuer": self.root, "crl_url": self.shelf.url("/crl"), "more": more}
        return pki.issue(name, **(given | changes))

    def revoke(self, *cards: pki.Holder) -> None:
        """Put the cards on the list."""
        self.shelf.answers["/crl"] = pki.crl(self.root, *(card.certificate for card in cards))


@contextmanager
def trusted() -> Iterator[Authority]:
    """An authority whose shelf is served until the block ends."""
    with serving() as shelf:
        yield Authority(shelf)


def trusting(settings: Settings, authority: Authority, folder: Path, **changes: Any) -> Settings:
    """Settings of a server that trusts the authority; a password is worth level 3."""
    (folder / "anchors.pem").write_bytes(authority.root.pem)
    (folder / "hop-secret").write_text(SECRET + "\n")
    certificate = CertificateSettings(
        anchors_file=folder / "anchors.pem", tls_url=TLS_URL, hop_secret_file=folder / "hop-secret"
    )
    return replace(
        settings,
        method_levels={"certificate": 1, "password_totp": 3},
        allowed_outbound_hosts=tuple(authority.shelf.allowed),
        certificate=replace(certificate, **changes),
    )


def text_of(page: TestResponse) -> str:
    """The text to sign that a page shows."""
    found = re.search(r'id="text">([^<]+)<', page.text)
    assert found is not None, page.text
    return found[1]


@dataclass
class Signing:
    """A browser, and what makes signatures beside it."""

    citizen: CitizenBrowser
    folder: Path

    def ask(self, query: str = "?method=certificate") -> TestResponse:
        """Open the sign-in page and get a text to sign."""
        page = self.citizen.client.get(f"/sign-in{query}")
        return self.citizen.client.post("/sign-in/certificate/challenge", data=hidden_fields(page.text))

    def sign(self, page: TestResponse, card: pki.Holder, **changes: Any) -> bytes:
        """Sign the page's text by OpenSSL."""
        return pki.sign_with_openssl(self.folder, card, text_of(page).encode(), **changes)

    def hand_in(self, page: TestResponse, signature: bytes, path: str = "/sign-in/certificate") -> TestResponse:
        """Upload a signature into the form of a page."""
        form: dict[str, Any] = hidden_fields(page.text) | {"action": "sign-in", "step": "add"}
        return self.citizen.client.post(path, data=form | {"signature": (BytesIO(signature), "signature.p7s")})

    def paste(self, page: TestResponse, signature: bytes) -> TestResponse:
        """Paste a signature into the form of a page, as base64."""
        form = hidden_fields(page.text) | {"action": "sign-in", "pasted": base64.encodebytes(signature).decode()}
        return self.citizen.client.post("/sign-in/certificate", data=form)

    def sign_in(self, card: pki.Holder, query: str = "?method=certificate") -> TestResponse:
        """The whole way."""
        page = self.ask(query)
        return self.hand_in(page, self.sign(page, card))


def connection(card: pki.Holder | None, secret: str = SECRET) -> Mapping[str, str]:
    """The header that a proxy sets which asked a browser for its certificate."""
    if card is None:
        return {client_cert.HOP: secret}
    encoded = base64.b64encode(card.certificate.public_bytes(Encoding.DER)).decode()
    return {client_cert.HOP: f"{secret} :{encoded}:"}
