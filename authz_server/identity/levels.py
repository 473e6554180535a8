"""Identity levels: 1 is the highest, 4 the lowest; who demands level n is content with 1..n."""

from datetime import datetime

from authz_server.config import Settings
from authz_server.core.identifiers import LOWEST_LEVEL
from authz_server.identity.sessions import SignedIn


def level_of_method(settings: Settings, method_id: str) -> int:
    """The level at which a sign-in by this method is worth; a method without a line in the settings gets the lowest."""
    return settings.method_levels.get(method_id, LOWEST_LEVEL)


def suffices(signed_in: SignedIn, needed_level: int | None, *, authenticated_after: datetime | None = None) -> bool:
    """Tell whether this sign-in is strong enough and recent enough.

    Args:
        needed_level: 1..4; None demands nothing.
        authenticated_after: the sign-in must not be older than this moment (`prompt=login`, `max_age`); None: any age.
    """
    return reached(signed_in.level, needed_level) and fresh(signed_in, authenticated_after)


def reached(level: int, needed_level: int | None) -> bool:
    """Tell whether a level is at least as high as the one that is needed."""
    return needed_level is None or level <= needed_level


def fresh(signed_in: SignedIn, authenticated_after: datetime | None) -> bool:
    """Tell whether the citizen proved who they are at or after this moment."""
    return authenticated_after is None or signed_in.auth_time >= authenticated_after
