"""What has arrived, in memory: e-mails by SMTP and text messages; a copy of what is there already is only counted."""

import threading
from dataclasses import asdict, dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

MOST = 1000


@dataclass
class Letter:
    """One message. `copies`: how often it came; a mailbox shows it once."""

    number: int
    kind: str  # e-mail or sms
    key: str  # its Message-ID, or its Idempotency-Key
    to: str
    subject: str
    text: str
    copies: int = 1


class Letters:
    """All of them, for any number of threads; the oldest go when there are too many."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._letters: dict[str, Letter] = {}
        self._count = 0

    def add(self, kind: str, key: str, to: str, subject: str, text: str) -> None:
        """Keep a message, or count the copy."""
        with self._lock:
            if key in self._letters:
                self._letters[key].copies += 1
                return
            self._count += 1
            self._letters[key] = Letter(self._count, kind, key, to, subject, text)
            if len(self._letters) > MOST:
                del self._letters[next(iter(self._letters))]

    def newest_first(self, to: str | None = None) -> list[Letter]:
        """All messages, or those to one address or number."""
        with self._lock:
            return [letter for letter in reversed(self._letters.values()) if to in {None, letter.to}]

    def find(self, number: int) -> Letter | None:
        """One message."""
        return next((letter for letter in self.newest_first() if letter.number == number), None)

    def as_json(self, to: str | None = None) -> list[dict[str, Any]]:
        """For programs."""
        return [asdict(letter) for letter in self.newest_first(to)]


class Postbox:
    """Takes every letter. The names of the methods are aiosmtpd's."""

    def __init__(self, letters: Letters) -> None:
        self._letters = letters

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 - see above
        """Keep a copy for each recipient."""
        content = envelope.content or b""
        octets = content if isinstance(content, bytes) else content.encode()
        letter: EmailMessage = message_from_bytes(octets, policy=policy.default)
        body = letter.get_body(("plain",))
        text = body.get_content() if body is not None else ""
        for recipient in envelope.rcpt_tos:
            key = f"{letter['Message-ID']} {recipient}"
            self._letters.add("e-mail", key, recipient, str(letter["Subject"]), text)
        return "250 OK"


def serve_smtp(letters: Letters, host: str, port: int) -> Controller:
    """Take letters in a thread of its own, from now on."""
    controller = Controller(Postbox(letters), hostname=host, port=port)
    controller.start()
    return controller
