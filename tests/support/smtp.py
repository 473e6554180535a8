"""A real SMTP server in this process, for what sends e-mail: it takes letters as told, and keeps them in memory."""

import asyncio
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any, Literal

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from authz_server.core.outbound_mail import MailServer

USER, PASSWORD = "mydata", "the sandbox's own"


@dataclass
class PostOffice:
    """What arrived, and how the next letters are answered: a reply instead of 250, or `drop` in the middle."""

    port: int = 0
    letters: list[EmailMessage] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)
    rcpt: str = ""
    data: str = ""
    drop: bool = False
    hold: Literal["", "untaken", "taken"] = ""  # no answer to a letter: before or after we count it as ours
    held: int = 0
    talks: list[SMTP] = field(default_factory=list)
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)

    async def _forever(self) -> None:
        self.held += 1
        await asyncio.Event().wait()

    @property
    def connections(self) -> int:
        """How many there have been."""
        return len(self.talks)

    def hang_up(self) -> None:
        """Close every connection, as a server does that has waited long enough."""
        for talk in self.talks:
            self.loop.call_soon_threadsafe(_abort, talk)

    def server(self, **changes: Any) -> MailServer:
        """How it is reached."""
        known: dict[str, Any] = {"host": "localhost", "port": self.port, "tls": "starttls", "greeting": "id.example"}
        return MailServer(**known | changes)

    async def handle_RCPT(  # noqa: N802 - the library's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self.rcpt:
            return self.rcpt
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 - likewise
        if self.drop:
            _abort(server)
        if self.hold == "untaken":
            await self._forever()
        if self.data or self.drop:
            return self.data or "250 OK"
        letter = message_from_bytes(envelope.content or b"", policy=policy.default)  # type: ignore[arg-type]  # bytes, as asked
        self.letters.append(letter)
        self.recipients += envelope.rcpt_tos
        if self.hold == "taken":
            await self._forever()
        return "250 OK"


@contextmanager
def post_office(
    *, tls: Literal["starttls", "implicit", "none"] = "none", certificate: Path | None = None, with_auth: bool = False
) -> Iterator[PostOffice]:
    """Serve SMTP on a free port of loopback, in a thread of its own, until the block ends.

    Args: with_auth: only `USER` may send; with STARTTLS, for the library offers it nowhere else.
    """
    office = PostOffice()
    more: dict[str, Any] = {"hostname": "127.0.0.1", "loop": office.loop}
    context = None
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
    if context is not None and tls == "starttls":
        more |= {"tls_context": context, "require_starttls": True}
    if with_auth:
        more |= {"authenticator": _authenticate, "auth_required": True}
    implicit = context if tls == "implicit" else None

    def talk() -> SMTP:
        office.talks.append(SMTP(office, **more))
        return office.talks[-1]

    # All of it in the thread: in this one another loop may be running, that of a browser's driver.
    thread = threading.Thread(target=office.loop.run_forever, daemon=True)
    thread.start()
    opening = office.loop.create_server(talk, "127.0.0.1", 0, ssl=implicit)
    server = asyncio.run_coroutine_threadsafe(opening, office.loop).result()
    office.port = server.sockets[0].getsockname()[1]
    try:
        yield office
    finally:
        office.loop.call_soon_threadsafe(server.close)
        office.hang_up()
        asyncio.run_coroutine_threadsafe(office.loop.shutdown_asyncgens(), office.loop).result()
        office.loop.call_soon_threadsafe(office.loop.call_later, 0.05, office.loop.stop)
        thread.join()
        office.loop.close()


def _abort(talk: SMTP) -> None:
    if isinstance(talk.transport, asyncio.Transport):
        talk.transport.abort()


def _authenticate(server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
    right = isinstance(data, LoginPassword) and (data.login, data.password) == (USER.encode(), PASSWORD.encode())
    return AuthResult(success=right, handled=False)
