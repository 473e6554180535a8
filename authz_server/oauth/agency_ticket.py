"""The agency ticket: a signed JWT for one agency, encrypted to it, so that the proxy can't read whom it is about."""

from datetime import datetime
from typing import Any
from uuid import uuid4

from authz_server.clients import keys
from authz_server.core.identifiers import acr_of_level
from authz_server.core.jose import OWN_ALG
from authz_server.extensions import Services
from authz_server.oauth.id_token import acting
from authz_server.tokens.errors import TokenNotUsable
from authz_server.tokens.leases import Lease

TTL_S = 60
TYPE = "at+jwt"  # RFC 9068 section 2.1


def issue(services: Services, lease: Lease, *, now: datetime) -> str:
    """The ticket of one attempt.

    `sub` is the citizen's identifier at the agency, the only place where it leaves this server. `jti` is new for each
    attempt, so an agency refuses one that it has seen; `txn` (RFC 8417 section 2.2) stays the same.
    Raises: TokenNotUsable if the agency is not registered.
    """
    row, detail = lease.row, lease.detail
    agency = services.registry.agency(row.agency_id)
    client = services.registry.client(row.client_id)
    if agency is None or client is None:
        raise TokenNotUsable("agency or client is not registered")
    issued_at = int(now.timestamp())
    claims: dict[str, Any] = {
        "iss": services.settings.issuer,
        "aud": row.agency_id,
        "iat": issued_at,
        "exp": issued_at + TTL_S,
        "jti": str(uuid4()),
        "txn": row.transaction_id,
        "sub": row.national_id,
        "client_id": row.client_id,
        "client_name": {"zh": client.name.zh, "en": client.name.en},
        "dataset": row.dataset_id,
        "fields": detail["fields"],
        "parameters": detail["parameters"],
        "purpose": detail["purpose"],
        "grant_id": row.consent_id,
        "acr": acr_of_level(row.level),
        "auth_time": int(row.auth_time.timestamp()),
        "recipient_jwk": lease.recipient_jwk,
        **acting(services.secret, row.client_id, agent_id=row.agent_id, clerk_citizen_id=row.clerk_citizen_id),
    }
    return keys.seal(claims, agency, services.keys.get(OWN_ALG), typ=TYPE)
