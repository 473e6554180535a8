"""What became of a request, for the citizen who decided it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final, Literal

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from authz_server.audit.models import AuditEntry
from authz_server.config import Limits
from authz_server.consent.models import Consent
from authz_server.database import table_of

Decision = Literal["approved", "denied", "expired"]
DECISIONS: dict[str, Decision] = {
    "consent.approved": "approved",
    "consent.denied": "denied",
    "consent.expired": "expired",
}

# open: may still be fetched; fetching: its delivery has begun; unknown: it broke off, and may have arrived.
State = Literal["open", "fetching", "failed", "no_record", "delivered", "stopped", "expired", "unknown"]
ENDED: Mapping[str, State] = {
    "token.delivered": "delivered",
    "token.revoked": "stopped",
    "token.expired": "expired",
    "token.spent_unknown": "unknown",
}
UNDER_WAY: Mapping[str, State] = {
    "token.issued": "open",
    "token.preparing": "open",
    "token.no_record": "no_record",
    "token.leased": "fetching",
    "token.delivering": "fetching",
    "token.failed": "failed",
}
STOPPABLE: Final = frozenset({"open", "fetching", "failed", "no_record"})

# From the record, not from requests and tokens: those are tidied away after a while, and entries are not.
ENTRY = table_of(AuditEntry).c
ENTRIES = (
    select(ENTRY.event, ENTRY.at, ENTRY.client_id, ENTRY.dataset_id)
    .where(
        ENTRY.transaction_id == bindparam("reference"),
        ENTRY.citizen_id == bindparam("citizen"),
        ENTRY.event.in_([*DECISIONS, *ENDED, *UNDER_WAY]),
    )
    .order_by(ENTRY.id)
)
CONSENT = table_of(Consent)
FIND = select(CONSENT.c.granted, CONSENT.c.use_until, CONSENT.c.erase_by, CONSENT.c.withdrawn_at).where(
    CONSENT.c.transaction_id == bindparam("reference"), CONSENT.c.citizen_id == bindparam("citizen")
)


@dataclass(frozen=True, kw_only=True)
class Fetch:
    """How far the one fetch of a granted dataset has come, and since when (None: it has not begun)."""

    dataset_id: str
    state: State
    at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Decided:
    """A decision. `fetches` and the dates only if something was granted; `withdrawn_at` if the citizen stopped it."""

    transaction_id: str
    client_id: str
    decision: Decision
    decided_at: datetime
    withdrawn_at: datetime | None
    fetches: tuple[Fetch, ...]
    use_until: date | None
    erase_by: date | None

    @property
    def stoppable(self) -> bool:
        """Whether stopping it would change anything: something is not delivered, or it is about identity alone."""
        if self.decision != "approved" or self.withdrawn_at is not None:
            return False
        return not self.fetches or any(fetch.state in STOPPABLE for fetch in self.fetches)

    @property
    def delivered(self) -> bool:
        """Whether the recipient has something, or may have."""
        return any(fetch.state in {"delivered", "unknown"} for fetch in self.fetches)


def find_outcome(
    session: Session, transaction_id: str, *, citizen_id: int, limits: Limits, now: datetime
) -> Decided | None:
    """The outcome of the citizen's own request with this reference number; None if it is not theirs or not decided."""
    asked = {"reference": transaction_id, "citizen": citizen_id}
    entries = session.execute(ENTRIES, asked).all()
    decision = next((entry for entry in entries if entry.event in DECISIONS), None)
    if decision is None:
        return None
    consent = session.execute(FIND, asked).one_or_none()
    withdrawn_at = consent.withdrawn_at if consent else None
    # A code that nobody redeemed in its time is no token's, so no entry tells of its end.
    collected = any(entry.event == "token.issued" for entry in entries)
    missed = not collected and now > decision.at + timedelta(seconds=limits.code_ttl_s)
    untouched: State = "stopped" if withdrawn_at else "expired" if missed else "open"
    return Decided(
        transaction_id=transaction_id,
        client_id=decision.client_id,
        decision=DECISIONS[decision.event],
        decided_at=decision.at,
        withdrawn_at=withdrawn_at,
        fetches=_fetches([grant["dataset"] for grant in consent.granted], entries, untouched) if consent else (),
        use_until=consent.use_until if consent else None,
        erase_by=consent.erase_by if consent else None,
    )


def _fetches(granted: Sequence[str], entries: Sequence[Any], untouched: State) -> tuple[Fetch, ...]:
    """One for each granted dataset, in their order.

    A dataset may be granted twice, for two years, and the record does not tell which of the two an entry is of: such
    grants share the endings among them. Args: untouched: the state of what no entry tells more of.
    """
    fetches = []
    for dataset_id in dict.fromkeys(granted):
        own = [entry for entry in entries if entry.dataset_id == dataset_id]
        found = [Fetch(dataset_id=dataset_id, state=ENDED[e.event], at=e.at) for e in own if e.event in ENDED]
        missing = granted.count(dataset_id) - len(found)
        rest = Fetch(dataset_id=dataset_id, state=untouched)
        if missing == 1 and granted.count(dataset_id) == 1 and own and UNDER_WAY[own[-1].event] != "open":
            state = UNDER_WAY[own[-1].event]
            # Stopped, and yet not on the record as ended: its time had run out by itself just before.
            broken_off = untouched == "stopped" and state == "fetching"
            rest = Fetch(dataset_id=dataset_id, state="unknown" if broken_off else state, at=own[-1].at)
        fetches += [*found, *[rest] * missing]
    return tuple(fetches)
