"""What a desk does with data beside showing it: each printing and saving is on the record before it is carried out.

Whether an office may is its registration's, as the citizen read it when they agreed: `actions` of what was granted.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import bindparam, exists, select

from authz_server.audit.models import AUDIT_ENTRY
from authz_server.audit.service import Entry
from authz_server.clients.model import Client
from authz_server.clients.standing import is_suspended
from authz_server.config import Limits
from authz_server.consent.models import CONSENT
from authz_server.counter.desk import Desk
from authz_server.counter.errors import CopyNotAllowed
from authz_server.identity.models import held
from authz_server.prepared import Executor
from authz_server.single_use.decision import Decision
from authz_server.single_use.identifiers import Identifier
from authz_server.tokens.dataset_tokens import RECORDED, TOKEN

EVENTS: Final[Mapping[str, str]] = {"print": "copy.printed", "save": "copy.saved"}

_DELIVERED = exists().where(
    AUDIT_ENTRY.c.transaction_id == TOKEN.c.transaction_id,
    AUDIT_ENTRY.c.dataset_id == TOKEN.c.dataset_id,
    AUDIT_ENTRY.c.event == "token.delivered",
)
COPY = Decision(
    select(*RECORDED)
    .join(CONSENT, CONSENT.c.id == TOKEN.c.consent_id)
    .where(
        CONSENT.c.transaction_id == bindparam("transaction"),
        # Of all datasets of a visit the same is said, for it is the office's.
        CONSENT.c.granted[(0, "actions")].as_string().like(bindparam("action")),
        CONSENT.c.withdrawn_at.is_(None),
        CONSENT.c.erasure_requested_at.is_(None),
        TOKEN.c.dataset_id == bindparam("dataset"),
        TOKEN.c.client_id == bindparam("office"),
        TOKEN.c.jkt == bindparam("proof_jkt"),
        TOKEN.c.issued_at > bindparam("since"),
        _DELIVERED,
        ~held(TOKEN.c.citizen_id),
        ~is_suspended(TOKEN.c.client_id),
    )
)


def record_copy(
    executor: Executor,
    action: str,
    *,
    office: Client,
    desk: Desk,
    transaction_id: str,
    dataset_id: str,
    jkt: str,
    limits: Limits,
    spend: Sequence[Identifier],
    now: datetime,
) -> None:
    """Put on the record that a desk prints or saves a dataset. The caller commits.

    Only whoever fetched it can do so, by the key with which they did, within a shift.
    Args: action: one of EVENTS; spend: the identifiers of the request's assertion and proof.
    Raises: CopyNotAllowed, for every cause; AssertionReplayed, ProofReplayed.
    """
    if action not in office.desk_may:  # any more: the consent says what it was
        raise CopyNotAllowed("not registered")
    recorded = COPY.run(
        executor,
        entry=Entry(at=now, event=EVENTS[action], success=True, actor=desk.actor),
        spend=spend,
        transaction=transaction_id,
        action=f'%"{action}"%',
        dataset=dataset_id,
        office=office.client_id,
        proof_jkt=jkt,
        since=now - timedelta(seconds=limits.session_max_s),
    )
    if not recorded:
        raise CopyNotAllowed("unknown, another desk's, not delivered, not agreed to, or ended")
