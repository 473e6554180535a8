"""What an exchange brings: the right to ask an agency once."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

import orjson


class LeasedRow(Protocol):
    """A leased token, its citizen's number, and what its consent says: columns that `dataset_tokens.LEASE` returns."""

    transaction_id: str
    citizen_id: int
    client_id: str
    agency_id: str
    dataset_id: str
    consent_id: str
    attempt: int
    position: int
    granted: list[dict[str, Any]]
    level: int
    auth_time: datetime
    national_id: str
    recipient_jwk: str | None
    agent_id: int | None
    clerk_citizen_id: int | None


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to ask the agency once; `handle` is the proxy's credential to say how it went."""

    handle: str = field(repr=False)
    row: LeasedRow = field(repr=False)  # it has the citizen's number

    @property
    def detail(self) -> dict[str, Any]:
        """The granted dataset: fields, parameters, purpose and the recipient's key, as consented."""
        return self.row.granted[self.row.position]

    @property
    def recipient_jwk(self) -> Any:
        """Whom the data is encrypted to: as consented, or the browser that took the token."""
        own = self.row.recipient_jwk
        return self.detail["recipient_jwk"] if own is None else orjson.loads(own)
