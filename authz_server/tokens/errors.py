"""Why a token was refused. What a peer is told is the same for all causes; `detail` is for the log."""

from authz_server.core.errors import DomainError


class TokenNotUsable(DomainError):
    """RFC 8693 section 2.2.2: unknown, expired, spent, withdrawn, bound to another key: all alike."""

    code = "invalid_request"
    public = "The subject_token is not usable."


class TokenNotReady(DomainError):
    """The agency is still preparing; `retry_after_s` says how long to wait."""

    code = "temporarily_unavailable"
    public = "The data is still being prepared."

    def __init__(self, retry_after_s: int) -> None:
        super().__init__("asked before the time that the agency named")
        self.retry_after_s = retry_after_s


class LeaseNotUsable(DomainError):
    """The lease is unknown, over, or its consent no longer stands: nothing more may be sent."""

    code = "lease_not_usable"
    public = "The lease is not usable. Send nothing more."
