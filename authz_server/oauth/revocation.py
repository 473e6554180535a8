"""Token revocation (RFC 7009): a client gives up a token that it was issued."""

from typing import Any

from authlib.oauth2.rfc6749.endpoint import Endpoint, EndpointRequest

from authz_server.core import clock
from authz_server.counter import clerks
from authz_server.extensions import services
from authz_server.oauth import client_access
from authz_server.oauth.errors import UnsupportedTokenType
from authz_server.oauth.params import FormRequest
from authz_server.prepared import lone_connection
from authz_server.tokens import access_tokens, dataset_tokens


class RevocationEndpoint(Endpoint):  # type: ignore[misc]  # Authlib has no types
    """Answers 200 for tokens that are unknown or another client's: they are of no use to this client either way."""

    ENDPOINT_NAME = "revocation"

    def validate_request(self, request: FormRequest) -> EndpointRequest:
        request.client = self.server.authenticate_client(request)
        return EndpointRequest(request, request.client)

    def create_response(self, validated_request: EndpointRequest) -> tuple[int, dict[str, Any], list[tuple[str, str]]]:
        payload, client = validated_request.request.payload, validated_request.client
        token = payload.get("token")
        # The prefix is part of the token, so it says in which of the tables it would be, whatever the hint says: a
        # wrong one has no influence (RFC 7009 sections 2.1 and 2.2).
        kinds = {
            access_tokens.PREFIX: access_tokens.revoke,
            dataset_tokens.PREFIX: dataset_tokens.revoke,
            clerks.PREFIX: clerks.end,
        }
        revoke = next((kinds[prefix] for prefix in kinds if token.startswith(prefix)), None)
        if revoke is None and payload.find("token_type_hint") == "refresh_token":
            raise UnsupportedTokenType  # there are none, so this is somebody else's
        if revoke is None and client_access.is_good(services(), token, client.client_id):
            raise UnsupportedTokenType  # nobody keeps these: it stays good for its five minutes
        revoke = revoke or access_tokens.revoke  # which finds none, and spends the assertion as for any other
        with lone_connection() as connection:
            revoke(connection, token, client_id=client.client_id, spend=[client.identifier], now=clock.now())
        return 200, {}, []
