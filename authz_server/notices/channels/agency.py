"""An agency's own system, which gets what a citizen wants corrected, and what it is to have ready or may throw away.

    POST <correction_endpoint>, POST <preparation_endpoint>
    Content-Type: application/jose

    a JWE to the agency's key, in it a JWT signed like a ticket

2xx: taken. 408, 425, 429, 5xx, no answer: later, the very same, under the same number. Everything else: never.

A correction (mydata-correction+jwt: see portal.correction) is sealed when it is asked for, and destroyed once it was
taken, after eight hours in any case. What is to be prepared is sealed at each attempt, for nothing of it is secret
from us:
    mydata-preparation+jwt       iss, aud (the agency), iat, exp (nobody comes for it later), jti (of the preparation),
                                 txn, sub (the national id), dataset, fields, parameters
    mydata-preparation-drop+jwt  iss, aud, iat, jti (again that of the preparation), txn
"""

from typing import Any, ClassVar, Final

from sqlalchemy import ColumnElement

from authz_server.catalogue.model import Text
from authz_server.clients import keys
from authz_server.clients.model import RegisteredAgency
from authz_server.consent import preparation
from authz_server.consent.correction import REQUESTED
from authz_server.core import clock
from authz_server.core.jose import OWN_ALG
from authz_server.notices.channels.base import Errand, NotDelivered, Undeliverable, is_one_of
from authz_server.notices.channels.push import Pushed

ASK_TYPE: Final = "mydata-preparation+jwt"
DROP_TYPE: Final = "mydata-preparation-drop+jwt"


class Agency(Pushed):
    """To the agency of the dataset that an entry is about."""

    id: ClassVar[str] = "agency"
    name: ClassVar[Text] = Text(zh="機關的系統", en="The agency's own system")
    events: ClassVar[frozenset[str]] = frozenset({REQUESTED})

    def entitled(self) -> ColumnElement[bool]:
        return is_one_of(self.events)

    def send(self, errand: Errand) -> None:
        if errand.correction is None:
            raise Undeliverable("too late")
        self._send(self._agency(errand).correction_endpoint, errand.correction.sealed)

    def _agency(self, errand: Errand) -> RegisteredAgency:
        agency = self._services.registry.agency(errand.entry.agency_id or "")
        if agency is None:  # its registration can't be read at present
            raise NotDelivered("no such agency")
        if agency.suspended:  # its key or its address may be in wrong hands: what is sealed lapses, or waits
            raise NotDelivered("agency suspended")
        return agency

    def _send(self, endpoint: str | None, sealed: bytes) -> None:
        if endpoint is None:
            raise Undeliverable("no endpoint")
        self._pusher.push(endpoint, sealed, content_type="application/jose")


class AgencyAhead(Agency):
    """To the agency that is to have a slow dataset ready; apart, so that neither kind waits for the other."""

    id: ClassVar[str] = "agency_ahead"
    name: ClassVar[Text] = Text(zh="機關的系統（預先準備）", en="The agency's own system, to prepare")
    events: ClassVar[frozenset[str]] = frozenset({preparation.ASKED, preparation.DROPPED})

    def send(self, errand: Errand) -> None:
        wanted, now = errand.preparation, clock.now()
        dropping = errand.entry.event == preparation.DROPPED
        if wanted is None or wanted.until <= now or ((wanted.withdrawn_at or wanted.held) and not dropping):
            raise Undeliverable("too late")
        agency = self._agency(errand)
        claims = {
            "iss": self._services.settings.issuer,
            "aud": agency.id,
            "iat": int(now.timestamp()),
            "jti": wanted.id,
            "txn": errand.entry.transaction_id,
        }
        typ, claims = (DROP_TYPE, claims) if dropping else (ASK_TYPE, claims | _asked(wanted))
        sealed = keys.seal(claims, agency, self._services.keys.get(OWN_ALG), typ=typ)
        self._send(agency.preparation_endpoint, sealed.encode())


def _asked(wanted: Any) -> dict[str, Any]:
    detail = wanted.granted[wanted.position]
    asked = {name: detail[name] for name in ("dataset", "fields", "parameters")}
    return {"exp": int(wanted.until.timestamp()), "sub": wanted.national_id} | asked
