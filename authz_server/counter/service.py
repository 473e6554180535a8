"""Barcodes as their citizen has them: the request that leads to one, showing it, showing the next one."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Protocol, cast

from sqlalchemy import bindparam, exists, select, update
from sqlalchemy.orm import Session

from authz_server.audit.models import AUDIT_ENTRY
from authz_server.audit.service import Entry
from authz_server.clients.model import Client
from authz_server.clients.standing import is_suspended
from authz_server.config import Limits, Settings
from authz_server.consent import service as consent
from authz_server.consent.codes import AT_COUNTER, CODE, OWNED, unshown
from authz_server.consent.details import RequestedDataset
from authz_server.consent.models import CONSENT
from authz_server.consent.request import AuthorizationParameters, PendingRequest
from authz_server.core.secrets import digest, equal
from authz_server.counter.agents import delegated_to, on_both
from authz_server.counter.codes import Face, barcode_digest, face, short_digest
from authz_server.counter.models import BARCODE
from authz_server.database import BigKey
from authz_server.identity.models import held
from authz_server.single_use.decision import Decision

PATH: Final = "/counter"
SHOWN: Final = "counter.shown"

SHOW = Decision(
    update(CODE)
    .where(
        CODE.c.digest == bindparam("present"),
        CODE.c.digest != bindparam("next"),  # pressed twice in one moment
        CODE.c.citizen_id == bindparam("citizen"),
        CODE.c.used_at.is_(None),
        CODE.c.expires_at > bindparam("now"),
        ~is_suspended(CODE.c.client_id),
        ~held(CODE.c.citizen_id),
        delegated_to(CODE.c.consent_id).is_not_distinct_from(bindparam("agent", type_=BigKey)),
        ~held(bindparam("agent", type_=BigKey)),
    )
    .values(digest=bindparam("next"))
    .returning(*(CODE.c[name] for name in OWNED)),
    leaves=[BARCODE, AUDIT_ENTRY],
)
VISIT = (
    select(CONSENT.c.id.label("consent_id"), CONSENT.c.client_id, CONSENT.c.granted)
    .where(CONSENT.c.transaction_id == bindparam("reference"), CONSENT.c.citizen_id == bindparam("citizen"))
    .where(
        exists().where(
            AUDIT_ENTRY.c.transaction_id == bindparam("reference"),
            AUDIT_ENTRY.c.event == "consent.approved",
            AUDIT_ENTRY.c.reason == AT_COUNTER,
        )
    )
)
# The one that counts, else the newest: of two that were shown in one moment, one counts.
LAST = (
    select(BARCODE)
    .outerjoin(CODE, CODE.c.digest == BARCODE.c.digest)
    .where(BARCODE.c.consent_id == bindparam("consent"))
    .order_by(CODE.c.digest.is_(None), BARCODE.c.shown_at.desc())
    .limit(1)
)
ANNOUNCED = select(BARCODE.c.digest, BARCODE.c.announced_at, BARCODE.c.code_expires_at).where(
    BARCODE.c.consent_id == bindparam("consent"), BARCODE.c.announced_at == bindparam("at")
)
STATE = select(CODE.c.used_at, CODE.c.expires_at).where(CODE.c.digest == bindparam("present"))


class AnnouncedCode(Protocol):
    """The one-time code of a barcode that an office announced: what it derives from, and until when it is good."""

    digest: bytes
    announced_at: datetime
    code_expires_at: datetime


class ShownRow(Protocol):
    """A row of `barcode`; see `models.Barcode`."""

    digest: bytes
    shown_at: datetime
    expires_at: datetime
    announced_at: datetime | None
    code_expires_at: datetime | None
    counter_id: str | None
    clerk_id: int | None
    agent_id: int | None


@dataclass(frozen=True, kw_only=True)
class Visit:
    """A consent that a barcode answers. `present`: the digest of its code; `barcode`: the row of the last one shown.

    `open_until`: None once it is used, stopped or over; `used_at`: when it was redeemed.
    """

    consent_id: str
    transaction_id: str
    citizen_id: int
    client_id: str
    dataset_ids: tuple[str, ...]
    present: bytes
    barcode: ShownRow | None
    open_until: datetime | None
    used_at: datetime | None

    @property
    def owner(self) -> dict[str, Any]:
        """Whose consent it is, under the names of the tables."""
        return {name: getattr(self, name) for name in OWNED}

    def face(self, session_secret: str, *, now: datetime) -> Face | None:
        """The barcode, if this very session was shown it and it still counts; else None: then another can be shown."""
        row = self.barcode
        if row is None or self.open_until is None or row.expires_at <= now:
            return None
        shown = face(session_secret, self.transaction_id, row.shown_at)
        return shown if equal(barcode_digest(shown.digits), row.digest) else None


def open_request(
    session: Session,
    office: Client,
    wanted: Sequence[RequestedDataset],
    *,
    citizen_id: int,
    settings: Settings,
    now: datetime,
) -> PendingRequest:
    """Open a request as if the office had pushed it and the citizen had begun to read. The caller commits."""
    parameters = AuthorizationParameters(
        redirect_uri=settings.issuer + PATH, scopes=(), datasets=tuple(wanted), code_challenge="", at_counter=True
    )
    request_uri = consent.push(session, parameters, client_id=office.client_id, spend=(), settings=settings, now=now)
    return consent.begin(session, request_uri, office.client_id, citizen_id=citizen_id, now=now)


def find_visit(
    session: Session, transaction_id: str, *, citizen_id: int, server_secret: bytes, now: datetime
) -> Visit | None:
    """The citizen's own visit; None if it is not theirs, or no consent for a counter."""
    row = session.execute(VISIT, {"reference": transaction_id, "citizen": citizen_id}).one_or_none()
    if row is None:
        return None
    last = session.execute(LAST, {"consent": row.consent_id}).one_or_none()
    present = last.digest if last else digest(unshown(server_secret, transaction_id))
    code = session.execute(STATE, {"present": present}).one_or_none()
    is_open = code is not None and code.used_at is None and code.expires_at > now
    return Visit(
        consent_id=row.consent_id,
        transaction_id=transaction_id,
        citizen_id=citizen_id,
        client_id=row.client_id,
        dataset_ids=tuple(detail["dataset"] for detail in row.granted),
        present=present,
        barcode=last,
        open_until=code.expires_at if code and is_open else None,
        used_at=code.used_at if code else None,
    )


