"""What an agency answers to a request to correct."""

from typing import Final, cast

from flask import Request

from authz_server.consent import correction
from authz_server.core import clock
from authz_server.database import db
from authz_server.oauth import agencies
from authz_server.oauth.errors import InvalidRequest

TYPE: Final = "mydata-correction-outcome+jwt"


def answer(request: Request, correction_id: str) -> None:
    """Settle the request, once.

    Raises: NeverSent, InvalidRequest, InvalidClient, CorrectionSettled.
    """
    session = db.session()
    agency = agencies.registered(request, correction.agency_of(session, correction_id))
    outcome = agencies.claims_of(request, agency, typ=TYPE, correction=correction_id).get("outcome")
    if outcome not in correction.OUTCOMES:
        raise InvalidRequest("outcome is unknown.")
    correction.settle(session, correction_id, cast(correction.Outcome, outcome), agency_id=agency.id, now=clock.now())
