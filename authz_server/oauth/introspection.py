"""Token introspection (RFC 7662): whether a dataset token could be spent now, for registered resource servers only."""

from typing import Any

from authlib.oauth2.rfc6749.endpoint import Endpoint, EndpointRequest

from authz_server.core import clock
from authz_server.core.identifiers import acr_of_level
from authz_server.extensions import services
from authz_server.oauth.errors import UnauthorizedClient
from authz_server.oauth.id_token import acting
from authz_server.oauth.params import FormRequest
from authz_server.prepared import lone_connection
from authz_server.tokens import dataset_tokens

INACTIVE = {"active": False}


class IntrospectionEndpoint(Endpoint):  # type: ignore[misc]  # Authlib has no types
    """Says nothing about tokens of another audience: an access token for UserInfo is as inactive as an unknown one."""

    ENDPOINT_NAME = "introspection"

    def validate_request(self, request: FormRequest) -> EndpointRequest:
        request.client = self.server.authenticate_client(request)
        if not request.client.registered.policy.may_introspect:
            raise UnauthorizedClient
        return EndpointRequest(request, request.client)

    def create_response(self, validated_request: EndpointRequest) -> tuple[int, dict[str, Any], list[tuple[str, str]]]:
        here = services()
        token = validated_request.request.payload.get("token")
        spend = [validated_request.client.identifier]
        with lone_connection() as connection:
            row = dataset_tokens.find_usable(connection, token, spend=spend, now=clock.now())
        if row is None:
            return 200, INACTIVE, []
        detail = row.granted[row.position]
        return (
            200,
            {
                "active": True,
                "iss": here.settings.issuer,
                "aud": here.settings.proxy_url,
                "client_id": row.client_id,
                "token_type": "DPoP",
                "iat": int(row.issued_at.timestamp()),
                "exp": int(row.expires_at.timestamp()),
                "cnf": {"jkt": row.jkt},
                # RFC 9470 section 6.2
                "acr": acr_of_level(row.level),
                "auth_time": int(row.auth_time.timestamp()),
                "authorization_details": [{key: detail[key] for key in ("type", "dataset", "fields", "parameters")}],
                **acting(here.secret, row.client_id, agent_id=row.agent_id, clerk_citizen_id=row.clerk_citizen_id),
            },
            [],
        )
