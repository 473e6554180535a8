"""The citizen takes a consent back: whatever it still opens is closed, for good."""

from datetime import datetime

from sqlalchemy import bindparam, update
from sqlalchemy.orm import Session

from authz_server.audit.service import Entry
from authz_server.consent import codes
from authz_server.consent.models import Consent
from authz_server.database import table_of
from authz_server.single_use.decision import Decision
from authz_server.tokens import access_tokens, dataset_tokens

CONSENT = table_of(Consent)
WITHDRAW = Decision(
    lambda fresh: (
        update(CONSENT)
        .where(
            fresh,
            CONSENT.c.transaction_id == bindparam("reference"),
            CONSENT.c.citizen_id == bindparam("citizen"),
            CONSENT.c.withdrawn_at.is_(None),
        )
        .values(withdrawn_at=bindparam("now"))
        .returning(
            CONSENT.c.transaction_id, CONSENT.c.citizen_id, CONSENT.c.client_id, CONSENT.c.id.label("consent_id")
        )
    )
)


def withdraw(session: Session, transaction_id: str, *, citizen_id: int, now: datetime) -> None:
    """End everything that the citizen's own consent still opens: its code, its tokens, and fetches in flight.

    Once the caller has committed, no exchange succeeds and no fetch delivers another part; what was delivered before
    stays delivered. A second time, and for what is not theirs, nothing happens.
    """
    entry = Entry(at=now, event="consent.withdrawn", success=True, actor="citizen")
    for consent in WITHDRAW.run(session, entry=entry, reference=transaction_id, citizen=citizen_id, now=now):
        # Code before tokens: a redemption under way is waited for, and what it issued is then found.
        codes.revoke_of_consent(session, consent.consent_id, now=now)
        access_tokens.revoke_of_consent(session, consent.consent_id, now=now)
        dataset_tokens.revoke_of_consent(session, consent.consent_id, actor="citizen", reason="withdrawn", now=now)
