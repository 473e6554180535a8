"""What a channel is, and what it is given to deliver."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, ClassVar, Protocol

from sqlalchemy import ColumnElement, exists, func, literal_column, or_

from authz_server.audit.models import AuditEntry
from authz_server.catalogue.model import Text
from authz_server.config import Settings
from authz_server.core.errors import DomainError
from authz_server.counter.service import AnnouncedCode
from authz_server.extensions import Services
from authz_server.identity.contact import CHANGED, Change, Kind
from authz_server.identity.models import CONTACT_CHANGE
from authz_server.identity.sign_in_codes import SignInCode
from authz_server.notices.wording import TOLD


def is_one_of(events: Iterable[str], entry: type[AuditEntry] = AuditEntry) -> ColumnElement[bool]:
    """Of entries: whether they tell of one of these. Written out: PostgreSQL goes through parameters one by one.

    In one order, so that all processes write the same statement.
    """
    return entry.event.in_([literal_column("'{}'".format(event.replace("'", "''"))) for event in sorted(events)])


# A token that ended with its consent, and a consent that ended because everything was stopped: there is one message.
TOLD_WITH_ANOTHER = or_(
    (AuditEntry.event == "token.revoked") & AuditEntry.reason.is_not(None),
    (AuditEntry.event == "consent.withdrawn") & (func.coalesce(AuditEntry.reason, "") == "frozen"),
)
# What there is a message about.
TOLD_HERE = is_one_of(TOLD) & ~TOLD_WITH_ANOTHER


class NotDelivered(DomainError):
    """This attempt failed; there will be another."""

    code = "temporarily_unavailable"
    public = "The message could not be delivered yet."


class NotAsked(NotDelivered):
    """The receiver is left alone for a while, because of what it did with others: this attempt says nothing of it."""


class Undeliverable(NotDelivered):
    """No attempt will ever succeed: the message is given up at once."""


@dataclass(frozen=True, kw_only=True)
class Reader:
    """Who a message is for, and where they are reached."""

    citizen_id: int
    locale: str  # of LOCALES: what the account says, or the default
    email: str | None = field(repr=False)
    phone: str | None = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Errand:
    """One message to deliver. `datasets`: ids of what it is about; `created_at`: when it was made, at each attempt.

    `first_time`: it tells of a consent, and that is the citizen's first to this client, which is no message of its own.
    `change`: it tells of a change of contact data. `barcode`: it brings the one-time code for it to its citizen.
    `sign_in_code`: it brings this. `clerk`: what is read of the name of who presented a barcode, or empty.
    `erase_by`: it asks a client to erase what a consent brought it, by that day.
    `correction`: id and sealed of what is to be sent to an agency; `preparation`: what one is to prepare, or to drop.
    """

    entry: AuditEntry
    reader: Reader
    datasets: tuple[str, ...]
    channel: str
    created_at: datetime
    first_time: bool = False
    change: Change | None = None
    barcode: AnnouncedCode | None = None
    sign_in_code: SignInCode | None = None
    erase_by: date | None = None
    correction: Any | None = None
    preparation: Any | None = field(default=None, repr=False)
    clerk: str = ""


class Channel(Protocol):
    """A way to reach somebody. Made once per process and used by one thread.

    Args: services: its own settings are there, else it is not made.
    Raises (when it is made): OSError, if a file that the settings name can't be read.
    """

    id: ClassVar[str]
    name: ClassVar[Text]
    # Whether it has the messages that can be switched off, if the citizen says nothing; None: nothing can be chosen.
    default: ClassVar[bool | None]
    # Whether making the notice is delivering it, so that there is nothing to send.
    immediate: ClassVar[bool]
    # Whether its reader is the citizen; else the notice is of no citizen, and stays when they leave.
    to_citizen: ClassVar[bool]
    # Of what it may make notices: entries of which no channel does are not looked at.
    events: ClassVar[frozenset[str]]

    def __init__(self, services: Services) -> None: ...

    @staticmethod
    def is_on(settings: Settings) -> bool:
        """Whether this server has it."""

    def entitled(self) -> ColumnElement[bool]:
        """Of which entries it makes notices: a condition on the tables of entries and of their citizens.

        It is asked once, and its answer is used for as long as the process lives.
        """

    def send(self, errand: Errand) -> None:
        """Hand over; returns when the receiver has taken it.  Raises: Undeliverable, NotDelivered."""

    def rest(self) -> None:
        """Nothing more to send for now: let go of connections."""


def replaced(kind: Kind) -> ColumnElement[bool]:
    """The entries that tell of a change by which an address of this kind was given up that had been verified."""
    change = CONTACT_CHANGE.c
    known = exists().where(
        change.citizen_id == AuditEntry.citizen_id,
        change.kind == kind,
        change.settled_at == AuditEntry.at,
        change.previous.is_not(None),
    )
    return (AuditEntry.event == CHANGED) & (AuditEntry.reason == kind) & known
