"""What an agency says of a dataset that it was asked to have ready."""

from datetime import timedelta
from typing import Final

from flask import Request

from authz_server.catalogue.model import LONGEST_WAIT_S
from authz_server.core import clock
from authz_server.database import db
from authz_server.oauth import agencies
from authz_server.oauth.errors import InvalidRequest
from authz_server.tokens import readiness

TYPE: Final = "mydata-preparation-state+jwt"
LONGEST_WAIT: Final = timedelta(seconds=LONGEST_WAIT_S)


def answer(request: Request, preparation_id: str) -> None:
    """Take how far it is.  Raises: NeverSent, InvalidRequest, InvalidClient, PreparationOver."""
    session, now = db.session(), clock.now()
    agency = agencies.registered(request, readiness.agency_of(session, preparation_id))
    claims = agencies.claims_of(request, agency, typ=TYPE, preparation=preparation_id)
    state = claims.get("state")
    if not isinstance(state, str) or state not in readiness.SAID:
        raise InvalidRequest("state is unknown.")
    expected_at = agencies.moment_of(claims, "ready_at", within=LONGEST_WAIT) if state == "preparing" else None
    readiness.say(session, preparation_id, state, agency_id=agency.id, expected_at=expected_at, now=now)
