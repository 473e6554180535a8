"""Identity levels: 1 is the highest, 4 the lowest; who demands level n is content with 1..n."""

from datetime import datetime
from typing import Literal, NamedTuple

from authz_server.config import Settings
from authz_server.core.identifiers import MEMBER_AREA
from authz_server.identity.sessions import SignedIn

# What a sign-in still lacks: a stronger method, one more method, or a newer proof.
Lack = Literal["level", "second", "again"]


class Stated(NamedTuple):
    """What may be told of a sign-in: a level, when it was proved, and by what (RFC 8176)."""

    level: int
    auth_time: datetime
    amr: tuple[str, ...]


def level_of_method(settings: Settings, method_id: str) -> int:
    """The level that a sign-in by this method reaches; one without a line in the settings is worth no fetch."""
    return settings.method_levels.get(method_id, MEMBER_AREA)


def lack(
    signed_in: SignedIn,
    needed_level: int | None,
    authenticated_after: datetime | None = None,
    *,
    two_methods: bool = False,
) -> Lack | None:
    """What this sign-in still lacks; None if it is strong and recent enough.

    Args:
        needed_level: 1..4; None demands nothing.
        authenticated_after: a proof of that level must not be older than this moment (`prompt=login`, `max_age`); None:
            any age.
        two_methods: it must rest on two different methods that open a fetch.
    """
    if not reached(signed_in.level, needed_level):
        return "level"
    if two_methods and len(signed_in.methods) < 2:
        return "second"
    return None if stated(signed_in, needed_level, authenticated_after) else "again"


def stated(signed_in: SignedIn, needed_level: int | None, authenticated_after: datetime | None) -> Stated | None:
    """What may be told to who demands this; None if the sign-in does not suffice.

    It is the strongest proof if that is recent enough, else the strongest of those that are: a level that was proved an
    hour ago is never told with the time of a weaker proof, nor is the method by which it was.
    """
    level, auth_time, amr = signed_in.level, signed_in.auth_time, signed_in.amr
    if authenticated_after is not None:
        recent = [proof for proof in signed_in.proofs if proof.at >= authenticated_after]
        if not recent:
            return None
        best = min(recent, key=lambda proof: (proof.level, -proof.at.timestamp()))
        level, auth_time = best.level, best.at
        amr = tuple(value for value in amr if any(value in proof.amr for proof in recent))
    return Stated(level, auth_time, amr) if reached(level, needed_level) else None


def reached(level: int, needed_level: int | None) -> bool:
    """Tell whether a level is at least as high as the one that is needed."""
    return needed_level is None or level <= needed_level
