"""The claims parameter (OpenID Connect Core section 5.5), reduced to what this server understands of it.

Whatever else its JSON holds ends here: claims that we don't know are ignored, and nothing of a peer's making (numbers
beyond 64 bits, half a surrogate pair, arrays in arrays) reaches the database.
"""

import json
from dataclasses import dataclass, field
from typing import Any

from authz_server.core.identifiers import level_of_acr
from authz_server.oauth.errors import InvalidRequest
from authz_server.oauth.scopes import IDENTITY_CLAIMS

PLACES = ("id_token", "userinfo")
MAX_MEMBERS = 30


@dataclass(frozen=True)
class RequestedClaims:
    """The identity claims asked for by name, for each place, and the `acr` values of which one must be met."""

    by_place: dict[str, list[str]] = field(default_factory=dict)
    essential_acr: tuple[str, ...] = ()


def parse(value: str | None) -> RequestedClaims:
    """What the parameter asks for.  Raises: InvalidRequest."""
    if value is None:
        return RequestedClaims()
    try:
        claims = json.loads(value)
    except (ValueError, RecursionError):
        raise InvalidRequest("claims is not JSON.") from None
    if not isinstance(claims, dict):
        raise InvalidRequest("claims is not a JSON object.")
    asked = {place: _members(claims.get(place)) for place in PLACES}
    for members in asked.values():
        sub = members.get("sub") or {}
        if "value" in sub or "values" in sub:
            # It would have to end the request of everybody else (section 5.5.1); an id_token_hint says the same.
            raise InvalidRequest("claims asks for a certain sub: use id_token_hint.")
    by_place = {place: [claim for claim in IDENTITY_CLAIMS if claim in members] for place, members in asked.items()}
    return RequestedClaims(by_place, _essential_acr(asked["id_token"].get("acr") or {}))


def _members(members: Any) -> dict[str, dict[str, Any] | None]:
    if members is None:
        return {}
    if not isinstance(members, dict) or not all(isinstance(asked, dict | None) for asked in members.values()):
        raise InvalidRequest("claims has a member of the wrong type.")
    if len(members) > MAX_MEMBERS:
        raise InvalidRequest("claims has too many members.")
    return members


def _essential_acr(asked: dict[str, Any]) -> tuple[str, ...]:
    """Section 5.5.1.1: one of these must be met, or the request fails."""
    if asked.get("essential") is not True:
        return ()
    wanted = asked.get("values", [asked["value"]] if "value" in asked else [])
    if not isinstance(wanted, list) or not all(isinstance(acr, str) for acr in wanted):
        raise InvalidRequest("claims asks for acr in a form that is not understood.")
    known = tuple(acr for acr in wanted if level_of_acr(acr))
    if wanted and not known:
        raise InvalidRequest("No requested essential acr is supported.")
    return known
