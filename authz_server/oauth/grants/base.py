"""What grants have in common: the client authenticates first, and may use the grant."""

from authlib.oauth2.rfc6749.grants import BaseGrant, TokenEndpointMixin
from flask import request as http_request

from authz_server.oauth.errors import UnauthorizedClient


class ClientGrant(BaseGrant, TokenEndpointMixin):  # type: ignore[misc]  # Authlib has no types
    """A grant for clients that authenticate and that the grant type is registered for."""

    def validate_token_request(self) -> None:
        """Authenticate.  Raises: InvalidClient, UnauthorizedClient."""
        self.request.client = self.server.authenticate_client(self.request)
        if not self.client.check_grant_type(self.GRANT_TYPE):
            raise UnauthorizedClient


class SenderConstrainedGrant(ClientGrant):
    """A grant whose tokens are bound to the key of a DPoP proof (RFC 9449 section 5)."""

    def validate_token_request(self) -> None:
        """Authenticate, then verify the proof.  Raises: InvalidClient, UnauthorizedClient, and as of the proof."""
        super().validate_token_request()
        self.proof = self.server.dpop.verify(http_request)
