"""What an identity method is. A method is one file beside this one, and one line in the registry.

A try has three steps, because what is slow in the middle (hashing, asking another server) must not hold a transaction
open: `begin` reads, `prove` decides without the database, `accept` spends what may be used once. The view commits after
the first and the last.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from sqlalchemy.orm import Session

from authz_server.catalogue.model import Text
from authz_server.core.identifiers import CitizenId

Form = Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Field:
    """One input of a method's form. WCAG 2.2, 1.3.5 and 3.3.8: `autocomplete` is set, pasting is never prevented."""

    name: str
    label: Text
    input_type: Literal["text", "password"]
    autocomplete: str
    max_length: int
    inputmode: Literal["text", "numeric"] = "text"
    hint: Text | None = None


class Attempt(Protocol):
    """One try at proving who one is; lives for one request."""

    @property
    def citizen_id(self) -> CitizenId | None:
        """Whose account is tried, None if there is no such account."""

    def prove(self, *, now: datetime) -> None:
        """Examine what was given; slow, takes the same time whatever is wrong, no database.

        Raises: WrongCredentials, PasswordHashingBusy.
        """

    def accept(self, session: Session) -> CitizenId:
        """Spend what may be used once, by one statement, and return who it is; after `prove`. The caller commits.

        Raises: WrongCredentials, if another request spent it first; CitizenSuspended.
        """


class Method(Protocol):
    """A way of proving who one is. Its level is configuration (`method_levels`)."""

    @property
    def id(self) -> str:
        """Its name in settings, forms and the record."""

    @property
    def name(self) -> Text:
        """Its name for people."""

    @property
    def amr(self) -> tuple[str, ...]:
        """Authentication method references (RFC 8176)."""

    @property
    def fields(self) -> tuple[Field, ...]:
        """What its form asks for."""

    def account(self, form: Form) -> str:
        """What is being guessed at, in one spelling, whether or not it exists: failures are counted under it."""

    def begin(self, session: Session, form: Form, *, server_secret: bytes) -> Attempt:
        """Read what is known about the account. Never fails: an unknown account is told apart only in `accept`."""
