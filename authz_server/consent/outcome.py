"""What became of requests, for the citizen who decided them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import groupby
from operator import attrgetter
from typing import Any, Final, Literal, Self, cast

from sqlalchemy import bindparam, func, or_, select
from sqlalchemy.orm import Session

from authz_server.audit.models import AUDIT_ENTRY
from authz_server.audit.models import DECISIONS as DECISION_EVENTS
from authz_server.clients import own
from authz_server.config import Limits
from authz_server.consent import erasure
from authz_server.consent.codes import AT_COUNTER, collectable_s
from authz_server.consent.fetches import BEGUN, DELIVERED, ENDED, STOPPABLE, UNDER_WAY, Fetch, State, read_fetches
from authz_server.consent.models import CONSENT, REFUSAL
from authz_server.database import unindexed

Decision = Literal["approved", "denied", "expired"]
DECISIONS: Final = {event: cast(Decision, event.removeprefix("consent.")) for event in DECISION_EVENTS}
WITHDRAWN: Final = "consent.withdrawn"
ASKED_TO_ERASE: Final = (erasure.REQUESTED, erasure.UNTOLD)

# From the record, not from requests and tokens: those are tidied away after a while, and entries are not. Of what may
# happen to a dataset any number of times the last entry is enough, and the last beginning of a delivery.
ENTRY = AUDIT_ENTRY.c
STEP = AUDIT_ENTRY.alias("step").c
LAST_STEPS = (
    select(func.max(STEP.id))
    .where(STEP.transaction_id.in_(bindparam("references", expanding=True)), STEP.event.in_(UNDER_WAY))
    .group_by(STEP.transaction_id, STEP.dataset_id, STEP.event == BEGUN)
)
ENTRIES = (
    select(ENTRY.transaction_id, ENTRY.event, ENTRY.at, ENTRY.client_id, ENTRY.dataset_id, ENTRY.actor, ENTRY.reason)
    .where(
        ENTRY.transaction_id.in_(bindparam("references", expanding=True)),
        unindexed(ENTRY.citizen_id) == bindparam("citizen"),
        or_(ENTRY.event.in_([*DECISIONS, *ENDED, WITHDRAWN, *ASKED_TO_ERASE]), ENTRY.id.in_(LAST_STEPS)),
    )
    .order_by(ENTRY.transaction_id, ENTRY.id)
)
CONSENTS = select(
    *(
        CONSENT.c[name]
        for name in ("transaction_id", "granted", "use_until", "erase_by", "withdrawn_at", "notice_locale")
    ),
    *(CONSENT.c[f"erasure_{name}"] for name in ("requested_at", "answered_at", "refusal")),
    CONSENT.c.notice["content"]["why"]["text"].as_string().label("purpose"),
).where(
    CONSENT.c.transaction_id.in_(bindparam("references", expanding=True)),
    unindexed(CONSENT.c.citizen_id) == bindparam("citizen"),
)
REFUSALS = select(REFUSAL.c.transaction_id, REFUSAL.c.purpose_id, REFUSAL.c.asked).where(
    REFUSAL.c.transaction_id.in_(bindparam("references", expanding=True)),
    unindexed(REFUSAL.c.citizen_id) == bindparam("citizen"),
)


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What was asked for, where nothing was agreed to. `purpose_id`: one of the client's, None for identity alone."""

    purpose_id: str | None
    dataset_ids: tuple[str, ...]

    @classmethod
    def of(cls, row: Any) -> Self:
        """What REFUSALS returned; a dataset that was asked for twice, for two years, is named once."""
        return cls(purpose_id=row.purpose_id, dataset_ids=tuple(dict.fromkeys(one["dataset"] for one in row.asked)))


@dataclass(frozen=True, kw_only=True)
class Erasure:
    """What the citizen asked of the recipient, or what that said unasked. `refusal`: why it keeps what it has;
    `told`: whether this platform had a way to tell it."""

    requested_at: datetime | None
    told: bool
    answered_at: datetime | None
    refusal: str | None


