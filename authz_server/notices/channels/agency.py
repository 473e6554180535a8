"""An agency's own system, which gets what a citizen wants corrected: sealed to it, and destroyed once it has it.

    POST <correction_endpoint>
    Content-Type: application/jose

    a JWE to the agency's key, in it a JWT of type mydata-correction+jwt: see portal.correction

2xx: taken. 408, 425, 429, 5xx, no answer: later, the very same, for eight hours. Everything else: never.
"""

from typing import ClassVar

from sqlalchemy import ColumnElement

from authz_server.audit.models import AuditEntry
from authz_server.catalogue.model import Text
from authz_server.consent.correction import REQUESTED
from authz_server.notices.channels.base import Errand, NotDelivered, Undeliverable
from authz_server.notices.channels.push import Pushed


class Agency(Pushed):
    """To the agency of the dataset that an entry is about."""

    id: ClassVar[str] = "agency"
    name: ClassVar[Text] = Text(zh="機關的系統", en="The agency's own system")

    def entitled(self) -> ColumnElement[bool]:
        return AuditEntry.event == REQUESTED

    def send(self, errand: Errand) -> None:
        if errand.correction is None:
            raise Undeliverable("too late")
        agency = self._services.registry.agency(errand.entry.agency_id or "")
        if agency is None:  # its registration can't be read at present
            raise NotDelivered("no such agency")
        if agency.suspended:  # its key or its address may be in wrong hands: what is sealed lapses, or waits
            raise NotDelivered("agency suspended")
        if agency.correction_endpoint is None:
            raise Undeliverable("no endpoint")
        self._pusher.push(agency.correction_endpoint, errand.correction.sealed, content_type="application/jose")
