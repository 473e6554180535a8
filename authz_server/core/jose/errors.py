"""The three ways in which JOSE input is refused. `detail` names the check, never the value."""

from authz_server.core.errors import DomainError


class BadToken(DomainError):
    """A token that is malformed, wrongly signed, or made with what this purpose does not take."""

    code = "invalid_token"
    public = "The token is not valid."


class KeyNotFound(BadToken):
    """No key of the set has the `kid` of the token. A caller with a remote key set may fetch it again, once."""


class BadKey(DomainError):
    """A key, or a set of keys, that we refuse to use."""

    code = "invalid_request"
    public = "The key is not acceptable."
