"""What an agency says of itself, every minute or so, and whenever it changes: at work, or under maintenance."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from flask import Request

from authz_server.clients import heartbeats
from authz_server.clients.heartbeats import Said
from authz_server.core import clock
from authz_server.database import db
from authz_server.extensions import services
from authz_server.oauth import agencies
from authz_server.oauth.errors import InvalidRequest

TYPE: Final = "mydata-heartbeat+jwt"
STATUSES: Final = ("ok", "maintenance")
LONGEST: Final = timedelta(days=90)


def take(request: Request, agency_id: str) -> None:
    """Keep what it says. An older word than the last changes nothing.  Raises: InvalidRequest, InvalidClient."""
    agency = agencies.registered(request, agency_id)
    claims, now = agencies.claims_of(request, agency, typ=TYPE), clock.now()
    if claims.get("status") not in STATUSES:
        raise InvalidRequest("status is ok or maintenance.")
    maintenance = claims["status"] == "maintenance"
    ends = maintenance and claims.get("until") is not None
    said = Said(
        maintenance=maintenance,
        datasets=_datasets(claims, agency.id) if maintenance else (),
        until=agencies.moment_of(claims, "until", within=LONGEST) if ends else None,
        at=datetime.fromtimestamp(claims["iat"], UTC),
    )
    heartbeats.beat(db.session(), agency.id, said, now=now)


def _datasets(claims: dict[str, Any], agency_id: str) -> list[str]:
    named, known = claims.get("datasets", []), services().catalogue.agency(agency_id).datasets
    if not isinstance(named, list) or not {dataset.id for dataset in known}.issuperset(map(str, named)):
        raise InvalidRequest("datasets is a list of ids of the agency's own datasets.")
    return sorted({str(one) for one in named})
