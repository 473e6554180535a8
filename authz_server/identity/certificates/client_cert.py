"""The certificate of a TLS connection, as the proxy that ended the connection hands it over (RFC 9440).

Whoever can set these headers can be anybody. So they are read only where the proxy has proved itself by a secret that
it shares with us, and that it sends along; the proxy replaces what the browser sent under these names.
"""

import base64
import re
from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import unquote_to_bytes

from cryptography import x509

from authz_server.core import secrets
from authz_server.identity.certificates.errors import UNREADABLE, CertificateRefused
from authz_server.identity.certificates.trust import MAX_CERTIFICATES, Presented, parse

CERTIFICATE: Final = "Client-Cert"
CHAIN: Final = "Client-Cert-Chain"
# nginx has the certificate as PEM, percent-encoded ($ssl_client_escaped_cert), and no way to write it otherwise without
# scripts. A name of its own, because it is not what RFC 9440 puts under `Client-Cert`.
ESCAPED_PEM: Final = "X-Client-Cert-Escaped"
HOP: Final = "X-Client-Cert-Hop"
MAX_CHARACTERS: Final = 32 * 1024
MIN_SECRET_CHARACTERS: Final = 32

# RFC 8941 section 3.3.5: a byte sequence; in a list with no parameters, as RFC 9440 section 2.3 has it.
_BYTES: Final = re.compile(r":([A-Za-z0-9+/]*={0,2}):")


def is_trusted(headers: Mapping[str, str], *, hop_secret: str | None) -> bool:
    """Tell whether these headers come from the proxy that asks browsers for certificates."""
    return hop_secret is not None and secrets.equal(headers.get(HOP, ""), hop_secret)


def read(headers: Mapping[str, str], *, hop_secret: str | None) -> Presented | None:
    """The certificate of the connection, whose key was proved in its handshake, from a trusted proxy;
    None if it handed over none, or is not trusted.

    Args: hop_secret: what the proxy proves itself by; None: nobody is trusted.
    Raises: CertificateRefused if what a trusted proxy sent can't be read.
    """
    if not is_trusted(headers, hop_secret=hop_secret):
        return None
    encoded, escaped = headers.get(CERTIFICATE, ""), headers.get(ESCAPED_PEM, "")
    chain = headers.get(CHAIN, "")
    if len(encoded) + len(escaped) + len(chain) > MAX_CHARACTERS:
        raise CertificateRefused("malformed", "size")
    if encoded and escaped:
        raise CertificateRefused("malformed", "two certificates")
    if escaped:
        return Presented(certificate=_from_pem(escaped))
    if not encoded:
        return None
    (certificate,) = parse([_octets(encoded.strip(" "))])
    return Presented(certificate=certificate, others=tuple(parse(_list(chain))))


def _list(value: str) -> Sequence[bytes]:
    items = [item.strip(" \t") for item in value.split(",")] if value.strip() else []
    if len(items) > MAX_CERTIFICATES:
        raise CertificateRefused("malformed", "certificates")
    return [_octets(item) for item in items]


def _octets(item: str) -> bytes:
    found = _BYTES.fullmatch(item)
    try:
        return base64.b64decode(found[1], validate=True) if found else b""
    except UNREADABLE:
        raise CertificateRefused("malformed", "base64") from None


def _from_pem(escaped: str) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(unquote_to_bytes(escaped))
    except UNREADABLE:
        raise CertificateRefused("malformed", "PEM") from None
