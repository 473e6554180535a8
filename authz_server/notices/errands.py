"""What there is to say of a notice, and to whom: read at each attempt, and whenever its page is opened."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from authz_server.audit.models import AuditEntry
from authz_server.consent import correction, erasure, preparation
from authz_server.consent.anomalies import IS_FIRST_TIME
from authz_server.consent.models import Consent
from authz_server.counter import clerks
from authz_server.counter.desk import ANNOUNCED
from authz_server.counter.service import find_announced
from authz_server.identity import sign_in_codes
from authz_server.identity.contact import CHANGED, PROPOSED, change_at
from authz_server.identity.language import DEFAULT
from authz_server.identity.models import Citizen
from authz_server.identity.sign_in_codes import SENT
from authz_server.notices.channels.base import Errand, Reader, Undeliverable

ERASURES: Final = frozenset({erasure.REQUESTED, erasure.REMINDED})
PREPARATIONS: Final = frozenset({preparation.ASKED, preparation.DROPPED})
_MATTERS: Final = (
    select(AuditEntry, Citizen.id, Citizen.locale, Citizen.email, Citizen.phone, Consent.granted, IS_FIRST_TIME)
    .join(Citizen, Citizen.id == AuditEntry.citizen_id)
    .outerjoin(Consent, Consent.id == AuditEntry.consent_id)
    .where(AuditEntry.id.in_(bindparam("ids", expanding=True)))
)


@dataclass(frozen=True)
class Matter:
    """What a message is about, and its reader. `granted`: by the consent that the entry belongs to; `first_time`: see
    `Errand`."""

    entry: AuditEntry
    reader: Reader
    granted: Sequence[dict[str, Any]]
    first_time: bool

    @property
    def datasets(self) -> tuple[str, ...]:
        """One dataset, or all that a consent grants."""
        if self.entry.dataset_id is not None:
            return (self.entry.dataset_id,)
        return tuple(dict.fromkeys(detail["dataset"] for detail in self.granted))


def matters(session: Session, audit_entry_ids: Sequence[int]) -> dict[int, Matter]:
    """What these entries are about, in one look; those are missing whose entry or citizen is gone."""
    found = session.execute(_MATTERS, {"ids": list(audit_entry_ids)})
    return {
        entry.id: Matter(
            entry, Reader(citizen_id=id_, locale=locale or DEFAULT, email=email, phone=phone), granted or (), first
        )
        for entry, id_, locale, email, phone, granted, first in found
    }


def errand_of(session: Session, matter: Matter | None, *, channel: str, created_at: datetime, now: datetime) -> Errand:
    """Everything that a message is made of.

    Args: matter: of `matters`.  Raises: Undeliverable, if there is none, or it is a code whose time is over.
    """
    if matter is None:
        raise Undeliverable("nobody to tell")
    entry, reader = matter.entry, matter.reader
    change = None
    if entry.event in {PROPOSED, CHANGED}:
        change = change_at(session, reader.citizen_id, entry.reason, event=entry.event, at=entry.at)
    sign_in_code = sign_in_codes.find_sent(session, reader.citizen_id, at=entry.at) if entry.event == SENT else None
    code = change if entry.event == PROPOSED else sign_in_code
    if entry.event in {PROPOSED, SENT} and (code is None or code.expires_at <= now):
        raise Undeliverable("too late")
    barcode = find_announced(session, entry.consent_id, entry.at) if entry.event == ANNOUNCED else None
    if entry.event == ANNOUNCED and (barcode is None or barcode.code_expires_at <= now):
        raise Undeliverable("too late")
    return Errand(
        entry=entry,
        reader=reader,
        datasets=matter.datasets,
        channel=channel,
        created_at=created_at,
        change=change,
        barcode=barcode,
        sign_in_code=sign_in_code,
        erase_by=_erase_by(session, entry) if entry.event in ERASURES else None,
        correction=correction.find_sealed(session, entry, now=now) if entry.event == correction.REQUESTED else None,
        preparation=preparation.find_errand(session, entry) if entry.event in PREPARATIONS else None,
        clerk=clerks.name_behind(session, entry.actor),
        first_time=matter.first_time,
    )


def _erase_by(session: Session, entry: AuditEntry) -> date | None:
    return session.scalar(select(Consent.erase_by).where(Consent.id == entry.consent_id))
