"""Why a barcode can't be used at a desk. To a guesser all causes look alike; the citizen's page says which it was."""

from datetime import datetime

from authz_server.core.errors import DomainError


class BarcodeNotUsable(DomainError):
    """OpenID4VCI section 6.3: unknown, another office's, expired, used, replaced, stopped, or the wrong code."""

    code = "invalid_grant"
    public = "The barcode or its one-time code is not usable. The citizen's own page says why."


class DeskLocked(DomainError):
    """A desk has presented too many barcodes that were none; the code is that of RFC 8628 section 3.5."""

    code = "slow_down"
    public = "Too many barcodes were not usable here. Wait before the next."

    def __init__(self, until: datetime, *, now: datetime) -> None:
        super().__init__("the desk is locked")
        self.retry_after_s = max(1, round((until - now).total_seconds()))
