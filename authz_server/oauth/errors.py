"""Errors of the protocol edge, and the one table from domain errors to HTTP."""

from flask import Response, request

from authz_server.consent.correction import CorrectionSettled
from authz_server.consent.errors import CodeNotUsable, ErasureSettled, NeverSent, NoSuchConsent
from authz_server.core import dpop
from authz_server.core.dpop import BadProof
from authz_server.core.errors import DomainError
from authz_server.counter.errors import CopyNotAllowed, DeskLocked
from authz_server.oauth.responses import json_response
from authz_server.single_use.identifiers import AssertionReplayed, ProofReplayed
from authz_server.tokens.errors import AuthenticationNotSufficient, LeaseNotUsable, TokenNotReady
from authz_server.tokens.readiness import PreparationOver


class InvalidRequest(DomainError):
    """RFC 6749 section 5.2: a parameter is missing, malformed or doubled. `public` says which, from a closed list."""

    code = "invalid_request"
    public = "A parameter is missing, malformed or given twice."

    def __init__(self, description: str = "") -> None:
        super().__init__(description)
        if description:
            self.public = description  # type: ignore[misc]  # a constant of the code that raises, never input


class InvalidScope(InvalidRequest):
    """RFC 6749 section 5.2."""

    code = "invalid_scope"
    public = "A scope is unknown or not registered for this client."


class InvalidTarget(DomainError):
    """RFC 8693 section 2.2.2."""

    code = "invalid_target"
    public = "resource is not one of this platform's."


class RequestNotSupported(DomainError):
    """RFC 9101 section 7: what is asked for comes as parameters, not in a request object."""

    code = "request_not_supported"
    public = "Request objects are not supported."


class UnsupportedResponseType(DomainError):
    """RFC 6749 section 4.1.2.1."""

    code = "unsupported_response_type"
    public = "Only response_type code is supported."


class UnsupportedGrantType(DomainError):
    """RFC 6749 section 5.2."""

    code = "unsupported_grant_type"
    public = "This grant_type is not supported."


class UnsupportedTokenType(DomainError):
    """RFC 7009 section 2.2.1."""

    code = "unsupported_token_type"
    public = "Tokens of this type cannot be revoked."


class UnauthorizedClient(DomainError):
    """RFC 6749 section 5.2."""

    code = "unauthorized_client"
    public = "This client may not use this endpoint or grant."


class InvalidClient(DomainError):
    """RFC 6749 section 5.2. One text for all causes: no oracle about which clients exist."""

    code = "invalid_client"
    public = "Client authentication failed."


class InvalidToken(DomainError):
    """RFC 6750 section 3.1."""

    code = "invalid_token"
    public = "The access token is unknown, expired or revoked."


class TokenMissing(InvalidToken):
    """RFC 6750 section 3.1: without any credentials the challenge names no error."""

    public = "An access token is needed, with a DPoP proof."


class InsufficientScope(DomainError):
    """RFC 6750 section 3.1."""

    code = "insufficient_scope"
    public = "The access token was not granted the openid scope."


class UseDpopNonce(DomainError):
    """RFC 9449 section 8: the same request again, with the nonce of the answer."""

    code = "use_dpop_nonce"
    public = "The DPoP proof must carry the nonce of this answer."

    def __init__(self, nonce: str) -> None:
        super().__init__("no nonce, or an old one")
        self.nonce = nonce


class CodeMisused(CodeNotUsable):
    """A code in the wrong hands: another client's, or without its verifier. It is spent all the same."""


STATUS: dict[type[DomainError], int] = {
    InvalidClient: 401,
    AssertionReplayed: 401,
    InvalidToken: 401,
    InsufficientScope: 403,
    CopyNotAllowed: 403,
    NoSuchConsent: 404,
    NeverSent: 404,
    ErasureSettled: 409,
    CorrectionSettled: 409,
    PreparationOver: 409,
    LeaseNotUsable: 409,
}


def error_response(error: DomainError) -> Response:
    """The JSON answer of a back-channel endpoint (RFC 6749 section 5.2); 400 unless the table says otherwise."""
    status = next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), 400)
    body: dict[str, str | int] = {"error": error.code, "error_description": error.public}
    if isinstance(error, TokenNotReady | DeskLocked):
        body["retry_after"] = error.retry_after_s
    if isinstance(error, AuthenticationNotSufficient):
        # RFC 9470 section 3; here for the resource server, which says it to its client in a challenge.
        body["acr_values"] = error.acr_values
    response = json_response(body, status)
    if isinstance(error, TokenNotReady | DeskLocked):
        response.headers["Retry-After"] = str(error.retry_after_s)
    if isinstance(error, UseDpopNonce):
        response.headers["DPoP-Nonce"] = error.nonce
    if error.code == InvalidClient.code and request.headers.get("Authorization", "").lower().startswith("basic"):
        # RFC 6749 section 5.2: whoever tried a scheme is told that scheme, though no client of ours may use it.
        response.headers["WWW-Authenticate"] = 'Basic realm="clients"'
    return response


def challenge(error: DomainError, algorithms: tuple[str, ...]) -> Response:
    """The answer of a protected resource: status 401 or 403 with `WWW-Authenticate` (RFC 9449 section 7.1)."""
    response = error_response(error)
    if isinstance(error, InvalidToken | UseDpopNonce | BadProof | ProofReplayed):
        response.status_code = 401
    if isinstance(error, NoSuchConsent | ErasureSettled | InvalidRequest):
        return response  # no other token would open it
    named = None if isinstance(error, TokenMissing) else error
    response.headers["WWW-Authenticate"] = dpop.challenge(named, algorithms)
    return response