def find_announced(session: Session, consent_id: str | None, at: datetime) -> AnnouncedCode | None:
    """The barcode of a consent that was announced at that moment, if none was since."""
    found: Any = session.execute(ANNOUNCED, {"consent": consent_id, "at": at}).one_or_none()
    return cast(AnnouncedCode | None, found)


def show(
    session: Session,
    visit: Visit,
    *,
    session_secret: str,
    server_secret: bytes,
    limits: Limits,
    now: datetime,
    agent_id: int | None = None,
) -> bool:
    """Show a new barcode to this session; whatever was shown before is worth nothing. Whether the consent allows it.

    One statement decides: a redemption of the old one comes before or after it, and there is never a second.
    The caller commits. Args: agent_id: whose session it is, if not the citizen's.
    """
    shown = face(session_secret, visit.transaction_id, now)
    row = {
        "digest": barcode_digest(shown.digits),
        "short_digest": short_digest(server_secret, shown.short),
        "shown_at": now,
        "expires_at": now + timedelta(seconds=limits.barcode_ttl_s),
        "announced_at": None,
        "code_expires_at": None,
        "counter_id": None,
        "clerk_id": None,
        "agent_id": agent_id,
    }
    entry = Entry(at=now, event=SHOWN, success=True, actor="citizen" if agent_id is None else "agent", **visit.owner)
    entry, *own = (entry,) if agent_id is None else on_both(entry, agent_id)
    return bool(
        SHOW.run(
            session,
            entry=entry,
            rows=[[visit.owner | row], [one.values() for one in own]],
            agent=agent_id,
            present=visit.present,
            next=row["digest"],
            citizen=visit.citizen_id,
            now=now,
        )
    )
