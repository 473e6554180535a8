"""E-mail: text and simple HTML, both languages, by the operator's SMTP server.

A letter keeps its Message-ID through all attempts. If this process dies between the server's 250 and our commit, the
letter is sent a second time, and a mailbox that knows the Message-ID shows it once.
"""

from email.header import Header
from email.message import Message
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from email.utils import format_datetime, formataddr, parseaddr
from typing import ClassVar
from urllib.parse import urlsplit

from sqlalchemy import ColumnElement, exists, or_

from authz_server.audit.models import AuditEntry
from authz_server.catalogue.model import Text
from authz_server.clients.models import Client
from authz_server.config import Settings
from authz_server.core import secrets
from authz_server.core.outbound_mail import MailPostponed, MailRefused, MailServer, Postman
from authz_server.core.settings import of
from authz_server.counter.desk import ANNOUNCED
from authz_server.extensions import Services
from authz_server.identity.contact import CHANGED, PROPOSED
from authz_server.identity.models import Citizen
from authz_server.identity.sign_in_codes import SENT
from authz_server.notices.channels.base import TOLD_HERE, Errand, NotDelivered, Undeliverable, is_one_of, replaced
from authz_server.notices.client_letter import TO_CLIENTS, ClientWriter
from authz_server.notices.letter import Writer
from authz_server.notices.models import CHOICE
from authz_server.notices.wording import SECURITY, TOLD


class Email:
    """To the address that the citizen has verified; on unless they switched it off."""

    id: ClassVar[str] = "email"
    name: ClassVar[Text] = Text(zh="電子郵件", en="E-mail")
    default: ClassVar[bool | None] = True
    immediate: ClassVar[bool] = False
    to_citizen: ClassVar[bool] = True
    events: ClassVar[frozenset[str]] = frozenset({*TOLD, ANNOUNCED, SENT, PROPOSED})
    writer: ClassVar[type[Writer]] = Writer

    def __init__(self, services: Services) -> None:
        mail = services.settings.mail
        assert mail is not None  # noqa: S101 - see `is_on`
        self._secret = services.secret
        self._host = urlsplit(services.settings.issuer).hostname or "localhost"
        self._issuer = services.settings.issuer
        self._registry = services.registry
        self._writer = self.writer(services)
        name, self._sender = parseaddr(mail.sender)
        self._from = formataddr((name, self._sender))
        with of("mail.password_file"):
            password = mail.password_file.read_text(encoding="utf-8").strip() if mail.password_file else None
        self._postman = Postman(
            MailServer(
                host=mail.host, port=mail.port, tls=mail.tls, greeting=self._host, user=mail.user, password=password
            )
        )

    @staticmethod
    def is_on(settings: Settings) -> bool:
        return settings.mail is not None

    def entitled(self) -> ColumnElement[bool]:
        declined = exists().where(CHOICE.c.citizen_id == Citizen.id, CHOICE.c.channel == self.id, ~CHOICE.c.wanted)
        reached = Citizen.email.is_not(None) & Citizen.email_verified_at.is_not(None)
        # What happened before the address was verified was told elsewhere.
        told = TOLD_HERE & or_(is_one_of(SECURITY), ~declined) & (Citizen.email_verified_at <= AuditEntry.at)
        # Of a code its sender asks, and not two hosts' clocks: somebody waits for it.
        code = is_one_of((ANNOUNCED, SENT))
        return (reached & (told | code)) | ((AuditEntry.event == PROPOSED) & (AuditEntry.reason == "email"))

    def send(self, errand: Errand) -> None:
        recipient = self.address(errand)
        if recipient is None:
            raise Undeliverable("no address")
        try:
            self._postman.send(self.letter(errand, recipient), sender=self._sender, recipient=recipient)
        except MailRefused as error:
            raise Undeliverable(error.detail) from None
        except MailPostponed as error:
            raise NotDelivered(error.detail) from None

    def address(self, errand: Errand) -> str | None:
        """Where it goes; a code to the address that is to be verified by it."""
        if errand.entry.event == PROPOSED:
            return errand.change.value if errand.change else None
        return errand.reader.email

    def rest(self) -> None:
        self._postman.rest()

    def letter(self, errand: Errand, recipient: str) -> Message:
        """The letter as it goes out, the same at each attempt."""
        written = self._writer.write(errand)
        # Derived, so that it tells nobody how many messages there are.
        known = secrets.derive(self._secret, "message-id", str(errand.entry.id), errand.channel)
        # The library's elder classes: the newer ones parse each header that they are given, which costs more than all
        # the rest of a letter.
        letter = MIMEMultipart("alternative", boundary=known)
        letter["Subject"] = Header(written.subject, "utf-8", header_name="Subject").encode()
        letter["From"] = self._from
        letter["To"] = formataddr(("", recipient))
        letter["Date"] = format_datetime(errand.created_at)
        letter["Message-ID"] = f"<{known}@{self._host}>"
        letter["List-Id"] = f"<notices.{self._host}>"  # RFC 2919
        letter["Auto-Submitted"] = "auto-generated"  # RFC 3834: no reply by machines
        if self.to_citizen and errand.entry.event not in {*SECURITY, SENT}:
            letter["List-Unsubscribe"] = f"<{self._issuer}/account/notices>"  # RFC 2369
        letter.attach(MIMEText(written.as_text(), "plain", "utf-8"))
        letter.attach(MIMEText(written.as_html(), "html", "utf-8"))
        return letter


class EmailBefore(Email):
    """To the address that was just replaced or removed, of that alone."""

    id: ClassVar[str] = "email_before"
    name: ClassVar[Text] = Text(zh="先前的電子郵件地址", en="Your e-mail address until then")
    default: ClassVar[bool | None] = None
    events: ClassVar[frozenset[str]] = frozenset({CHANGED})

    def entitled(self) -> ColumnElement[bool]:
        return replaced("email")

    def address(self, errand: Errand) -> str | None:
        return errand.change.previous if errand.change else None


class EmailToClient(Email):
    """To the contact address of a client that registered no endpoint for events: what it has to answer."""

    id: ClassVar[str] = "email_client"
    name: ClassVar[Text] = Text(zh="接收者的電子郵件地址", en="The recipient's e-mail address")
    default: ClassVar[bool | None] = None
    to_citizen: ClassVar[bool] = False
    events: ClassVar[frozenset[str]] = frozenset(TO_CLIENTS)
    writer: ClassVar[type[Writer]] = ClientWriter

    def entitled(self) -> ColumnElement[bool]:
        has_none = exists().where(Client.client_id == AuditEntry.client_id, Client.security_event_endpoint.is_(None))
        return is_one_of(self.events) & AuditEntry.consent_id.is_not(None) & has_none

    def address(self, errand: Errand) -> str | None:
        client = self._registry.client(errand.entry.client_id or "")
        if client is None:  # its registration can't be read at present
            raise NotDelivered("no such client")
        return client.contact_email or None
