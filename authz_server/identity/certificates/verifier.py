"""All that decides about certificates in one deployment, read when the server starts."""

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Self, cast

from authz_server.certificate_settings import CertificateSettings
from authz_server.core.settings import of
from authz_server.identity.certificates import trust
from authz_server.identity.certificates.client_cert import MIN_SECRET_CHARACTERS
from authz_server.identity.certificates.revocation import Checker, Way
from authz_server.identity.certificates.trust import Chain, Presented, Trust


@dataclass(frozen=True, kw_only=True)
class Verifier:
    """Whom we trust and whom we ask. `hop_secret`: by what a proxy that hands over certificates proves itself."""

    trust: Trust
    checker: Checker
    hop_secret: str | None = field(default=None, repr=False)

    @classmethod
    def load(cls, settings: CertificateSettings, *, allowed_hosts: frozenset[str]) -> Self:
        """Read the files that the settings name.  Raises: SettingsError."""
        with of("certificate.anchors_file"):
            anchors = trust.load(settings.anchors_file)
        with of("certificate.intermediates_file"):
            intermediates = trust.load(settings.intermediates_file) if settings.intermediates_file else ()
        with of("certificate.hop_secret_file"):
            hop_secret = _secret(settings.hop_secret_file) if settings.hop_secret_file else None
        return cls(
            trust=Trust(anchors=anchors, intermediates=intermediates, policies=frozenset(settings.policies)),
            checker=Checker(
                ways=cast(tuple[Way, ...], settings.revocation),
                allowed_hosts=allowed_hosts,
                nonce_required=settings.nonce_required,
            ),
            hop_secret=hop_secret,
        )

    def chain(self, presented: Presented, *, now: datetime) -> Chain:
        """The way from the certificate up to an anchor.  Raises: CertificateRefused."""
        return self.trust.chain(presented.certificate, presented.others, now=now)

    def check(self, presented: Presented, *, now: datetime) -> None:
        """Return if the certificate leads up to an anchor and nobody on the way is revoked; asks the authorities.

        Raises: CertificateRefused, StatusUnknown.
        """
        self.checker.check(self.chain(presented, now=now), now=now)


def _secret(path: Path) -> str:
    secret = path.read_text(encoding="ascii").strip()
    if len(secret) < MIN_SECRET_CHARACTERS or len(secret.split()) > 1:
        raise ValueError(f"{path} must hold {MIN_SECRET_CHARACTERS} characters or more, and no space")
    return secret
