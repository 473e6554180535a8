"""The only way out of the authorization server by e-mail: to the operator's own SMTP server, over verified TLS.

Whether a letter arrived is known only if the server said 250 to it. Everything else is either `MailRefused` (this
letter will never be taken) or `MailPostponed` (try later; it may have arrived all the same, so keep its Message-ID).
"""

import contextlib
import smtplib
import socket
import ssl
import time
from dataclasses import dataclass, field
from email.message import Message
from typing import Literal, get_args

from authz_server.core.cut_off import cut_off
from authz_server.core.errors import DomainError

Tls = Literal["starttls", "implicit", "none"]
TLS_MODES: tuple[str, ...] = get_args(Tls)
TIMEOUT_S = 60.0  # for one letter, from connect to the last answer
PARTING_S = 5.0


class MailError(DomainError):
    """A letter was not handed over."""

    code = "temporarily_unavailable"
    public = "The e-mail could not be sent."


class MailRefused(MailError):
    """The server will never take this letter: a 5xx reply to its address or to its content."""


class MailPostponed(MailError):
    """The server could not be reached or trusted, or said "later". It is not known that the letter did not arrive."""


@dataclass(frozen=True, kw_only=True)
class MailServer:
    """Where letters are handed over. Args: greeting: the name that we give ourselves (EHLO)."""

    host: str
    port: int
    tls: Tls
    greeting: str
    user: str | None = None
    password: str | None = field(default=None, repr=False)


class Postman:
    """Hands over one letter after the other by the same connection, until it `rest`s. For one thread."""

    def __init__(self, server: MailServer, *, timeout_s: float = TIMEOUT_S) -> None:
        self._server = server
        self._timeout_s = timeout_s
        self._line: _Line | None = None

    def send(self, letter: Message, *, sender: str, recipient: str) -> None:
        """Return when the server has said that the letter is its affair now.

        Args: sender, recipient: bare addresses, for the envelope.  Raises: MailRefused, MailPostponed.
        """
        # Seven bits only: not every server on the way says 8BITMIME.
        octets = letter.as_bytes(policy=letter.policy.clone(linesep="\r\n", cte_type="7bit"))
        deadline = time.monotonic() + self._timeout_s
        try:
            line = self._standing(deadline) or self._connect(deadline)
            with cut_off(line.raw, deadline):
                line.sendmail(sender, [recipient], octets)
        except smtplib.SMTPRecipientsRefused as error:
            raise _judged(error.recipients[recipient][0], "recipient") from None
        except smtplib.SMTPDataError as error:
            raise _judged(error.smtp_code, "content") from None
        except (smtplib.SMTPException, OSError, ValueError) as error:
            self.rest()
            raise MailPostponed(_told(error)) from None

    def rest(self) -> None:
        """Close the connection, if there is one; the next letter opens another."""
        line, self._line = self._line, None
        if line is not None:
            with contextlib.suppress(smtplib.SMTPException, OSError), cut_off(line.raw, time.monotonic() + PARTING_S):
                line.quit()
            line.end()

    def _standing(self, deadline: float) -> "_Line | None":
        """The connection of the last letter, if the server still holds it."""
        if self._line is None:
            return None
        with contextlib.suppress(smtplib.SMTPException, OSError), cut_off(self._line.raw, deadline):
            if self._line.noop()[0] == 250:
                return self._line
        self.rest()
        return None

    def _connect(self, deadline: float) -> "_Line":
        server = self._server
        raw = socket.create_connection((server.host, server.port), timeout=max(0.1, deadline - time.monotonic()))
        line = _Line(raw, server)
        try:
            with cut_off(line.raw, deadline):
                line.open()
        except BaseException:
            line.end()
            raise
        self._line = line
        return line


class _Line(smtplib.SMTP):
    """A connection over a socket of ours; `raw` stays a way to cut it when TLS has taken the socket over.

    The certificate is that of the name in the settings; and where TLS is wanted, nothing goes without it, whatever the
    server offers or leaves out (RFC 8314 section 3).
    """

    def __init__(self, raw: socket.socket, server: MailServer) -> None:
        self.raw = raw.dup()
        self.wrapped = raw
        self.server = server
        super().__init__(local_hostname=server.greeting, timeout=raw.gettimeout() or TIMEOUT_S)
        self._host = server.host  # whose certificate STARTTLS asks for

    def open(self) -> None:
        """Get as far as letters are taken.  Raises: SMTPException, OSError."""
        server = self.server
        if server.tls == "implicit":
            self.wrapped = ssl.create_default_context().wrap_socket(self.wrapped, server_hostname=server.host)
        code, _ = self.connect(server.host, server.port)
        if code != 220:
            raise smtplib.SMTPConnectError(code, "")
        if server.tls == "starttls":
            self.starttls(context=ssl.create_default_context())
        if server.user is not None:
            self.login(server.user, server.password or "")

    def end(self) -> None:
        """Let go of every socket."""
        self.close()
        self.wrapped.close()
        self.raw.close()

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        return self.wrapped


def _judged(code: int, what: str) -> MailError:
    told = f"{what}: {code}"
    return MailRefused(told) if 500 <= code < 600 else MailPostponed(told)


def _told(error: Exception) -> str:
    """The kind of error and the server's code; never its words, which may quote the address."""
    code = f": {error.smtp_code}" if isinstance(error, smtplib.SMTPResponseException) else ""
    return f"{type(error).__name__}{code}"
