"""What is demanded of a client, by profile: one frozen entry each, and no switch anywhere else."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from authz_server.core.jose import SIGNING

TOKEN_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"  # noqa: S105 - the name of a grant, RFC 8693
PRE_AUTHORIZED_CODE = "urn:ietf:params:oauth:grant-type:pre-authorized_code"  # OpenID4VCI section 6


@dataclass(frozen=True, kw_only=True)
class Policy:
    """Where profiles differ; a code path asks its policy, never for a profile's name.

    What holds for all of them has no switch: pushed requests, PKCE with S256, DPoP, answers in the query.

    Args:
        signing_algorithms: of the client's assertions.
        pushed_requests: may push authorization requests.
        may_ask_for_datasets: may have purposes, and name datasets in a request.
        may_introspect: is told about tokens (RFC 7662).
    """

    profile: str
    token_endpoint_auth_methods: tuple[str, ...]
    signing_algorithms: tuple[str, ...]
    grant_types: tuple[str, ...]
    pushed_requests: bool
    may_ask_for_datasets: bool
    may_introspect: bool


FAPI2 = Policy(
    profile="fapi2",
    token_endpoint_auth_methods=("private_key_jwt",),
    signing_algorithms=tuple(SIGNING),
    grant_types=("authorization_code", "client_credentials"),
    pushed_requests=True,
    may_ask_for_datasets=True,
    may_introspect=False,
)
RESOURCE_SERVER = Policy(
    profile="resource_server",
    token_endpoint_auth_methods=("private_key_jwt",),
    signing_algorithms=tuple(SIGNING),
    grant_types=(TOKEN_EXCHANGE,),
    pushed_requests=False,
    may_ask_for_datasets=False,
    may_introspect=True,
)

POLICIES: Mapping[str, Policy] = MappingProxyType({policy.profile: policy for policy in (FAPI2, RESOURCE_SERVER)})
