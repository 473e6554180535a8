"""What an identity method is, and how to add one.

A method is one module in this folder (`<id>.py`), one line in `registry.py`, and one line in `BEST_LEVELS` and, if it
works without being configured, in the default `method_levels` of `authz_server/config.py`. It is offered where
`method_levels` has a line for it and `available` says yes. Its template, if it has one of its own, is
`templates/sign_in/<id>.html`; a set-up page is `templates/methods/<id>.html`.

Every way in ends in the same place, `entry.submit`:

    count the attempt (lock-out)  ->  begin  ->  commit  ->  prove  ->  accept  ->  session, record, commit

because what is slow in the middle (hashing, asking another server) must not hold a transaction open: `begin` reads,
`prove` decides without the database, `accept` spends what may be used once by one statement.

**A method that is one form** derives from `FormMethod`: it names its `fields`, and how a filled-in form becomes an
`Attempt`. See `password_totp.py`. It needs no route.

**A method with routes of its own** derives from `Method`, and puts them into a Flask blueprint in its module:

    use = Blueprint("passkey", __name__)

    class Passkey(Method):
        id, name, amr = "passkey", Text(zh="...", en="..."), ("hwk", "user")   # RFC 8176
        refused = Text(zh="...", en="...")            # what the page says when the proof was not accepted
        action = "/sign-in/passkey"                   # where the sign-in page posts its form if this method is chosen
        template = "sign_in/passkey.html"             # what stands in that form: see sign_in/fields.html
        set_up = "passkey.set_up"                     # endpoint of the set-up page; None: nothing is to be set up
        blueprint = use

    PASSKEY = Passkey()

    @use.post("/sign-in/passkey/challenge")           # the first step: a question that only this browser may answer
    @entry.received(PASSKEY)                          # token, language switch, cancelling, level: all done by it
    def ask(visit, form):
        handle = entry.challenge(visit, PASSKEY, kind="sign_in", payload={...}, ttl=PATIENCE, now=clock.now())
        db.session.commit()
        return entry.page(visit, PASSKEY, shown={"handle": handle})     # or JSON, or a redirect to another server

    @use.post("/sign-in/passkey")                     # the last step
    @entry.received(PASSKEY)
    def answer(visit, form):
        handle = form.get("handle", "")
        return entry.submit(
            visit, PASSKEY, account=form.get("credential"),         # what is guessed at; None: only the address counts
            begin=lambda session: begin(session, form, challenge=entry.answered(session, PASSKEY, "sign_in", handle)),
        )

`entry.challenge` keeps what the visit is for, so a provider's redirect back (a GET, which carries no form) finds it by
`entry.returned(session, method, kind, handle)`. A challenge is a row of `identity_challenge`: of one method and kind,
for the browser that asked, spent by one statement; the handle is 256 random bits (use its octets as the nonce or the
WebAuthn challenge), and only its digest is kept. `answered` gives None for a handle that is unknown, used, too old or
another browser's: `begin` must not raise then, it returns an `Attempt` whose `prove` raises `WrongCredentials`.

**Set-up pages** are routes `/account/methods/<id>` of the same blueprint:

    @use.route("/account/methods/passkey", methods=["GET", "POST"])
    @enrolment.may_add(PASSKEY)                       # signed in, freshly, and strongly enough for this method
    def set_up(signed_in): ...

with `csrf` as on every page (action `enrolment.action(PASSKEY)`), challenges by `enrolment.challenge`
and `enrolment.answered`, and `enrolment.add(...)` at the end, which binds the credential and writes the record entry.
The view commits, and redirects to `enrolment.ADDED`.

Finally: each route under /sign-in named as open to anyone in `tests/support/callers.py`, the texts translated, the
method's tests in `tests/identity/test_<id>.py`, its settings in docs/deploy.md, its sign-in page in
`tests/browser/test_accessibility.py`. A script is a file in `static/`, and allowed to the page whose template has
`{{ script('name') }}`.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from datetime import date, datetime
from typing import Any, ClassVar, Literal, Protocol

from flask import Blueprint
from sqlalchemy.orm import Session

from authz_server.catalogue.model import Text
from authz_server.config import Settings
from authz_server.core.identifiers import CitizenId
from authz_server.identity import credentials, lockout
from authz_server.identity.lockout import Door

Form = Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Option:
    """One of the values that a field may have."""

    value: str
    label: Text


@dataclass(frozen=True, kw_only=True)
class Field:
    """One input of a method's form. WCAG 2.2, 1.3.5 and 3.3.8: `autocomplete` is set, pasting is never prevented."""

    name: str
    label: Text
    autocomplete: str
    max_length: int
    input_type: Literal["text", "password"] = "text"
    inputmode: Literal["text", "numeric"] = "text"
    hint: Text | None = None
    repeated: bool = False  # shown again after a refusal; never for anything secret
    options: tuple[Option, ...] = ()  # if there are any, one of them is chosen


