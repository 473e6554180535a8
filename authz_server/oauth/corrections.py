"""What an agency answers to a request to correct: a JWT signed with a key of its registration, its credential here."""

from typing import Any, Final, cast

from flask import Request

from authz_server.consent import correction
from authz_server.core import clock, jose
from authz_server.core.jose import BadToken
from authz_server.database import db
from authz_server.extensions import services
from authz_server.oauth.errors import InvalidClient, InvalidRequest

TYPE: Final = "mydata-correction-outcome+jwt"
MAX_AGE_S: Final = 600
MAX_SKEW_S: Final = 60


def answer(request: Request, correction_id: str) -> None:
    """Settle the request, once.

    Raises: NoSuchConsent, InvalidRequest, InvalidClient, CorrectionSettled.
    """
    here, session, now = services(), db.session(), clock.now()
    if request.mimetype != "application/jwt":
        raise InvalidRequest("The content type must be application/jwt.")
    agency = here.registry.agency(correction.agency_of(session, correction_id))
    if agency is None or agency.suspended:
        raise InvalidClient("unknown or suspended agency")
    claims = _claims(request, agency.signing_jwks)
    expected = {"iss": agency.id, "aud": here.settings.issuer, "correction": correction_id}
    if {name: claims.get(name) for name in expected} != expected:
        raise InvalidClient("by another agency, for another platform, or about another request")
    issued_at = claims.get("iat")
    if not isinstance(issued_at, int) or not -MAX_SKEW_S <= now.timestamp() - issued_at <= MAX_AGE_S:
        raise InvalidClient("not of now")
    outcome = claims.get("outcome")
    if outcome not in correction.OUTCOMES:
        raise InvalidRequest("outcome is unknown.")
    correction.settle(session, correction_id, cast(correction.Outcome, outcome), agency_id=agency.id, now=now)


def _claims(request: Request, signing_jwks: Any) -> dict[str, Any]:
    try:
        token = request.get_data(cache=False).decode("ascii")
        keys = jose.parse_public_keys(signing_jwks)
        return jose.verify(token, keys, algorithms=jose.SIGNING, typ=TYPE).claims
    except (BadToken, UnicodeDecodeError) as error:
        raise InvalidClient(type(error).__name__) from None
