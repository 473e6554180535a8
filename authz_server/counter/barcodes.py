"""Finding the barcode that somebody presents, by its digits or by its form for typing."""

from datetime import datetime
from typing import Protocol, cast

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from authz_server.consent.codes import CODE, CodeRow
from authz_server.consent.models import CONSENT
from authz_server.counter.agents import AGENT, AGENT_HELD, delegated_to
from authz_server.counter.codes import barcode_digest, find_digits, find_short, short_digest
from authz_server.counter.models import BARCODE
from authz_server.identity.models import CITIZEN, HELD


class BarcodeRow(CodeRow, Protocol):
    """A barcode, its code, and what the consent of both says: the columns of `FOUND`.

    `expires_at` is that of the barcode; `until` that of its code, None if another barcode was shown since.
    """

    until: datetime | None
    announced_at: datetime
    code_expires_at: datetime | None
    counter_id: str | None
    agent_id: int | None
    agent_name: str | None
    agent_held: bool | None
    delegated_to: int | None
    name: str
    held: bool
    purpose_id: str | None
    withdrawn_at: datetime | None


class AnnouncedRow(BarcodeRow, Protocol):
    """The same, once a one-time code was made for it."""

    code_expires_at: datetime


FOUND = (
    select(
        *(column for column in BARCODE.c if column.name != "short_digest"),
        *(CODE.c[name] for name in ("used_at", "claims", "redirect_uri")),
        CODE.c.expires_at.label("until"),
        *(CONSENT.c[name] for name in ("scopes", "granted", "purpose_id", "level", "amr", "auth_time", "withdrawn_at")),
        CITIZEN.c.name,
        HELD.label("held"),
        AGENT.c.name.label("agent_name"),
        AGENT_HELD.label("agent_held"),
        delegated_to(BARCODE.c.consent_id).label("delegated_to"),
    )
    .join(CONSENT, CONSENT.c.id == BARCODE.c.consent_id)
    .join(CITIZEN, CITIZEN.c.id == BARCODE.c.citizen_id)
    .outerjoin(CODE, CODE.c.digest == BARCODE.c.digest)
    .outerjoin(AGENT, AGENT.c.id == BARCODE.c.agent_id)
)
BY_DIGITS = FOUND.where(BARCODE.c.digest == bindparam("presented"))
BY_SHORT = FOUND.where(BARCODE.c.short_digest == bindparam("presented"))


def find(session: Session, presented: str, *, server_secret: bytes) -> BarcodeRow | None:
    """The barcode, whatever became of it; None if there is none, or this is not the form of one."""
    if digits := find_digits(presented):
        found = session.execute(BY_DIGITS, {"presented": barcode_digest(digits)})
    elif short := find_short(presented):
        found = session.execute(BY_SHORT, {"presented": short_digest(server_secret, short)})
    else:
        return None
    return cast(BarcodeRow | None, found.one_or_none())
