"""What became of a request, for the citizen who decided it."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from authz_server.audit.models import AuditEntry
from authz_server.consent.models import Consent

Decision = Literal["approved", "denied", "expired"]
DECISIONS: dict[str, Decision] = {
    "consent.approved": "approved",
    "consent.denied": "denied",
    "consent.expired": "expired",
}

# From the record, not from the request: requests are tidied away after a while, and entries are not.
FIND = (
    select(
        AuditEntry.event,
        AuditEntry.at,
        AuditEntry.client_id,
        Consent.granted,
        Consent.use_until,
        Consent.erase_by,
    )
    .outerjoin(Consent, Consent.transaction_id == AuditEntry.transaction_id)
    .where(
        AuditEntry.transaction_id == bindparam("reference"),
        AuditEntry.citizen_id == bindparam("citizen"),
        AuditEntry.event.in_(DECISIONS),
    )
    .order_by(AuditEntry.id)
    .limit(1)
)


@dataclass(frozen=True, kw_only=True)
class Decided:
    """A decision that stands. `dataset_ids` and the two dates only if something was granted."""

    transaction_id: str
    client_id: str
    decision: Decision
    decided_at: datetime
    dataset_ids: tuple[str, ...]
    use_until: date | None
    erase_by: date | None


def find_outcome(session: Session, transaction_id: str, *, citizen_id: int) -> Decided | None:
    """The outcome of the citizen's own request with this reference number; None if it is not theirs or not decided."""
    row = session.execute(FIND, {"reference": transaction_id, "citizen": citizen_id}).one_or_none()
    if row is None:
        return None
    return Decided(
        transaction_id=transaction_id,
        client_id=row.client_id,
        decision=DECISIONS[row.event],
        decided_at=row.at,
        dataset_ids=tuple(grant["dataset"] for grant in row.granted or ()),
        use_until=row.use_until,
        erase_by=row.erase_by,
    )
