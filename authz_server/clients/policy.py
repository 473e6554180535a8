"""What is demanded of a client, by profile: one frozen entry each, and no switch anywhere else (op.md X-07)."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from authz_server.core.jose import SIGNING

TOKEN_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"  # noqa: S105 - the name of a grant, RFC 8693
PRE_AUTHORIZED_CODE = "urn:ietf:params:oauth:grant-type:pre-authorized_code"  # OpenID4VCI section 6


@dataclass(frozen=True, kw_only=True)
class Policy:
    """The rules of one profile; a code path asks its policy, never for a profile's name.

    Args:
        signing_algorithms: of the client's assertions and request objects.
        id_token_algorithms: that the client may be sent; the first is the default.
        pushed_requests, direct_requests: by which ways an authorization request may come.
        pkce_required: if not, it is honoured when sent; S256 only in either case.
        sender_constrained: access tokens are bound to a DPoP key, never Bearer.
        signed_requests: the request must be a signed object (RFC 9101).
        response_modes: of authorization responses; the first is the default.
        may_ask_for_datasets: may have purposes, and name datasets in a request.
        may_introspect: is told about tokens (RFC 7662) and reports outcomes.
    """

    profile: str
    token_endpoint_auth_methods: tuple[str, ...]
    signing_algorithms: tuple[str, ...]
    id_token_algorithms: tuple[str, ...] = ()
    grant_types: tuple[str, ...]
    pushed_requests: bool
    direct_requests: bool
    pkce_required: bool
    sender_constrained: bool
    signed_requests: bool
    response_modes: tuple[str, ...] = ()
    may_ask_for_datasets: bool
    may_introspect: bool


FAPI2 = Policy(
    profile="fapi2",
    token_endpoint_auth_methods=("private_key_jwt",),
    signing_algorithms=tuple(SIGNING),
    id_token_algorithms=("ES256",),
    grant_types=("authorization_code", "client_credentials"),
    pushed_requests=True,
    direct_requests=False,
    pkce_required=True,
    sender_constrained=True,
    signed_requests=False,
    response_modes=("query",),
    may_ask_for_datasets=True,
    may_introspect=False,
)
RESOURCE_SERVER = Policy(
    profile="resource_server",
    token_endpoint_auth_methods=("private_key_jwt",),
    signing_algorithms=tuple(SIGNING),
    grant_types=(TOKEN_EXCHANGE,),
    pushed_requests=False,
    direct_requests=False,
    pkce_required=True,
    sender_constrained=True,
    signed_requests=False,
    may_ask_for_datasets=False,
    may_introspect=True,
)

POLICIES: Mapping[str, Policy] = MappingProxyType({policy.profile: policy for policy in (FAPI2, RESOURCE_SERVER)})
