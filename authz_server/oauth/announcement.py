"""A barcode is announced at a counter: the citizen gets a one-time code, and the clerk sees whom and what it is about.

No standard has this step. It comes before the pre-authorized code grant, whose `tx_code` (OpenID4VCI section 3.5) is
what the citizen then says to the clerk; its three members of the answer are named as in a credential offer.
"""

from typing import Any

from authlib.oauth2.rfc6749.endpoint import Endpoint, EndpointRequest
from flask import request as http_request

from authz_server.clients.policy import PRE_AUTHORIZED_CODE
from authz_server.consent.details import TOLD
from authz_server.core import clock
from authz_server.counter.codes import CODE_DIGITS
from authz_server.counter.desk import Bounds, announce
from authz_server.counter.masking import masked
from authz_server.database import db
from authz_server.extensions import services
from authz_server.oauth import clerk, dpop
from authz_server.oauth.client_auth import OAuthClient
from authz_server.oauth.errors import InvalidRequest, UnauthorizedClient
from authz_server.oauth.params import FormRequest


class AnnouncementEndpoint(Endpoint):  # type: ignore[misc]  # Authlib has no types
    """Authenticate the office, have the code made, answer what the clerk may know before the citizen says it."""

    ENDPOINT_NAME = "announcement"

    def validate_request(self, request: FormRequest) -> EndpointRequest:
        request.client = self.server.authenticate_client(request)
        if not request.client.check_grant_type(PRE_AUTHORIZED_CODE):
            raise UnauthorizedClient
        return EndpointRequest(request, request.client)

    def create_response(self, validated_request: EndpointRequest) -> tuple[int, dict[str, Any], list[tuple[str, str]]]:
        client: OAuthClient = validated_request.client
        payload = validated_request.request.payload
        counter = payload.get("counter")
        if counter not in client.registered.counters:
            raise InvalidRequest("counter is not one that the client has registered.")
        here, now = services(), clock.now()
        proof = self.server.dpop.find(http_request)
        desk = clerk.desk(payload, client.registered, proof, counter_id=counter)
        bounds = Bounds(server_secret=here.secret, limits=here.settings.limits, now=now)
        row = announce(
            db.session(),
            payload.get("pre-authorized_code"),
            desk=desk,
            bounds=bounds,
            spend=[client.identifier] + ([dpop.identifier(proof)] if proof else []),
        )
        answer = {
            "name": masked(row.name),
            "purpose": row.purpose_id,
            "transaction": row.transaction_id,
            "authorization_details": [{name: detail[name] for name in TOLD} for detail in row.granted],
            "expires_in": int((row.expires_at - now).total_seconds()),
            "tx_code": {"input_mode": "numeric", "length": CODE_DIGITS},
            "tx_code_expires_in": int((row.code_expires_at - now).total_seconds()),
        }
        if row.agent_name is not None:
            answer["agent_name"] = masked(row.agent_name)  # whom the clerk has to see, instead of the citizen
        return 200, answer, []
