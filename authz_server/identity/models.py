"""Tables of citizens, what they prove who they are with, their sessions and browsers, and what locks a door."""

from datetime import date, datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, ColumnElement, ForeignKey, FromClause, Index, LargeBinary, String, exists, text
from sqlalchemy.orm import Mapped, mapped_column

from authz_server.database import Base, BigKey, table_of

LEFT = text("left_at IS NOT NULL")


class Citizen(Base):
    """A person with an account. Credentials are None where the citizen has not set that method up.

    Of who has left, an empty shell stays for as long as the record that points at it: a number that leads to nobody.
    """

    __tablename__ = "citizen"
    __table_args__ = (Index("ix_citizen_left_at", "left_at", sqlite_where=LEFT, postgresql_where=LEFT),)

    id: Mapped[int] = mapped_column(BigKey, primary_key=True, init=False)
    username: Mapped[str] = mapped_column(String(64), unique=True, repr=False)
    name: Mapped[str] = mapped_column(String(100), repr=False)
    national_id: Mapped[str] = mapped_column(String(10), unique=True, repr=False)
    birthdate: Mapped[date] = mapped_column(repr=False)
    created_at: Mapped[datetime]
    email: Mapped[str | None] = mapped_column(String(254), repr=False, default=None)
    email_verified_at: Mapped[datetime | None] = mapped_column(default=None)  # since when notices go there
    phone: Mapped[str | None] = mapped_column(String(20), repr=False, default=None)
    phone_verified_at: Mapped[datetime | None] = mapped_column(default=None)
    locale: Mapped[str] = mapped_column(String(10), default="")  # as long as nobody chose one: none
    suspended_at: Mapped[datetime | None] = mapped_column(default=None)  # by the operator: nothing works, no sign-in
    frozen_at: Mapped[datetime | None] = mapped_column(default=None)  # by themselves: nothing of theirs is shared
    # Since when two different methods, or the operator face to face, have said who it is; never taken back.
    verified_at: Mapped[datetime | None] = mapped_column(default=None)
    left_at: Mapped[datetime | None] = mapped_column(default=None)  # for good; who has left is suspended as well
    password_hash: Mapped[str | None] = mapped_column(String(200), repr=False, default=None)  # argon2id
    totp_secret_encrypted: Mapped[bytes | None] = mapped_column(LargeBinary(128), repr=False, default=None)
    # Time step of the last one-time code that was accepted: it and all older ones are worthless (RFC 6238 section 5.2).
    totp_last_step: Mapped[int] = mapped_column(BigInteger, default=0)


