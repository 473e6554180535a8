"""The link with which a reader says: that was not me. It needs no sign-in, so it is good for stopping everything alone.

Its secret is derived from the notice and the server's secret, so nothing of it rests anywhere; that it was used stands
in the notice's row. Each message has a link of its own, which works once.
"""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from authz_server.core import secrets
from authz_server.core.errors import DomainError
from authz_server.identity import turns
from authz_server.identity.models import CITIZEN
from authz_server.notices.models import NOTICE
from authz_server.tokens.withdrawal import freeze

PREFIX: Final = "mdn_"
GOOD_FOR: Final = timedelta(days=30)
_KEY: Final = re.compile(rf"{PREFIX}([0-9]{{1,18}})-([a-z_]{{1,20}})-([\w-]{{43}})", re.ASCII)


class NoSuchLink(DomainError):
    """The key is none of ours, or its message is no longer kept."""

    code = "not_found"
    public = "The link is not complete or not valid."


@dataclass(frozen=True)
class Link:
    """The message whose link it is: a key that was verified."""

    audit_entry_id: int
    channel: str


@dataclass(frozen=True, kw_only=True)
class State:
    """How far a link has come. `used_at`: it was used then; `frozen_at`: everything is stopped since then."""

    used_at: datetime | None
    over: bool
    frozen_at: datetime | None
    locale: str


def link(issuer: str, server_secret: bytes, audit_entry_id: int, channel: str) -> str:
    """The address in a message; in the query, for logs leave that out."""
    return f"{issuer}/not-me?key={PREFIX}{audit_entry_id}-{channel}-{_mac(server_secret, audit_entry_id, channel)}"


def verify(key: str, server_secret: bytes) -> Link:
    """Whose link this is.  Raises: NoSuchLink."""
    found = _KEY.fullmatch(key)
    if found is None:
        raise NoSuchLink("not of our form")
    named = Link(int(found[1]), found[2])
    if not secrets.equal(found[3], _mac(server_secret, named.audit_entry_id, named.channel)):
        raise NoSuchLink("not of our making")
    return named


def get_state(session: Session, link: Link, *, now: datetime) -> State:
    """How far it has come; changes nothing.  Raises: NoSuchLink."""
    found: Any = session.execute(
        select(NOTICE.c.not_me_at, NOTICE.c.created_at, CITIZEN.c.frozen_at, CITIZEN.c.locale)
        .join(CITIZEN, CITIZEN.c.id == NOTICE.c.citizen_id)
        .where(*_named(link))
    ).one_or_none()
    if found is None:
        raise NoSuchLink("its message or its citizen is gone")
    over = found.created_at <= now - GOOD_FOR
    return State(used_at=found.not_me_at, over=over, frozen_at=found.frozen_at, locale=found.locale)


def use(session: Session, link: Link, *, now: datetime) -> bool:
    """Spend the link and stop everything of its citizen; whether it was good for that. The caller commits.

    A second time, and when its time is over, nothing happens.
    """
    citizen_id = session.execute(select(NOTICE.c.citizen_id).where(*_named(link))).scalar_one_or_none()
    if citizen_id is None:
        return False
    # The citizen first, then the message, as who leaves takes them: else each could wait for the other.
    turns.take(session, citizen_id)
    spent = (
        update(NOTICE)
        .where(*_named(link), NOTICE.c.not_me_at.is_(None), NOTICE.c.created_at > now - GOOD_FOR)
        .values(not_me_at=now)
        .returning(NOTICE.c.citizen_id)
    )
    if session.execute(spent).first() is None:
        return False
    # Whoever reads the citizen's messages is the citizen, as far as stopping goes.
    freeze(session, citizen_id, actor="citizen", reason="not_me", now=now)
    # One of their ways to sign in may be in other hands: who they are has to be proved by two again, as at first use.
    session.execute(update(CITIZEN).where(CITIZEN.c.id == citizen_id).values(verified_at=None))
    return True


def _named(link: Link) -> tuple[Any, ...]:
    return NOTICE.c.audit_entry_id == link.audit_entry_id, NOTICE.c.channel == link.channel


def _mac(server_secret: bytes, audit_entry_id: int, channel: str) -> str:
    return secrets.derive(server_secret, "not-me", str(audit_entry_id), channel)