@dataclass(frozen=True, kw_only=True)
class Accepted:
    """Who has proved it. `amr` and `level` only where this one proof differs from what the method says of all.

    A level is never better than the one that the settings give the method. `event`: what the record says besides.
    """

    citizen_id: CitizenId
    amr: tuple[str, ...] | None = None
    level: int | None = None
    event: str | None = None


@dataclass(frozen=True, kw_only=True)
class Held:
    """One thing that a citizen has set up, as the list of their ways to sign in shows it.

    `credential_id` None: it can't be removed there; `level` None: that of the method; `valid_until`: its last day,
    if it has one; `note`: what else is to be known.
    """

    credential_id: int | None
    label: str = dataclass_field(repr=False)
    added_at: datetime
    last_used_at: datetime | None
    level: int | None = None
    valid_until: date | None = None
    note: Text | None = None


class Attempt(Protocol):
    """One try at proving who one is; lives for one request."""

    @property
    def citizen_id(self) -> CitizenId | None:
        """Whose account is tried, None if there is no such account, or none is known (yet)."""

    def prove(self, *, now: datetime) -> None:
        """Examine what was given; slow, takes the same time whatever is wrong, no database.

        Raises: WrongCredentials; PasswordHashingBusy, MethodUnavailable: nobody's failure, the attempt is taken back.
        """

    def accept(self, session: Session) -> Accepted:
        """Spend what may be used once, by one statement, and return who it is; after `prove`. The caller commits.

        Raises: WrongCredentials, if another request spent it first; CitizenSuspended.
        """


class Method(ABC):
    """A way of proving who one is. Its level is configuration (`method_levels`)."""

    id: ClassVar[str]  # in settings, forms, the record
    name: ClassVar[Text]
    amr: ClassVar[tuple[str, ...]]  # authentication method references (RFC 8176)
    refused: ClassVar[Text]  # said when a proof was not accepted, whatever was wrong with it
    fields: ClassVar[tuple[Field, ...]] = ()
    action: ClassVar[str] = "/sign-in"
    template: ClassVar[str] = "sign_in/fields.html"
    set_up: ClassVar[str | None] = None
    several: ClassVar[bool] = True  # whether a citizen may set up more than one
    change: ClassVar[str | None] = None  # endpoint of a page where what is set up is changed
    blueprint: ClassVar[Blueprint | None] = None
    # Any session that opens a fetch may add it: it proves by itself whose it is (a certificate with the name in it).
    added_by_any: ClassVar[bool] = False
    # Failures after which an account is locked for this method, if it is to be fewer than the settings say.
    most_failures: ClassVar[int | None] = None

    def available(self, settings: Settings) -> bool:
        """Whether everything is configured that the method needs."""
        return True

    def shown_again(self, form: Form) -> Mapping[str, Any]:
        """What its template is given as `shown` when the page is made anew from a form that was not looked at: the
        language was switched in the middle, or the form was too old."""
        return {}

    def offered(self, settings: Settings) -> bool:
        """Whether this server has the method at all."""
        return self.id in settings.method_levels and self.available(settings)

    def level_of(self, bound: credentials.Bound) -> int | None:
        """What a sign-in by this one is worth, if that differs from what the settings say of the method."""
        return None

    def held(self, session: Session, citizen_id: int) -> Sequence[Held]:
        """What the citizen has set up of this method, the oldest first."""
        return [self.shown_as(bound) for bound in credentials.of_citizen(session, citizen_id, method=self.id)]

    def shown_as(self, bound: credentials.Bound) -> Held:
        """How the list shows this one."""
        return Held(
            credential_id=bound.id,
            label=bound.label,
            added_at=bound.created_at,
            last_used_at=bound.last_used_at,
            level=self.level_of(bound),
        )

    def shown(self, settings: Settings, *, needed_level: int | None) -> Mapping[str, Any]:
        """What its template is given, as `shown`, each time; its routes may add to it."""
        return {}

    def doors(self, account: str | None, address: str | None, settings: Settings) -> Sequence[Door]:
        """Where an attempt is counted: where it comes from, then what is guessed at, if anything is."""
        where = lockout.address_door(address, settings.limits)
        if account is None:
            return (where,)
        return (where, lockout.account_door(self.id, account, settings.limits, most=self.most_failures))


class FormMethod(Method):
    """A method that is one form on the sign-in page."""

    @abstractmethod
    def account(self, form: Form) -> str:
        """What is being guessed at, in one spelling, whether or not it exists: failures are counted under it."""

    @abstractmethod
    def begin(self, session: Session, form: Form, *, server_secret: bytes) -> Attempt:
        """Read what is known about the account. Never fails: an unknown account is told apart only in `accept`."""