class Credential(Base):
    """Something that a citizen has bound to the account: a passkey, a certificate. Passwords stand in `citizen`.

    `external_id` is by what it is found when somebody presents it; of those in force it is unique within a method.
    """

    __tablename__ = "credential"
    __table_args__ = (
        Index("ix_credential_citizen_id", "citizen_id"),
        Index(
            "uq_credential_method_external_id",
            "method",
            "external_id",
            unique=True,
            sqlite_where=text("removed_at IS NULL"),
            postgresql_where=text("removed_at IS NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(BigKey, primary_key=True, init=False)
    citizen_id: Mapped[int] = mapped_column(BigKey, ForeignKey("citizen.id"))
    method: Mapped[str] = mapped_column(String(40))
    external_id: Mapped[str] = mapped_column(String(1400), repr=False)
    label: Mapped[str] = mapped_column(String(100), repr=False)  # by which the citizen knows it again
    data: Mapped[dict[str, Any]] = mapped_column(JSON, repr=False)  # nothing secret
    created_at: Mapped[datetime]
    secret: Mapped[bytes | None] = mapped_column(LargeBinary(1000), repr=False, default=None)  # encrypted or hashed
    last_used_at: Mapped[datetime | None] = mapped_column(default=None)
    removed_at: Mapped[datetime | None] = mapped_column(index=True, default=None)


class IdentityChallenge(Base):
    """A question to somebody who is about to prove who they are, or a journey elsewhere and back; answered once."""

    __tablename__ = "identity_challenge"

    digest: Mapped[bytes] = mapped_column(LargeBinary(32), primary_key=True, repr=False)
    method: Mapped[str] = mapped_column(String(40))
    kind: Mapped[str] = mapped_column(String(40))
    citizen_id: Mapped[int | None] = mapped_column(BigKey, ForeignKey("citizen.id"))  # None: not known who it will be
    browser: Mapped[bytes] = mapped_column(LargeBinary(32), repr=False)  # digest of a cookie: nobody else may answer
    payload: Mapped[dict[str, Any]] = mapped_column(JSON, repr=False)
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)
    used_at: Mapped[datetime | None] = mapped_column(default=None)


class CitizenSession(Base):
    """A browser in which a citizen has signed in. Expiry is enforced when it is read."""

    __tablename__ = "citizen_session"
    __table_args__ = (Index("ix_citizen_session_citizen_id", "citizen_id"),)

    digest: Mapped[bytes] = mapped_column(LargeBinary(32), primary_key=True, repr=False)
    citizen_id: Mapped[int] = mapped_column(BigKey, ForeignKey("citizen.id"))
    level: Mapped[int]
    amr: Mapped[list[str]] = mapped_column(JSON)  # RFC 8176
    auth_time: Mapped[datetime]  # of the strongest proof, the newest of them
    proofs: Mapped[list[dict[str, Any]]] = mapped_column(JSON)  # method, level, at, amr: every one of this sign-in
    created_at: Mapped[datetime]
    last_seen_at: Mapped[datetime]
    idle_until: Mapped[datetime]  # moves on with use
    expires_at: Mapped[datetime] = mapped_column(index=True)  # never moves
    ended_at: Mapped[datetime | None] = mapped_column(default=None)
    browser: Mapped[bytes | None] = mapped_column(LargeBinary(32), repr=False, default=None)  # see KnownBrowser
    browser_kind: Mapped[str] = mapped_column(String(40), default="/", server_default="/")  # as in Firefox/Windows


class KnownBrowser(Base):
    """A browser in which a citizen has signed in before, by the digest of a cookie: another one is told of."""

    __tablename__ = "known_browser"

    citizen_id: Mapped[int] = mapped_column(BigKey, ForeignKey("citizen.id"), primary_key=True)
    digest: Mapped[bytes] = mapped_column(LargeBinary(32), primary_key=True, repr=False)
    last_used_at: Mapped[datetime] = mapped_column(index=True)


class SignInAttempt(Base):
    """Failures to sign in, counted per thing that is guessed at, in one place for all processes.

    The row is written before the credentials are looked at and taken back when they were right, so that guesses made
    at the same moment are counted as well. `key` is a digest: it may stand for an account that does not exist.
    """

    __tablename__ = "sign_in_attempt"

    kind: Mapped[str] = mapped_column(String(20), primary_key=True)  # account, address, desk, ...: whoever counts says
    key: Mapped[bytes] = mapped_column(LargeBinary(32), primary_key=True, repr=False)
    failures: Mapped[int]
    window_started_at: Mapped[datetime] = mapped_column(index=True)
    locked_until: Mapped[datetime | None] = mapped_column(default=None)


class ContactChange(Base):
    """An address that a citizen wants to be reached at (None: at none any more), and whether it has been verified.

    Its code is derived from the row and the server's secret, so nothing of it rests here. At most one row of a citizen
    and kind is open: not settled, not expired, with tries left.
    """

    __tablename__ = "contact_change"
    __table_args__ = (
        Index("ix_contact_change_citizen_id", "citizen_id", "kind"),
        Index("ix_contact_change_created_at", "created_at"),
    )

    id: Mapped[int] = mapped_column(BigKey, primary_key=True, init=False)
    citizen_id: Mapped[int] = mapped_column(BigKey, ForeignKey("citizen.id"))
    kind: Mapped[str] = mapped_column(String(10))  # email or phone
    value: Mapped[str | None] = mapped_column(String(254), repr=False)
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    tries: Mapped[int] = mapped_column(default=0)
    settled_at: Mapped[datetime | None] = mapped_column(default=None)
    previous: Mapped[str | None] = mapped_column(String(254), repr=False, default=None)  # which was verified until then


# For statements that are built once, without the identity map.
CITIZEN = table_of(Citizen)
CREDENTIAL = table_of(Credential)
IDENTITY_CHALLENGE = table_of(IdentityChallenge)
CITIZEN_SESSION = table_of(CitizenSession)
KNOWN_BROWSER = table_of(KnownBrowser)
CONTACT_CHANGE = table_of(ContactChange)
SIGN_IN_ATTEMPT = table_of(SignInAttempt)


def held_in(citizen: FromClause) -> ColumnElement[bool]:
    """Of the table of citizens, or an alias of it: whether nothing of theirs is shared."""
    return citizen.c.suspended_at.is_not(None) | citizen.c.frozen_at.is_not(None)


HELD = held_in(CITIZEN)  # a part of every statement that decides on a code, a token or a transfer


def held(citizen_id: ColumnElement[Any]) -> ColumnElement[bool]:
    """The same of whom this column or parameter names, in a statement that has not joined them."""
    return exists().where(CITIZEN.c.id == citizen_id, HELD)
