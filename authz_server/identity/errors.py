"""What may go wrong while somebody proves who they are."""

from datetime import datetime
from typing import ClassVar

from authz_server.catalogue.model import Text
from authz_server.core.errors import DomainError


class SignInRefused(DomainError):
    """Somebody was not let in. `reason` is for the record, from a closed list; pages tell less.

    `anomaly`: the event by which the citizen is told, besides the failure, if it is more than somebody's mistake.
    """

    code: ClassVar[str] = "sign_in_refused"
    public: ClassVar[str] = "The sign-in was not accepted."
    anomaly: ClassVar[str | None] = None

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class WrongCredentials(SignInRefused):
    """Unknown account, wrong secret, wrong or used code: one class, because the answer must not tell them apart.

    `told`: what the page says instead of the method's `refused`, where only who was asked learns anything from it.
    """

    def __init__(self, reason: str, told: Text | None = None) -> None:
        super().__init__(reason)
        self.told = told


class PasskeyCopied(SignInRefused):
    """The signature is right, but an older one has counted further: two devices have the key, or one counts wrongly."""

    anomaly = "anomaly.passkey_copied"


class CitizenSuspended(SignInRefused):
    """Every credential was right, but the operator has suspended the account; only its owner gets to read this."""

    public = "This account is suspended."


class AnotherCitizen(SignInRefused):
    """The proof was right, but it is not of whom the session and the request in it belong to."""


class SignInLocked(DomainError):
    """Too many failures; nothing was looked at, so the answer is the same for right and wrong credentials."""

    code = "sign_in_locked"
    public = "Too many failed attempts. Try again later."

    def __init__(self, until: datetime, *, everybody: bool = False) -> None:
        """Args: everybody: it is locked for all, because of what many did."""
        super().__init__("locked")
        self.until = until
        self.everybody = everybody


class PasswordHashingBusy(DomainError):
    """Too many people sign in at this moment, so that this one waited in vain; not their failure."""

    code = "temporarily_unavailable"
    public = "Too many sign-ins at this moment. Try again in a few seconds."
    retry_after_s: ClassVar[int] = 5


class MethodUnavailable(DomainError):
    """Another server that a method relies on does not answer; nobody's failure."""

    code = "temporarily_unavailable"
    public = "This way to sign in does not work at the moment. Try again later."
    retry_after_s: int = 60


class ShutOut(DomainError):
    """Since the request began, the session was ended or the account frozen or suspended: nothing may be changed."""

    code = "shut_out"
    public = "You are not signed in any more, or your account is frozen."


class LastMethod(DomainError):
    """Without this one the citizen could not come in any more."""

    code = "last_method"
    public = "This is your last way to sign in."


class AccountProblem(DomainError):
    """An account can't be made or found as the operator asked; `detail` says why, for the command line."""

    code = "account_problem"
    public = "The account could not be changed."
