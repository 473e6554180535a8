"""What agencies tell this server: JWTs signed with a key of their registration, which are their credential here."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from flask import Request

from authz_server.clients.model import RegisteredAgency
from authz_server.core import clock, jose
from authz_server.core.jose import BadToken
from authz_server.extensions import services
from authz_server.oauth.errors import InvalidClient, InvalidRequest

MAX_AGE_S: Final = 600
MAX_SKEW_S: Final = 60


def registered(request: Request, agency_id: str) -> RegisteredAgency:
    """The agency that has to have signed the request.  Raises: InvalidRequest, InvalidClient."""
    if request.mimetype != "application/jwt":
        raise InvalidRequest("The content type must be application/jwt.")
    agency = services().registry.agency(agency_id)
    if agency is None or agency.suspended:
        raise InvalidClient("unknown or suspended agency")
    return agency


def claims_of(request: Request, agency: RegisteredAgency, *, typ: str, **expected: str) -> dict[str, Any]:
    """What it says: to us, just now, in a token of this type. Args: expected: claims and their values.

    Raises: InvalidClient.
    """
    try:
        token = request.get_data(cache=False).decode("ascii")
        keys = jose.parse_public_keys(agency.signing_jwks)
        claims = jose.verify(token, keys, algorithms=jose.SIGNING, typ=typ).claims
    except (BadToken, UnicodeDecodeError) as error:
        raise InvalidClient(type(error).__name__) from None
    known = {"iss": agency.id, "aud": services().settings.issuer, **expected}
    if {name: claims.get(name) for name in known} != known:
        raise InvalidClient("by another agency, for another platform, or about something else")
    issued_at = claims.get("iat")
    if not clock.is_numeric_date(issued_at) or not -MAX_SKEW_S <= clock.now().timestamp() - issued_at <= MAX_AGE_S:
        raise InvalidClient("not of now")
    return claims


def moment_of(claims: dict[str, Any], name: str, *, within: timedelta) -> datetime:
    """A moment that it names (RFC 7519, NumericDate), from now at most so long.  Raises: InvalidRequest."""
    seconds, latest = claims.get(name), clock.now() + within
    if not clock.is_numeric_date(seconds) or not 0 <= seconds <= latest.timestamp():
        raise InvalidRequest(f"{name} must be seconds since 1970, {within.days} days from now at most.")
    return datetime.fromtimestamp(seconds, UTC)
