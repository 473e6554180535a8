"""The Authlib server: which grants, endpoints and client authentication methods exist. Nothing else is registered."""

from typing import Any

from authlib.oauth2.rfc6749 import AuthorizationServer
from flask import Request, Response

from authz_server.extensions import Services
from authz_server.oauth import requester
from authz_server.oauth.announcement import AnnouncementEndpoint
from authz_server.oauth.client_auth import METHOD, OAuthClient, PrivateKeyJwt
from authz_server.oauth.dpop import DpopVerifier
from authz_server.oauth.errors import UnsupportedGrantType
from authz_server.oauth.grants.authorization_code import AuthorizationCodeGrant
from authz_server.oauth.grants.client_credentials import ClientCredentialsGrant
from authz_server.oauth.grants.pre_authorized_code import PreAuthorizedCodeGrant
from authz_server.oauth.grants.token_exchange import TokenExchangeGrant
from authz_server.oauth.introspection import IntrospectionEndpoint
from authz_server.oauth.par import PushedAuthorizationEndpoint
from authz_server.oauth.params import FormRequest
from authz_server.oauth.responses import json_response
from authz_server.oauth.revocation import RevocationEndpoint

GRANTS = (AuthorizationCodeGrant, ClientCredentialsGrant, PreAuthorizedCodeGrant, TokenExchangeGrant)
ENDPOINTS = (PushedAuthorizationEndpoint, IntrospectionEndpoint, RevocationEndpoint, AnnouncementEndpoint)
AUTH_METHODS = (METHOD,)


class ConsentServer(AuthorizationServer):  # type: ignore[misc]  # Authlib has no types
    """Authlib's dispatch, with our requests, our answers, and domain errors passing through to the route."""

    def __init__(self, services: Services) -> None:
        super().__init__()
        self.services = services
        self.dpop = DpopVerifier(services.settings, services.secret)
        for grant in GRANTS:
            self.register_grant(grant)
        for endpoint in ENDPOINTS:
            self.register_endpoint(endpoint)
        self.register_client_auth_method(METHOD, PrivateKeyJwt(services.settings.issuer, services.registry))

    def query_client(self, client_id: str) -> None:
        """Unused: the authentication method finds the client, so that an unknown one takes as long to refuse."""

    def create_oauth2_request(self, request: Request) -> FormRequest:
        return FormRequest(request)

    def authenticate_client(self, request: FormRequest, methods: Any = AUTH_METHODS, endpoint: str = "token") -> Any:
        client: OAuthClient = super().authenticate_client(request, methods, endpoint)
        requester.remember(client.client_id)
        return client

    def get_token_grant(self, request: FormRequest) -> Any:
        known = {grant.GRANT_TYPE for grant in GRANTS}
        if request.payload.get("grant_type") not in known:
            raise UnsupportedGrantType
        return super().get_token_grant(request)

    def send_signal(self, name: str, *args: Any, **kwargs: Any) -> None:
        """Nobody listens."""

    def handle_response(self, status: int, body: dict[str, Any], headers: list[tuple[str, str]]) -> Response:
        response = json_response(body, status)
        response.headers.extend(headers)
        return response

    def handle_error_response(self, request: FormRequest, error: Any) -> Response:
        raise error
