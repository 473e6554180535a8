"""SMS, by a gateway that takes one JSON object a message (docs/deploy.md, "E-mail and SMS").

    POST <url>
    Authorization: Bearer <token>
    Idempotency-Key: <the same at each attempt for one message>
    {"to": "+886900000001", "text": "..."}

Any 2xx: taken. 400, 404, 410, 422: this message will never be taken. Everything else: later.
"""

from typing import ClassVar

import orjson
from sqlalchemy import ColumnElement, exists, or_

from authz_server.audit.models import AuditEntry
from authz_server.catalogue.model import Text
from authz_server.config import Settings
from authz_server.core import outbound_http, secrets
from authz_server.core.outbound_http import FetchError
from authz_server.core.settings import of
from authz_server.counter.desk import ANNOUNCED
from authz_server.extensions import Services
from authz_server.identity.contact import CHANGED, PROPOSED
from authz_server.identity.models import Citizen
from authz_server.notices.channels.base import TOLD_HERE, Errand, NotDelivered, Undeliverable, is_one_of, replaced
from authz_server.notices.letter import Writer
from authz_server.notices.models import CHOICE
from authz_server.notices.wording import SECURITY, TOLD

NEVER = frozenset({400, 404, 410, 422})
TIMEOUT_S = 20.0


class Sms:
    """To the telephone that the citizen has verified: what concerns security, the rest if they want it there too."""

    id: ClassVar[str] = "sms"
    name: ClassVar[Text] = Text(zh="手機簡訊", en="Text message")
    default: ClassVar[bool | None] = False
    immediate: ClassVar[bool] = False
    to_citizen: ClassVar[bool] = True
    events: ClassVar[frozenset[str]] = frozenset({*TOLD, ANNOUNCED, PROPOSED})

    def __init__(self, services: Services) -> None:
        gateway = services.settings.sms
        assert gateway is not None  # noqa: S101 - see `is_on`
        self._url = gateway.url
        with of("sms.token_file"):
            self._token = gateway.token_file.read_text(encoding="utf-8").strip()
        self._secret = services.secret
        # The operator has named this host: it may be one of a private network.
        self._allowed = frozenset({outbound_http.authority(gateway.url)})
        self._writer = Writer(services)

    @staticmethod
    def is_on(settings: Settings) -> bool:
        return settings.sms is not None

    def entitled(self) -> ColumnElement[bool]:
        wanted = exists().where(CHOICE.c.citizen_id == Citizen.id, CHOICE.c.channel == self.id, CHOICE.c.wanted)
        reached = Citizen.phone.is_not(None) & Citizen.phone_verified_at.is_not(None)
        own = TOLD_HERE & (Citizen.phone_verified_at <= AuditEntry.at) & or_(is_one_of(SECURITY), wanted)
        code = AuditEntry.event == ANNOUNCED  # somebody waits for it, whatever two hosts' clocks say
        return (reached & (own | code)) | ((AuditEntry.event == PROPOSED) & (AuditEntry.reason == "phone"))

    def send(self, errand: Errand) -> None:
        phone = self.number(errand)
        if phone is None:
            raise Undeliverable("no number")
        key = secrets.derive(self._secret, "message-id", str(errand.entry.id), errand.channel)
        try:
            answer = outbound_http.post(
                self._url,
                orjson.dumps({"to": phone, "text": self._writer.write_short(errand)}),
                content_type="application/json",
                headers={"Authorization": f"Bearer {self._token}", "Idempotency-Key": key},
                allowed_hosts=self._allowed,
                timeout_s=TIMEOUT_S,
            )
        except FetchError as error:
            raise NotDelivered(error.detail) from None
        if answer.status in NEVER:
            raise Undeliverable(f"status {answer.status}")
        if not 200 <= answer.status < 300:
            raise NotDelivered(f"status {answer.status}")

    def number(self, errand: Errand) -> str | None:
        """Where it goes; a code to the number that is to be verified by it."""
        if errand.entry.event == PROPOSED:
            return errand.change.value if errand.change else None
        return errand.reader.phone

    def rest(self) -> None:
        """Each message has a connection of its own."""


class SmsBefore(Sms):
    """To the number that was just replaced or removed, of that alone."""

    id: ClassVar[str] = "sms_before"
    name: ClassVar[Text] = Text(zh="先前的電話號碼", en="Your telephone number until then")
    default: ClassVar[bool | None] = None
    events: ClassVar[frozenset[str]] = frozenset({CHANGED})

    def entitled(self) -> ColumnElement[bool]:
        return replaced("phone")

    def number(self, errand: Errand) -> str | None:
        return errand.change.previous if errand.change else None
