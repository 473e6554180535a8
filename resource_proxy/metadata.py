"""What a client can find out about the proxy by itself (RFC 9728)."""

from collections.abc import Mapping
from typing import Any

from authz_server.catalogue.model import Catalogue
from authz_server.core import jose

METADATA_PATH = "/.well-known/oauth-protected-resource"


def protected_resources(
    catalogue: Catalogue, *, url: str, issuer: str, agencies: frozenset[str]
) -> Mapping[str, dict[str, Any]]:
    """The metadata documents by the path of their resource: "" is the proxy, with the datasets of `agencies`.

    Each dataset is a resource of its own besides: a client that a challenge sends here must find as `resource` the URL
    that it asked, or it must not use the document (RFC 9728 section 3.3).

    There is no `bearer_methods_supported`: no token of ours is a bearer token, and a member without values is left out
    (RFC 9728 section 3.2).
    """
    datasets = [dataset.id for agency in catalogue if agency.id in agencies for dataset in agency.datasets]
    scopes = {"": datasets} | {f"/data/{dataset}": [dataset] for dataset in datasets}
    common = {
        "authorization_servers": [issuer],
        "resource_name": "One-shot data fetch",
        "resource_name#zh-TW": "單次資料領取",
        "dpop_bound_access_tokens_required": True,
        "dpop_signing_alg_values_supported": list(jose.SIGNING),
        "authorization_details_types_supported": ["dataset"],
    }
    return {
        path: {"resource": url + path} | common | ({"scopes_supported": names} if names else {})
        for path, names in scopes.items()
    }
