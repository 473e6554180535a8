"""The client's own system, told of what happens to its consents: a signed Security Event Token, pushed over HTTP.

RFC 8417 (the token), RFC 8935 (the push), RFC 9493 (what it is about). A client that registered no
`security_event_endpoint` is told nothing here; what it has to answer goes to it by e-mail (EmailToClient).

    POST <security_event_endpoint>
    Content-Type: application/secevent+jwt

    {"typ": "secevent+jwt", "alg": "ES256", "kid": ...}
    {"iss": <issuer>, "aud": <client_id>, "jti": <of this event>, "iat": ..., "toe": <when it happened>,
     "txn": <reference number>, "sub_id": {"format": "opaque", "id": <grant_id>},
     "events": {"urn:mydata:event:consent-ended": {"ended_by": "citizen" | "operator" | "client"}}}
            or {"urn:mydata:event:erasure-requested": {}}, {"urn:mydata:event:erasure-due": {}}

2xx: taken. 408, 425, 429, 5xx, no answer: later, with the same `jti`. Everything else: never, given up.
"""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Final

import orjson
from sqlalchemy import ColumnElement, exists

from authz_server.audit.models import AuditEntry
from authz_server.catalogue.model import Text
from authz_server.clients.models import Client
from authz_server.consent import erasure
from authz_server.core import jose, secrets
from authz_server.core.outbound_http import Answer
from authz_server.notices.channels.base import Errand, NotDelivered, Undeliverable, is_one_of
from authz_server.notices.channels.push import Pushed

TYPE: Final = "secevent+jwt"
# RFC 8935 section 2.4: what a receiver may say of a token that it does not take. Its description is for nobody's log.
ERRORS: Final = frozenset(
    {"invalid_request", "invalid_key", "invalid_issuer", "invalid_audience", "authentication_failed", "access_denied"}
)


def _ended(entry: AuditEntry) -> dict[str, Any]:
    return {"ended_by": entry.actor.partition(":")[0]}


# Of which entries of the record, under which name (RFC 8417 section 2.2), and what is said: never why a citizen stopped
# a consent, nor whether it was one of many.
EVENTS: Final[Mapping[str, tuple[str, Callable[[AuditEntry], dict[str, Any]]]]] = {
    "consent.withdrawn": ("urn:mydata:event:consent-ended", _ended),
    erasure.REQUESTED: ("urn:mydata:event:erasure-requested", lambda _: {}),
    erasure.REMINDED: ("urn:mydata:event:erasure-due", lambda _: {}),
}


class Webhook(Pushed):
    """To the client whose consent an entry is about, each at an endpoint of its own."""

    id: ClassVar[str] = "webhook"
    name: ClassVar[Text] = Text(zh="接收者的系統", en="The recipient's own system")
    events: ClassVar[frozenset[str]] = frozenset(EVENTS)

    def entitled(self) -> ColumnElement[bool]:
        listens = exists().where(Client.client_id == AuditEntry.client_id, Client.security_event_endpoint.is_not(None))
        return is_one_of(self.events) & AuditEntry.consent_id.is_not(None) & listens

    def send(self, errand: Errand) -> None:
        client = self._services.registry.client(errand.entry.client_id or "")
        if client is None:  # its registration can't be read at present
            raise NotDelivered("no such client")
        if client.security_event_endpoint is None:
            raise Undeliverable("no endpoint")
        token, kind = self.token(errand).encode(), f"application/{TYPE}"
        self._pusher.push(client.security_event_endpoint, token, content_type=kind, error_in=_error_in)

    def token(self, errand: Errand) -> str:
        """The Security Event Token, with the same claims at each attempt (RFC 8417 section 2.2)."""
        entry = errand.entry
        name, tell = EVENTS[entry.event]
        claims = {
            "iss": self._services.settings.issuer,
            "aud": entry.client_id,
            # Derived, so that no attempt can have another, and that it tells nobody how many events there are.
            "jti": secrets.derive(self._services.secret, "security-event", str(entry.id)),
            "iat": int(errand.created_at.timestamp()),
            "toe": int(entry.at.timestamp()),
            "txn": entry.transaction_id,
            "sub_id": {"format": "opaque", "id": entry.consent_id},
            "events": {name: tell(entry)},
        }
        return jose.sign(claims, self._services.keys.get(jose.OWN_ALG), typ=TYPE)


def _error_in(answer: Answer) -> str | None:
    """What the receiver said of it, if that is one of the words that there are."""
    try:
        said = orjson.loads(answer.body)
    except orjson.JSONDecodeError:
        return None
    error = said.get("err") if isinstance(said, dict) else None
    return error if isinstance(error, str) and error in ERRORS else None
