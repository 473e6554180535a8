"""Questions to a browser that are answered once: for the browser that asked, for one method and kind, for minutes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import bindparam, insert, select, update
from sqlalchemy.orm import Session

from authz_server.core.secrets import digest, new_secret
from authz_server.identity.models import IDENTITY_CHALLENGE

PREFIX: Final = "mdi_"
_challenge = IDENTITY_CHALLENGE.c
_THIS: Final = (
    _challenge.digest == bindparam("handle_digest"),
    _challenge.method == bindparam("of_method"),
    _challenge.kind == bindparam("of_kind"),
)
_SPEND: Final = (
    update(IDENTITY_CHALLENGE)
    .where(
        *_THIS,
        _challenge.browser == bindparam("browser_digest"),
        _challenge.used_at.is_(None),
        _challenge.expires_at > bindparam("moment", type_=_challenge.expires_at.type),
    )
    .values(used_at=bindparam("moment", type_=_challenge.expires_at.type))
    .returning(_challenge.citizen_id, _challenge.payload, _challenge.created_at)
)
_SPENT: Final = select(_challenge.payload, _challenge.used_at).where(*_THIS, _challenge.used_at.is_not(None))


@dataclass(frozen=True, kw_only=True)
class Challenge:
    """A challenge that was spent: nobody else gets it. `citizen_id` None: it was not known who would answer."""

    handle: str = field(repr=False)
    citizen_id: int | None
    payload: Mapping[str, Any] = field(repr=False)
    created_at: datetime


def issue(
    session: Session,
    *,
    method: str,
    kind: str,
    browser: str | None,
    payload: Mapping[str, Any],
    ttl: timedelta,
    now: datetime,
    citizen_id: int | None = None,
) -> str:
    """Keep a challenge and return its handle: 256 random bits behind a prefix. The caller commits.

    Args: browser: the cookie of the browser that may answer; payload: JSON, which whoever sees the database can read.
    """
    handle = new_secret(PREFIX)
    session.execute(
        insert(IDENTITY_CHALLENGE).values(
            digest=digest(handle),
            method=method,
            kind=kind,
            citizen_id=citizen_id,
            browser=digest(browser or new_secret("")),  # without a cookie nobody can answer
            payload=dict(payload),
            created_at=now,
            expires_at=now + ttl,
            used_at=None,
        )
    )
    return handle


def spend(
    session: Session, handle: str, *, method: str, kind: str, browser: str | None, now: datetime
) -> Challenge | None:
    """Take a challenge, by one statement; None if unknown, used, too old, another browser's or another kind's.

    The caller commits.
    """
    if browser is None or not handle.startswith(PREFIX):
        return None
    this = _this(handle, method, kind)
    row = session.execute(_SPEND, {**this, "browser_digest": digest(browser), "moment": now}).one_or_none()
    return Challenge(handle=handle, **row._mapping) if row else None


def find_spent(session: Session, handle: str, *, method: str, kind: str) -> tuple[Mapping[str, Any], datetime] | None:
    """The payload of a challenge that was answered, and when; None if it was not, or is gone. It proves nothing."""
    row = session.execute(_SPENT, _this(handle, method, kind)).one_or_none()
    return (row.payload, row.used_at) if row else None


def _this(handle: str, method: str, kind: str) -> Mapping[str, Any]:
    return {"handle_digest": digest(handle), "of_method": method, "of_kind": kind}
