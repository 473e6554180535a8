"""Whether a request may still be answered: much may have changed between the push and the decision.

What a request may ask was settled when it was pushed, and it lives for an hour or more. Meanwhile the operator may have
taken from its client a purpose, a field or a redirect URI, and somebody else may have signed in than whom it is for.
"""

from authz_server.clients import own
from authz_server.clients.model import Client
from authz_server.clients.registry import Registry
from authz_server.consent.details import check_within_ceiling
from authz_server.consent.errors import RequestNotUsable
from authz_server.consent.request import PendingRequest
from authz_server.identity.subjects import pairwise_subject


def client_of(pending: PendingRequest, registry: Registry) -> Client:
    """The client that asks, as it is registered now.

    Raises: RequestNotUsable, if it is gone, or could not push this request any more.
    """
    client = registry.client(pending.client_id)
    if client is None or client.suspended:
        raise RequestNotUsable("its client is gone")
    if not (_is_answered_there(pending, client) and _may_ask(pending, client)):
        raise RequestNotUsable("its client is not registered for it any more")
    return client


def is_for(pending: PendingRequest, citizen_id: int, *, server_secret: bytes) -> bool:
    """Whether this is whom the client's id_token_hint names, if it sent one.

    Who signs in for a request counts as who was signed in before (OpenID Connect Core section 3.1.2.1).
    """
    hinted = pending.parameters.hinted_subject
    return hinted is None or hinted == pairwise_subject(server_secret, pending.client_id, citizen_id)


def _is_answered_there(pending: PendingRequest, client: Client) -> bool:
    asked = pending.parameters
    if asked.at_counter or client.client_id == own.CLIENT_ID:  # by a page of ours
        return True
    return asked.redirect_uri in client.redirect_uris


def _may_ask(pending: PendingRequest, client: Client) -> bool:
    asked = pending.parameters
    if (asked.at_counter or asked.at_desk) and not client.counters:
        return False
    for requested in asked.datasets:
        purpose = client.purposes.get(requested.purpose_id)
        ceiling = purpose.datasets.get(requested.dataset_id) if purpose else None
        if ceiling is None or not check_within_ceiling(requested, ceiling):
            return False
    return True
