"""What there is to say of a notice, and to whom: read at each attempt, and whenever its page is opened."""

from datetime import date, datetime
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from authz_server.audit.models import AuditEntry
from authz_server.consent import correction, erasure, preparation
from authz_server.consent.anomalies import APPROVED, is_first_time
from authz_server.consent.models import Consent
from authz_server.counter import clerks
from authz_server.counter.desk import ANNOUNCED
from authz_server.counter.service import find_announced
from authz_server.identity import sign_in_codes
from authz_server.identity.contact import CHANGED, PROPOSED, change_at
from authz_server.identity.models import Citizen
from authz_server.identity.sign_in_codes import SENT
from authz_server.notices.channels.base import Errand, Reader, Undeliverable

ERASURES: Final = frozenset({erasure.REQUESTED, erasure.REMINDED})
PREPARATIONS: Final = frozenset({preparation.ASKED, preparation.DROPPED})


def errand_of(session: Session, audit_entry_id: int, *, channel: str, created_at: datetime, now: datetime) -> Errand:
    """Everything that a message is made of.

    Raises: Undeliverable, if entry or citizen are gone, or it is a code whose time is over.
    """
    entry = session.get(AuditEntry, audit_entry_id)
    reader = session.get(Citizen, entry.citizen_id) if entry is not None and entry.citizen_id is not None else None
    if entry is None or reader is None:
        raise Undeliverable("nobody to tell")
    change = None
    if entry.event in {PROPOSED, CHANGED}:
        change = change_at(session, reader.id, entry.reason, event=entry.event, at=entry.at)
    sign_in_code = sign_in_codes.find_sent(session, reader.id, at=entry.at) if entry.event == SENT else None
    code = change if entry.event == PROPOSED else sign_in_code
    if entry.event in {PROPOSED, SENT} and (code is None or code.expires_at <= now):
        raise Undeliverable("too late")
    barcode = find_announced(session, entry.consent_id, entry.at) if entry.event == ANNOUNCED else None
    if entry.event == ANNOUNCED and (barcode is None or barcode.code_expires_at <= now):
        raise Undeliverable("too late")
    return Errand(
        entry=entry,
        reader=Reader(citizen_id=reader.id, locale=reader.locale, email=reader.email, phone=reader.phone),
        datasets=_datasets(session, entry),
        channel=channel,
        created_at=created_at,
        change=change,
        barcode=barcode,
        sign_in_code=sign_in_code,
        erase_by=_erase_by(session, entry) if entry.event in ERASURES else None,
        correction=correction.find_sealed(session, entry) if entry.event == correction.REQUESTED else None,
        preparation=preparation.find_errand(session, entry) if entry.event in PREPARATIONS else None,
        clerk=clerks.name_behind(session, entry.actor),
        first_time=entry.event == APPROVED and is_first_time(session, entry.transaction_id),
    )


def _erase_by(session: Session, entry: AuditEntry) -> date | None:
    return session.scalar(select(Consent.erase_by).where(Consent.id == entry.consent_id))


def _datasets(session: Session, entry: AuditEntry) -> tuple[str, ...]:
    """What the entry is about: one dataset, or all that a consent grants."""
    if entry.dataset_id is not None:
        return (entry.dataset_id,)
    if entry.consent_id is None:
        return ()
    granted = session.scalar(select(Consent.granted).where(Consent.id == entry.consent_id)) or []
    return tuple(dict.fromkeys(detail["dataset"] for detail in granted))
