"""Client credentials (RFC 6749 section 4.4): a client's own access to Grant Management, and to nothing else."""

from typing import Any

from authlib.oauth2.rfc6749.grants import BaseGrant, TokenEndpointMixin
from flask import request as http_request

from authz_server.clients import standing
from authz_server.core import clock
from authz_server.extensions import services
from authz_server.oauth import client_access, dpop
from authz_server.oauth.errors import InvalidClient, InvalidScope, UnauthorizedClient
from authz_server.prepared import lone_connection


class ClientCredentialsGrant(BaseGrant, TokenEndpointMixin):  # type: ignore[misc]  # Authlib has no types
    """Authenticate, verify the proof, issue; nobody's data is opened by it."""

    GRANT_TYPE = "client_credentials"

    def validate_token_request(self) -> None:
        self.request.client = self.server.authenticate_client(self.request)
        if not self.client.check_grant_type(self.GRANT_TYPE):
            raise UnauthorizedClient
        self.proof = self.server.dpop.verify(http_request)

    def create_token_response(self) -> tuple[int, dict[str, Any], list[tuple[str, str]]]:
        now = clock.now()
        asked = dict.fromkeys(self.request.payload.get("scope").split(" "))
        if not asked.keys() <= set(client_access.SCOPES):
            raise InvalidScope
        spend = [self.client.identifier, dpop.identifier(self.proof)]
        with lone_connection() as connection:
            if not standing.check(connection, self.client.client_id, spend=spend):
                raise InvalidClient("suspended a moment ago")
        scope = " ".join(asked)
        token = client_access.issue(services(), self.client.client_id, scope=scope, jkt=self.proof.jkt, now=now)
        return 200, {"access_token": token, "token_type": "DPoP", "expires_in": client_access.TTL_S, "scope": scope}, []
