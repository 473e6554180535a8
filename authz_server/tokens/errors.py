"""Why a token was refused. What a peer is told is the same for all causes; `detail` is for the log."""

from authz_server.core.errors import DomainError
from authz_server.core.identifiers import acr_of_level


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


class AuthenticationNotSufficient(DomainError):
    """RFC 9470 section 3: the dataset demands a higher level by now than the citizen's sign-in had at the consent.

    The token stays as it is; the client asks for a new consent, with these `acr_values`.
    """

    code = "insufficient_user_authentication"
    public = "A different authentication level is required."

    def __init__(self, needed_level: int) -> None:
        super().__init__("the dataset's level was raised after the consent")
        self.acr_values = acr_of_level(needed_level)


class LeaseNotUsable(DomainError):
    """The lease is unknown, over, or its consent no longer stands: nothing more may be sent."""

    code = "lease_not_usable"
    public = "The lease is not usable. Send nothing more."
