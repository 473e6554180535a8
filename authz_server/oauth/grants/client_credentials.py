"""Client credentials (RFC 6749 section 4.4): a client's own access to Grant Management, and to nothing else."""

from typing import Any

from authz_server.clients import standing
from authz_server.core import clock
from authz_server.extensions import services
from authz_server.oauth import client_access, dpop
from authz_server.oauth.errors import InvalidClient, InvalidScope
from authz_server.oauth.grants.base import SenderConstrainedGrant
from authz_server.prepared import lone_connection


class ClientCredentialsGrant(SenderConstrainedGrant):
    """Authenticate, verify the proof, issue; nobody's data is opened by it."""

    GRANT_TYPE = "client_credentials"

    def create_token_response(self) -> tuple[int, dict[str, Any], list[tuple[str, str]]]:
        now = clock.now()
        asked = dict.fromkeys((self.request.payload.find("scope") or "").split(" "))  # none: RFC 6749 section 3.3
        if not asked.keys() <= set(client_access.SCOPES):
            raise InvalidScope
        spend = [self.client.identifier, dpop.identifier(self.proof)]
        with lone_connection() as connection:
            if not standing.check(connection, self.client.client_id, spend=spend):
                raise InvalidClient("suspended a moment ago")
        scope = " ".join(asked)
        token = client_access.issue(services(), self.client.client_id, scope=scope, jkt=self.proof.jkt, now=now)
        return 200, {"access_token": token, "token_type": "DPoP", "expires_in": client_access.TTL_S, "scope": scope}, []
