"""One-time identifiers (`jti`) of assertions and proofs, and what makes each of them unique."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from authz_server.core.errors import DomainError
from authz_server.core.secrets import digest


class AssertionReplayed(DomainError):
    """The `jti` of a client assertion was seen before. To a peer it is like any other failed authentication."""

    code = "invalid_client"
    public = "Client authentication failed."


class ProofReplayed(DomainError):
    """RFC 9449 section 11.1: the `jti` of a DPoP proof was seen before, with the same key."""

    code = "invalid_dpop_proof"
    public = "The DPoP proof was used before."


class Identifier(NamedTuple):
    """An identifier to be spent, and when it may be forgotten because its bearer has expired.

    That is at most `buckets.LONGEST_LIFE` ahead.
    """

    kind: str
    digest: bytes
    expires_at: datetime


def client_assertion(client_id: str, jti: str, *, expires_at: datetime) -> Identifier:
    """RFC 7523 section 3, item 7: single use per client."""
    # NUL can't be in a client_id, so no two pairs give one digest.
    return Identifier("client_assertion", digest(f"{client_id}\0{jti}"), expires_at)


def dpop_proof(replay_key: bytes, *, expires_at: datetime) -> Identifier:
    """RFC 9449 section 11.1: single use per key; `replay_key` is `core.dpop.replay_key(proof)`."""
    return Identifier("dpop_proof", replay_key, expires_at)


# In the order in which they are told: who is not authenticated proves nothing either.
REPLAYED: Mapping[str, type[DomainError]] = {"client_assertion": AssertionReplayed, "dpop_proof": ProofReplayed}


def check_fresh(presented: Sequence[Identifier], *, fresh: Collection[str]) -> None:
    """Compare what was presented with the kinds of identifiers that were new.

    Raises: AssertionReplayed, ProofReplayed.
    """
    seen = {identifier.kind for identifier in presented} - set(fresh)
    for kind, error in REPLAYED.items():
        if kind in seen:
            raise error(f"jti of a {kind}")
