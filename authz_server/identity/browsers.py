"""Browsers in which a citizen has signed in: of which kind they are, and which of them are known by a cookie.

A browser is known to a citizen from the first sign-in in it until it was not used for a year, or until the citizen ends
its session from elsewhere. What is kept is a digest that two citizens of one browser do not share.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import ColumnElement, delete, exists, or_, select, update
from sqlalchemy.orm import Session

from authz_server.audit.models import AUDIT_ENTRY
from authz_server.config import LEAST_RECORD_DAYS
from authz_server.core import secrets
from authz_server.database import insert_if_absent
from authz_server.identity.models import CITIZEN, CITIZEN_SESSION, KNOWN_BROWSER, KnownBrowser

PREFIX: Final = "mdb_"
KEPT: Final = timedelta(days=365)
RECORD_KEPT: Final = timedelta(days=LEAST_RECORD_DAYS)
SIGNED_IN: Final = "sign_in.succeeded"

# The first that is found counts: most browsers also call themselves what others are called.
NAMES: Final = (
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("Firefox/", "Firefox"),
    ("FxiOS/", "Firefox"),
    ("Chrome/", "Chrome"),
    ("CriOS/", "Chrome"),
    ("Safari/", "Safari"),
)
SYSTEMS: Final = (
    ("Windows", "Windows"),
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("CrOS", "ChromeOS"),
    ("Mac OS X", "macOS"),
    ("Linux", "Linux"),
)


@dataclass(frozen=True, kw_only=True)
class Browser:
    """The browser that a request comes from. Args: secret: its cookie; user_agent: what it says of itself."""

    secret: str = field(repr=False)
    user_agent: str = field(default="", repr=False)

    @property
    def kind(self) -> str:
        """Coarsely what it is, as in `Firefox/Windows`; an empty part is not known. Nobody vouches for it."""
        return f"{_first(NAMES, self.user_agent)}/{_first(SYSTEMS, self.user_agent)}"

    def digest_for(self, citizen_id: int) -> bytes:
        """Under which this citizen knows it."""
        return secrets.digest(f"{self.secret}\0{citizen_id}")


def recognise(session: Session, citizen_id: int, browser: Browser, *, now: datetime) -> bool:
    """Know this browser from now on; whether the citizen is to be told that it is a new one. The caller commits.

    Nobody is told of the very first one, but of one that may only look like it: of an account that is so old that what
    the record had of it may be gone. Call it before anything is written of this sign-in.
    """
    known, digest = KNOWN_BROWSER.c, browser.digest_for(citizen_id)
    this = (known.citizen_id == citizen_id, known.digest == digest)
    used = update(KNOWN_BROWSER).where(*this, known.last_used_at > now - KEPT).values(last_used_at=now)
    if session.execute(used.returning(known.digest)).first():
        return False
    session.execute(delete(KNOWN_BROWSER).where(*this))  # one that was not used for too long
    add = insert_if_absent(session.get_bind().dialect.name, KnownBrowser).returning(known.digest)
    if session.execute(add.values(citizen_id=citizen_id, digest=digest, last_used_at=now)).first() is None:
        return False  # of two sign-ins at once, one tells
    entry, citizen = AUDIT_ENTRY.c, CITIZEN.c
    not_the_first = or_(
        exists().where(entry.citizen_id == citizen_id, entry.event == SIGNED_IN),
        exists().where(citizen.id == citizen_id, citizen.created_at <= now - RECORD_KEPT),
    )
    return bool(session.scalar(select(not_the_first)))


def forget(session: Session, citizen_id: int, *, ended: ColumnElement[bool]) -> None:
    """Let the browsers of these sessions be new ones again. The caller commits."""
    known, of_session = KNOWN_BROWSER.c, CITIZEN_SESSION.c
    session.execute(
        delete(KNOWN_BROWSER).where(
            known.citizen_id == citizen_id,
            known.digest.in_(select(of_session.browser).where(of_session.citizen_id == citizen_id, ended)),
        )
    )


def forget_all(session: Session, citizen_id: int, *, but: bytes | None) -> None:
    """Let all browsers be new ones again, but that of the session with this digest. The caller commits."""
    known, of_session = KNOWN_BROWSER.c, CITIZEN_SESSION.c
    kept = exists().where(of_session.digest == but, of_session.browser == known.digest)
    session.execute(delete(KNOWN_BROWSER).where(known.citizen_id == citizen_id, ~kept))


def _first(table: Sequence[tuple[str, str]], text: str) -> str:
    return next((name for mark, name in table if mark in text), "")
