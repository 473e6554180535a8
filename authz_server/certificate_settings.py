"""The table `[certificate]` of the settings: whose citizen certificates count, and how they come here."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from authz_server.core import settings

WAYS = ("ocsp", "crl")
_OBJECT_IDENTIFIER = re.compile(r"[0-2](\.(0|[1-9]\d*))+", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class CertificateSettings:
    """Files are read when the server starts, not here."""

    anchors_file: Path  # PEM: the authorities that are trusted
    intermediates_file: Path | None = None  # PEM: authorities below them, for certificates that come without
    policies: tuple[str, ...] = ()  # object identifiers, one of which must hold; none: any
    on_card: bool = False  # these authorities issue to chip cards only, whose keys a PIN opens
    revocation: tuple[str, ...] = WAYS  # in this order, what a certificate names and what answers
    nonce_required: bool = False  # refuse answers of OCSP that were made beforehand
    tls_url: str | None = None  # where a proxy asks browsers for their certificate
    hop_secret_file: Path | None = None  # by which that proxy proves itself


def read(value: Any, base: Path) -> CertificateSettings:
    """The table.  Raises: ValueError or TypeError, with all that is wrong."""
    return settings.inner_table(CertificateSettings, value, READERS, base=base)


def contradictions(parsed: CertificateSettings | None, *, issuer: str) -> list[str]:
    """What is wrong with how a proxy hands over certificates of TLS connections."""
    if parsed is None:
        return []
    problems = []
    if (parsed.tls_url is None) != (parsed.hop_secret_file is None):
        problems.append("certificate.tls_url, certificate.hop_secret_file: both or neither")
    if parsed.tls_url is not None:
        url, ours = urlsplit(parsed.tls_url), urlsplit(issuer)
        # The browser comes with its cookies, which are for this host, at all ports (RFC 6265 section 8.5).
        if url.scheme != "https" or url.hostname != ours.hostname or url.netloc == ours.netloc or url.path:
            problems.append("certificate.tls_url: must be https, of the issuer's host, at another port, without a path")
    return problems


def _ways(value: Any, base: Path) -> tuple[str, ...]:
    ways = settings.texts(value, base)
    if not ways or len(set(ways)) < len(ways) or not set(ways) <= set(WAYS):
        raise ValueError("must be ocsp, crl or both, in the order in which they are tried")
    return ways


def _object_identifiers(value: Any, base: Path) -> tuple[str, ...]:
    found = settings.texts(value, base)
    if not all(_OBJECT_IDENTIFIER.fullmatch(one) for one in found):
        raise ValueError("must be object identifiers, such as 2.16.886.1.100.0.3")
    return found


READERS: Mapping[str, settings.Reader] = {
    "anchors_file": settings.path,
    "intermediates_file": settings.path,
    "policies": _object_identifiers,
    "on_card": settings.boolean,
    "revocation": _ways,
    "nonce_required": settings.boolean,
    "tls_url": settings.url,
    "hop_secret_file": settings.path,
}
