"""Why a request or a code can't be used. A peer is told the same for all causes; `detail` is for the log."""

from authz_server.core.errors import DomainError


class RequestNotUsable(DomainError):
    """The authorization request is unknown, expired, decided, or another client's (RFC 9126 section 4)."""

    code = "invalid_request_uri"
    public = "invalid_request_uri"


class RequestNotPushed(RequestNotUsable):
    """There is no request_uri of ours: the client has left out the pushed request (RFC 9126 section 5)."""


class WrongCitizen(DomainError):
    """Another citizen has begun to read this request."""

    code = "access_denied"
    public = "This request was opened by somebody else."


class IdentityNotSufficient(DomainError):
    """The session's level is too low, or the sign-in too old, for what is asked (OpenID Connect Core 3.1.2.1)."""

    code = "login_required"
    public = "A stronger or a fresh sign-in is needed."


class NoSuchConsent(DomainError):
    """Nothing that could be ended or looked at under this number."""

    code = "not_found"
    public = "There is no such consent, or it has ended."


class NeverSent(DomainError):
    """No request to an agency has this id."""

    code = "not_found"
    public = "No request with this id was sent to an agency."


class ErasureSettled(DomainError):
    """The citizen did not ask, or was answered otherwise before."""

    code = "erasure_settled"
    public = "The citizen did not ask for it, or another answer was given before."


class CodeNotUsable(DomainError):
    """RFC 6749 section 5.2: unknown, expired, used, another client's, or the wrong verifier."""

    code = "invalid_grant"
    public = "The authorization code is not usable."


class CodeReplayed(CodeNotUsable):
    """The code was redeemed before: what it was exchanged for must be revoked (RFC 6749 section 4.1.2)."""


class DatasetGone(CodeNotUsable):
    """The catalogue has one of the granted datasets no longer; nothing is spent."""


class WrongProofKey(DomainError):
    """RFC 9449 section 10: the code was bound to another key when its request was pushed."""

    code = "invalid_dpop_proof"
    public = "The DPoP proof is not by the key that the request was bound to."
