"""One-time identifiers (`jti`) of assertions and proofs, and what makes each of them unique."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Final, NamedTuple

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


CLIENT_ASSERTION: Final = "c"
DPOP_PROOF: Final = "d"
# Of a SHA-256: no two of the millions that are known at a time are the same by chance, and whoever finds a second one
# for what somebody else will send has inverted 128 bits.
DIGEST_BYTES: Final = 16


def client_assertion(client_id: str, jti: str, *, expires_at: datetime) -> Identifier:
    """RFC 7523 section 3, item 7: single use per client."""
    # NUL can't be in a client_id, so no two pairs give one digest.
    return Identifier(CLIENT_ASSERTION, digest(f"{client_id}\0{jti}")[:DIGEST_BYTES], expires_at)


def dpop_proof(replay_key: bytes, *, expires_at: datetime) -> Identifier:
    """RFC 9449 section 11.1: single use per key; `replay_key` is `core.dpop.replay_key(proof)`."""
    return Identifier(DPOP_PROOF, replay_key[:DIGEST_BYTES], expires_at)


# In the order in which they are told: who is not authenticated proves nothing either.
REPLAYED: Mapping[str, type[DomainError]] = {CLIENT_ASSERTION: AssertionReplayed, DPOP_PROOF: ProofReplayed}


def replay_of(seen: Collection[Identifier]) -> DomainError:
    """What to say of whoever presented these: AssertionReplayed or ProofReplayed."""
    kinds = {identifier.kind for identifier in seen}
    return next(error("jti seen before") for kind, error in REPLAYED.items() if kind in kinds)
