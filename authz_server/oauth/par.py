"""Pushed authorization requests (RFC 9126)."""

from dataclasses import replace
from functools import partial
from typing import Any

from authlib.oauth2.rfc6749.endpoint import Endpoint, EndpointRequest
from flask import request as http_request

from authz_server.consent import service as consent
from authz_server.core import clock
from authz_server.core.dpop import BadProof, Proof
from authz_server.extensions import services
from authz_server.oauth import dpop
from authz_server.oauth.authorization_request import validate
from authz_server.oauth.client_auth import OAuthClient
from authz_server.oauth.errors import UnauthorizedClient
from authz_server.oauth.id_token import subject_of_hint
from authz_server.oauth.params import FormRequest
from authz_server.prepared import lone_connection


class PushedAuthorizationEndpoint(Endpoint):  # type: ignore[misc]  # Authlib has no types
    """Authenticate, validate, keep: one statement on PostgreSQL."""

    ENDPOINT_NAME = "par"

    def validate_request(self, request: FormRequest) -> EndpointRequest:
        request.client = self.server.authenticate_client(request)
        if not request.client.registered.policy.pushed_requests:
            raise UnauthorizedClient
        return EndpointRequest(request, request.client)

    def create_response(self, validated_request: EndpointRequest) -> tuple[int, dict[str, Any], list[tuple[str, str]]]:
        client: OAuthClient = validated_request.client
        here = services()
        proof = self.server.dpop.find(http_request)
        parameters = validate(
            validated_request.request.payload,
            client=client.registered,
            catalogue=here.catalogue,
            default_recipient=partial(here.registry.encryption_jwk, client.registered),
            subject_of_hint=partial(subject_of_hint, here),
        )
        if proof:
            parameters = replace(parameters, dpop_jkt=_bound_key(parameters.dpop_jkt, proof))
        spend = [client.identifier] + ([dpop.identifier(proof)] if proof else [])
        with lone_connection() as connection:
            request_uri = consent.push(
                connection,
                parameters,
                client_id=client.client_id,
                spend=spend,
                settings=here.settings,
                now=clock.now(),
            )
        answer = {"request_uri": request_uri, "expires_in": here.settings.limits.request_uri_ttl_s}
        return 201, answer, []


def _bound_key(dpop_jkt: str | None, proof: Proof) -> str:
    # RFC 9449 section 10.1: both ways to bind a code must name the same key.
    if dpop_jkt not in {None, proof.jkt}:
        raise BadProof("dpop_jkt is another key")
    return proof.jkt