@dataclass(frozen=True, kw_only=True)
class Decided:
    """A decision. `fetches` and the dates only if something was granted; `withdrawn_at` if it was stopped, and
    `withdrawn_by`, an actor of the record: the citizen, the operator, or the client.

    `purpose` as it was read, in the language `locale`; both None if nothing was agreed to, or if it was about identity.
    `asked`: only if nothing was agreed to, and it was about data. `at_counter`: the data is fetched by a barcode.
    """

    transaction_id: str
    client_id: str
    decision: Decision
    decided_at: datetime
    at_counter: bool
    withdrawn_at: datetime | None
    withdrawn_by: str | None
    fetches: tuple[Fetch, ...]
    use_until: date | None
    erase_by: date | None
    purpose: str | None
    locale: str | None
    erasure: Erasure | None = None
    asked: Asked | None = None

    @property
    def used_at(self) -> datetime | None:
        """When something was last delivered, or may have been."""
        moments = [fetch.at for fetch in self.fetches if fetch.state in DELIVERED and fetch.at]
        return max(moments, default=None)

    @property
    def stoppable(self) -> bool:
        """Whether stopping it would change anything: something is not delivered, or it is about identity alone."""
        if self.decision != "approved" or self.withdrawn_at is not None:
            return False
        return not self.fetches or any(fetch.state in STOPPABLE for fetch in self.fetches)

    @property
    def delivered(self) -> bool:
        """Whether the recipient has something, or may have."""
        return any(fetch.state in DELIVERED for fetch in self.fetches)

    @property
    def usable(self) -> bool:
        """Whether the recipient has something that it may use, or may still receive it."""
        return bool(self.fetches) and (self.stoppable or (self.delivered and not self.erased))

    @property
    def is_download(self) -> bool:
        """Whether the recipient is the citizen's own browser."""
        return self.client_id == own.CLIENT_ID

    @property
    def elsewhere(self) -> bool:
        """Whether a recipient has something who can be asked to erase it."""
        return self.delivered and not self.is_download

    @property
    def erasable(self) -> bool:
        """Whether they can be asked now: they were not yet, or have received something since they answered."""
        return self.elsewhere and (self.erasure is None or self._delivered_since_answer)

    @property
    def erased(self) -> bool:
        """Whether the recipient says that it has nothing any more, and has received nothing since it said so."""
        said = self.erasure is not None and self.erasure.answered_at is not None and self.erasure.refusal is None
        return said and self.delivered and not self._delivered_since_answer

    @property
    def _delivered_since_answer(self) -> bool:
        answered_at = self.erasure.answered_at if self.erasure else None
        return answered_at is not None and self.used_at is not None and self.used_at > answered_at


def find_outcome(
    session: Session, transaction_id: str, *, citizen_id: int, limits: Limits, now: datetime
) -> Decided | None:
    """The outcome of the citizen's own request with this reference number; None if it is not theirs or not decided."""
    return find_outcomes(session, [transaction_id], citizen_id=citizen_id, limits=limits, now=now).get(transaction_id)


def find_outcomes(
    session: Session, references: Sequence[str], *, citizen_id: int, limits: Limits, now: datetime
) -> Mapping[str, Decided]:
    """The outcomes of these requests of the citizen, by reference number, without those that are not theirs.

    Two statements, however many there are, and a third if any of them was not agreed to.
    """
    asked = {"references": references, "citizen": citizen_id}
    consents = {consent.transaction_id: consent for consent in session.execute(CONSENTS, asked)}
    entries = session.execute(ENTRIES, asked).all()
    refused = [entry.transaction_id for entry in entries if DECISIONS.get(entry.event, "approved") != "approved"]
    refusals = session.execute(REFUSALS, asked | {"references": refused}).all() if refused else []
    unagreed = {row.transaction_id: Asked.of(row) for row in refusals}
    outcomes = (
        _outcome(reference, list(of_request), consents.get(reference), unagreed.get(reference), limits, now)
        for reference, of_request in groupby(entries, key=attrgetter("transaction_id"))
    )
    return {outcome.transaction_id: outcome for outcome in outcomes if outcome is not None}


def _outcome(
    transaction_id: str, entries: Sequence[Any], consent: Any | None, asked: Asked | None, limits: Limits, now: datetime
) -> Decided | None:
    decision = next((entry for entry in entries if entry.event in DECISIONS), None)
    if decision is None:
        return None
    withdrawn_at = consent.withdrawn_at if consent else None
    withdrawn_by = next((entry.actor for entry in entries if entry.event == WITHDRAWN), None)
    to_erase = [entry.event for entry in entries if entry.event in ASKED_TO_ERASE]
    entries = [entry for entry in entries if entry.event not in (WITHDRAWN, *ASKED_TO_ERASE)]
    # A code that nobody redeemed in its time is no token's, so no entry tells of its end.
    collected = any(entry.event not in DECISIONS for entry in entries)
    at_counter = decision.reason == AT_COUNTER
    ttl_s = collectable_s(limits, at_counter=at_counter, client_id=decision.client_id)
    missed = not collected and now > decision.at + timedelta(seconds=ttl_s)
    untouched: State = "stopped" if withdrawn_at else "expired" if missed else "open"
    return Decided(
        transaction_id=transaction_id,
        client_id=decision.client_id,
        decision=DECISIONS[decision.event],
        decided_at=decision.at,
        at_counter=at_counter,
        withdrawn_at=withdrawn_at,
        withdrawn_by=withdrawn_by,
        fetches=read_fetches([grant["dataset"] for grant in consent.granted], entries, untouched) if consent else (),
        use_until=consent.use_until if consent else None,
        erase_by=consent.erase_by if consent else None,
        purpose=consent.purpose if consent else None,
        locale=consent.notice_locale if consent else None,
        erasure=_erasure(consent, told=to_erase[-1:] != [erasure.UNTOLD]) if consent else None,
        asked=asked,
    )


def _erasure(consent: Any, *, told: bool) -> Erasure | None:
    if consent.erasure_requested_at is None and consent.erasure_answered_at is None:
        return None
    return Erasure(
        requested_at=consent.erasure_requested_at,
        told=told,
        answered_at=consent.erasure_answered_at,
        refusal=consent.erasure_refusal,
    )
