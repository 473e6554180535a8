"""The life of a dataset token as `tokens.dataset_tokens` draws it: what each event must come to, without a database."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from tests.races.seeding import LIMITS

TTL = timedelta(seconds=LIMITS.dataset_token_ttl_s)


@dataclass
class Model:
    """One token. Events return how they end; `record` is what must be on record, in this order."""

    now: datetime
    limit: datetime  # as far as `preparing` may push the expiry
    expires: datetime
    state: str = "issued"
    attempt: int = 1
    not_before: datetime | None = None
    lease_until: datetime | None = None
    begun: bool = False
    leases: int = 0
    suspended: set[str] = field(default_factory=set)
    record: list[str] = field(default_factory=list)

    def lease(self) -> str:
        if self.state != "issued" or self.now >= self.expires:
            return "TokenNotUsable"
        if self.not_before is not None and self.now < self.not_before:
            return "TokenNotReady"
        if self.suspended:
            return "TokenNotUsable"
        self.leases += 1
        self.lease_until = self.now + timedelta(seconds=LIMITS.lease_s)
        return self._becomes("leased", "leased")

    def report(self, lease: int, outcome: str, wait: timedelta) -> str:
        if self.state != "leased" or lease != self.leases or not self._in_time(self.lease_until):
            return "LeaseNotUsable"
        if outcome in {"delivering", "continuing", "delivered"} and self.suspended:
            return "LeaseNotUsable"
        if outcome == "continuing":
            return outcome
        if outcome in {"delivering", "preparing", "no_record"} and self.begun:
            return "LeaseNotUsable"  # a transfer begins once, and was not nothing
        if outcome == "delivering":
            self.begun, self.lease_until = True, self.now + timedelta(seconds=LIMITS.transfer_s)
            return self._becomes("leased", outcome)
        self.lease_until, self.begun = None, False
        if outcome == "delivered":
            return self._becomes("spent", outcome)
        if outcome == "preparing":
            self.not_before = self.now + wait
            self.expires = min(self.limit, max(self.expires, self.not_before + TTL))
        last = outcome == "failed" and self.attempt >= LIMITS.max_attempts
        self.attempt += outcome == "failed"
        return self._becomes("dead" if last else "issued", outcome)

    def revoke(self) -> str:
        if self.state not in {"issued", "leased"}:
            return "nothing"
        if not self._in_time(self.expires if self.state == "issued" else self.lease_until):
            return "nothing"  # time was first
        self.lease_until, self.begun = None, False
        return self._becomes("dead", "revoked")

    def tidy(self) -> None:
        if self.state == "leased" and not self._in_time(self.lease_until):
            self.lease_until = None
            self._becomes("spent", "spent_unknown")
        elif self.state == "issued" and not self._in_time(self.expires):
            self._becomes("dead", "expired")

    def _in_time(self, end: datetime | None) -> bool:
        return end is not None and self.now < end

    def _becomes(self, state: str, event: str) -> str:
        self.state = state
        self.record.append(event)
        return event
