"""Token exchange (RFC 8693): a resource server turns a dataset token into an agency ticket. This is the spending."""

import base64
import binascii
from datetime import datetime, timedelta
from typing import Any

from authz_server.catalogue.model import Dataset
from authz_server.clients.policy import TOKEN_EXCHANGE
from authz_server.core import clock
from authz_server.core.dpop import MAX_AGE_S, MAX_AHEAD_S
from authz_server.extensions import Services, services
from authz_server.oauth import agency_ticket
from authz_server.oauth.authorization_request import thumbprint
from authz_server.oauth.clerk import ACCESS_TOKEN
from authz_server.oauth.errors import InvalidRequest, InvalidTarget
from authz_server.oauth.grants.base import ClientGrant
from authz_server.oauth.params import FormPayload
from authz_server.prepared import lone_connection
from authz_server.single_use.identifiers import dpop_proof
from authz_server.tokens import dataset_tokens
from authz_server.tokens.dataset_tokens import Report
from authz_server.tokens.errors import TokenNotUsable
from authz_server.tokens.leases import Lease

JWT = "urn:ietf:params:oauth:token-type:jwt"


class TokenExchangeGrant(ClientGrant):
    """Authenticate the resource server, lease the token, answer the ticket."""

    GRANT_TYPE = TOKEN_EXCHANGE

    def create_token_response(self) -> tuple[int, dict[str, Any], list[tuple[str, str]]]:
        here, now = services(), clock.now()
        payload: FormPayload = self.request.payload
        if payload.get("subject_token_type") != ACCESS_TOKEN:
            raise InvalidRequest("subject_token_type must be an access token.")
        # The resource server verified the proof; its jti is spent here, where all of them share one store.
        forgotten_at = now + timedelta(seconds=MAX_AGE_S + MAX_AHEAD_S)
        proof = dpop_proof(_octets(payload.get("dpop_jti")), expires_at=forgotten_at)
        dataset = _dataset(payload.get("resource"), here.settings.proxy_url)
        with lone_connection() as connection:
            lease = dataset_tokens.lease(
                connection,
                payload.get("subject_token"),
                jkt=thumbprint(payload.get("dpop_jkt")),
                dataset_id=dataset.id,
                needed_level=dataset.level,
                resource_server=self.client.client_id,
                ttl_s=here.settings.limits.lease_s,
                spend=[self.client.identifier, proof],
                now=now,
            )
        return (
            200,
            {
                "access_token": _ticket(here, lease, now=now),
                "issued_token_type": JWT,
                "token_type": "N_A",
                "expires_in": agency_ticket.TTL_S,
                "lease": lease.handle,
                "lease_expires_in": here.settings.limits.lease_s,
                "agency": lease.row.agency_id,
                "dataset": lease.row.dataset_id,
                "transaction": lease.row.transaction_id,
                "attempt": lease.row.attempt,
            },
            [],
        )


def _ticket(here: Services, lease: Lease, *, now: datetime) -> str:
    """The ticket.  Raises: TokenNotUsable; the token is free again."""
    try:
        return agency_ticket.issue(here, lease, now=now)
    except TokenNotUsable:
        # Its client's registration names what the catalogue has no longer, which the statement can't see.
        with lone_connection() as connection:
            dataset_tokens.report(connection, lease.handle, Report("failed"), limits=here.settings.limits, now=now)
        raise


def _dataset(resource: str, proxy_url: str) -> Dataset:
    prefix = f"{proxy_url}/data/"
    if not resource.startswith(prefix):
        raise InvalidTarget("another platform's")
    dataset = services().catalogue.find_dataset(resource.removeprefix(prefix))
    # Asked before the lease: a token must not be spent on an agency that nobody can reach.
    if dataset is None or services().registry.agency(dataset.agency_id) is None:
        raise TokenNotUsable("no such dataset, or its agency is not registered")
    return dataset


def _octets(value: str) -> bytes:
    try:
        octets = base64.urlsafe_b64decode(value + "=")
    except (binascii.Error, ValueError):
        octets = b""
    if len(octets) != 32:
        raise InvalidRequest("dpop_jti is not a SHA-256.")
    return octets
