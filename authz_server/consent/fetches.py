"""How far the one fetch of each granted dataset has come, by the entries of the record that tell of it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

# open, failed, no_record: may still be fetched; fetching: its delivery has begun; stopped, expired, exhausted (by one
# failure too many): nothing of it left; broken_off: the same, but a part may have arrived; unknown: all of it may have.
State = Literal[
    "open", "fetching", "failed", "no_record",
    "delivered", "stopped", "expired", "exhausted", "broken_off", "unknown",
]  # fmt: skip
ENDED: Mapping[str, State] = {
    "token.delivered": "delivered",
    "token.revoked": "stopped",
    "token.expired": "expired",
    "token.exhausted": "exhausted",
    "token.spent_unknown": "unknown",
}
BEGUN: Final = "token.delivering"
UNDER_WAY: Mapping[str, State] = {
    "token.issued": "open",
    "token.preparing": "open",
    "token.no_record": "no_record",
    "token.leased": "fetching",
    BEGUN: "fetching",
    "token.failed": "failed",
}
STOPPABLE: Final = frozenset({"open", "fetching", "failed", "no_record"})
DELIVERED: Final = frozenset({"delivered", "broken_off", "unknown"})
UNDELIVERED: Final = frozenset({"stopped", "expired", "exhausted"})  # broken_off, if a delivery had begun before


@dataclass(frozen=True, kw_only=True)
class Fetch:
    """How far the one fetch of a granted dataset has come, and since when (None: it has not begun)."""

    dataset_id: str
    state: State
    at: datetime | None = None


def read_fetches(granted: Sequence[str], entries: Sequence[Any], untouched: State) -> tuple[Fetch, ...]:
    """One for each granted dataset, in their order.

    A dataset may be granted twice, for two years, and the record does not tell which of the two an entry is of: such
    grants share the endings among them. Args: untouched: the state of what no entry tells more of.
    """
    fetches = []
    for dataset_id, times in Counter(granted).items():
        its = [entry for entry in entries if entry.dataset_id == dataset_id]
        found = _ended(dataset_id, its)
        rest = Fetch(dataset_id=dataset_id, state=untouched)
        if times == 1 and its and not found:
            rest = _under_way(rest, its[-1])
        fetches += [*found, *[rest] * (times - len(found))]
    return tuple(fetches)


def _under_way(untouched: Fetch, last: Any) -> Fetch:
    """How far a dataset's only fetch has come, by the last entry of it, none of which is an ending."""
    state = UNDER_WAY[last.event]
    if state == "open":
        return untouched
    # Stopped, and yet not on the record as ended: its time had run out by itself just before.
    ran_out = untouched.state == "stopped" and state == "fetching"
    return Fetch(dataset_id=untouched.dataset_id, state="unknown" if ran_out else state, at=last.at)


def _ended(dataset_id: str, its: Sequence[Any]) -> list[Fetch]:
    """The endings of one dataset, from its entries."""
    found, begun = [], False
    for entry in its:
        begun |= entry.event == BEGUN
        state = ENDED.get(entry.event)
        if state is not None:
            broken_off = begun and state in UNDELIVERED
            found.append(Fetch(dataset_id=dataset_id, state="broken_off" if broken_off else state, at=entry.at))
            begun = False
    return found
