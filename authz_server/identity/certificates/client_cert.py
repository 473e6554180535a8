"""The certificate of a TLS connection, as the proxy that ended the connection hands it over, after RFC 9440.

Whoever can set such a header can be anybody. So the certificate stands behind a secret that the proxy shares with us,
in one header with it: two headers could come from two senders. `X_Client_Cert_Hop`, which not every proxy drops, is the
same name to an application as the one with hyphens (CGI, RFC 3875 section 4.1.18), and takes its place as a whole.
"""

import base64
import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import unquote_to_bytes

from cryptography import x509

from authz_server.core import secrets
from authz_server.identity.certificates.errors import UNREADABLE, CertificateRefused
from authz_server.identity.certificates.trust import MAX_CERTIFICATES, Presented, parse

HOP: Final = "X-Client-Cert-Hop"  # the secret, a space, and the certificate if there is one
MAX_CHARACTERS: Final = 32 * 1024
MIN_SECRET_CHARACTERS: Final = 32

# RFC 8941 section 3.3.5: a byte sequence; in a list with no parameters, as RFC 9440 section 2.3 has it.
_BYTES: Final = re.compile(r":([A-Za-z0-9+/]*={0,2}):")


def is_trusted(headers: Mapping[str, str], *, hop_secret: str | None) -> bool:
    """Tell whether these headers come from the proxy that asks browsers for certificates."""
    secret, _ = _parts(headers)
    return hop_secret is not None and secrets.equal(secret, hop_secret)


def read(headers: Mapping[str, str], *, hop_secret: str | None) -> Presented | None:
    """The certificate of the connection, whose key was proved in its handshake, from a trusted proxy;
    None if it handed over none, or is not trusted.

    Args: hop_secret: what the proxy proves itself by; None: nobody is trusted.
    Raises: CertificateRefused if what a trusted proxy sent can't be read.
    """
    if not is_trusted(headers, hop_secret=hop_secret):
        return None
    _, shown = _parts(headers)
    if len(shown) > MAX_CHARACTERS:
        raise CertificateRefused("malformed", "size")
    if not shown:
        return None
    # nginx has the certificate as PEM, percent-encoded, and no way to write it otherwise without scripts.
    if not shown.startswith(":"):
        return Presented(certificate=_from_pem(shown))
    items = [item.strip(" \t") for item in shown.split(",")]
    if len(items) > 1 + MAX_CERTIFICATES:
        raise CertificateRefused("malformed", "certificates")
    certificate, *others = parse(_octets(item) for item in items)
    return Presented(certificate=certificate, others=tuple(others))


def _parts(headers: Mapping[str, str]) -> tuple[str, str]:
    secret, _, shown = headers.get(HOP, "").partition(" ")
    return secret, shown.strip(" ")


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
