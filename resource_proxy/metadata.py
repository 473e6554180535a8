"""What a client can find out about the proxy by itself (RFC 9728)."""

from typing import Any

from authz_server.catalogue.model import Catalogue
from authz_server.core import jose

METADATA_PATH = "/.well-known/oauth-protected-resource"


def protected_resource(catalogue: Catalogue, *, url: str, issuer: str, agencies: frozenset[str]) -> dict[str, Any]:
    """The metadata document: only the datasets of `agencies`, which this proxy serves.

    There is no `bearer_methods_supported`: no token of ours is a bearer token, and a member without values is left out
    (RFC 9728 section 3.2).
    """
    datasets = [dataset.id for agency in catalogue if agency.id in agencies for dataset in agency.datasets]
    document = {
        "resource": url,
        "authorization_servers": [issuer],
        "resource_name": "One-shot data fetch",
        "resource_name#zh-TW": "單次資料領取",
        "dpop_bound_access_tokens_required": True,
        "dpop_signing_alg_values_supported": list(jose.SIGNING),
        "authorization_details_types_supported": ["dataset"],
    }
    return document | ({"scopes_supported": datasets} if datasets else {})
