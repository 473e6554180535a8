"""Why a certificate does not count."""

import warnings
from typing import Literal, get_args

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.utils import CryptographyDeprecationWarning
from cryptography.x509 import DuplicateExtension, InvalidVersion, UnsupportedGeneralNameType

from authz_server.core.errors import DomainError

# For the record and for pages, which say it in words; the list is closed.
Reason = Literal[
    "malformed",  # not what it should be at all
    "algorithm",  # a digest, signature or key that we do not take
    "wrong_challenge",  # signed something, but not what we asked for
    "wrong_signature",
    "untrusted",  # no way up to an anchor
    "expired",  # or not valid yet
    "purpose",  # key usage, policies: not made for this
    "revoked",
]
REASONS: tuple[Reason, ...] = get_args(Reason)

# What `cryptography` raises over octets that are no certificate, list, answer or message, or one of a kind it lacks.
UNREADABLE = (
    ValueError,
    TypeError,
    DuplicateExtension,
    InvalidVersion,
    UnsupportedAlgorithm,
    UnsupportedGeneralNameType,
    CryptographyDeprecationWarning,
)
# What its next version will refuse is refused now (RFC 5280 section 4.1.2.2): a warning would be a line in the log.
warnings.filterwarnings("error", "Parsed a serial number", CryptographyDeprecationWarning)


class CertificateRefused(DomainError):
    """The certificate or the signature is not good enough, and asking again will not help."""

    code = "certificate_refused"
    public = "The certificate was not accepted."

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(detail or reason)
        self.reason: Reason = reason


class StatusUnknown(DomainError):
    """Whether the certificate is revoked could not be found out now: it does not count, but may in a minute."""

    code = "temporarily_unavailable"
    public = "The status of the certificate could not be found out. Try again in a minute."
    retry_after_s = 60
