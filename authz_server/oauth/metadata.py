"""Discovery (OpenID Connect Discovery section 3, RFC 8414), derived from what is registered and enforced."""

from typing import Any

from authz_server.clients.policy import POLICIES
from authz_server.consent.details import DETAILS_TYPE
from authz_server.core import jose
from authz_server.core.identifiers import HIGHEST_LEVEL, LOWEST_LEVEL, acr_of_level
from authz_server.extensions import Services
from authz_server.identity.language import LOCALES
from authz_server.oauth import client_access
from authz_server.oauth.authorization_request import PROMPTS
from authz_server.oauth.scopes import CLAIMS, SCOPE_CLAIMS
from authz_server.oauth.server import GRANTS

# A grant is given once, and for one use: it is never changed, so there is no replace, update or merge.
GRANT_ACTIONS = ("query", "revoke", "create")


def document(services: Services) -> dict[str, Any]:
    """The metadata of this server; the same for both well-known places."""
    issuer = services.settings.issuer
    algorithms = sorted({alg for policy in POLICIES.values() for alg in policy.signing_algorithms})
    methods = sorted({method for policy in POLICIES.values() for method in policy.token_endpoint_auth_methods})
    return {
        "issuer": issuer,
        "authorization_endpoint": f"{issuer}/authorize",
        "pushed_authorization_request_endpoint": f"{issuer}/par",
        "token_endpoint": f"{issuer}/token",
        "userinfo_endpoint": f"{issuer}/userinfo",
        "introspection_endpoint": f"{issuer}/introspect",
        "revocation_endpoint": f"{issuer}/revoke",
        "barcode_announcement_endpoint": f"{issuer}/announce",
        "copy_report_endpoint": f"{issuer}/copies",
        "jwks_uri": f"{issuer}/jwks",
        "grant_management_endpoint": f"{issuer}{client_access.PATH}",
        "grant_management_actions_supported": list(GRANT_ACTIONS),
        "scopes_supported": [*SCOPE_CLAIMS, *client_access.SCOPES, *services.catalogue.scopes],
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": [grant.GRANT_TYPE for grant in GRANTS],
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": [jose.OWN_ALG],
        "token_endpoint_auth_methods_supported": methods,
        "token_endpoint_auth_signing_alg_values_supported": algorithms,
        "introspection_endpoint_auth_methods_supported": methods,
        "introspection_endpoint_auth_signing_alg_values_supported": algorithms,
        "revocation_endpoint_auth_methods_supported": methods,
        "revocation_endpoint_auth_signing_alg_values_supported": algorithms,
        "dpop_signing_alg_values_supported": list(jose.SIGNING),
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": True,
        "authorization_details_types_supported": [DETAILS_TYPE],
        "acr_values_supported": [acr_of_level(level) for level in range(HIGHEST_LEVEL, LOWEST_LEVEL + 1)],
        "prompt_values_supported": sorted(PROMPTS),
        "claims_supported": list(CLAIMS),
        "claims_parameter_supported": True,
        "request_parameter_supported": False,
        "request_uri_parameter_supported": False,
        "require_request_uri_registration": False,
        "ui_locales_supported": list(LOCALES),
        "service_documentation": f"{issuer}/developer",
        "protected_resources": [services.settings.proxy_url],  # RFC 9728 section 4
    }
