"""A dataset that takes its time: the first request starts the work, later ones find it done."""

import json
import threading

MAX_JOBS = 10_000
Prepared = tuple[str, str, str]  # person, dataset, parameters


def prepared(subject: str, dataset_id: str, parameters: dict[str, str]) -> Prepared:
    """What is the same however often it is asked for."""
    return (subject, dataset_id, json.dumps(parameters, sort_keys=True))


class Queue:
    """When each piece of work is ready, by transaction and dataset. The agency keeps the work, not the platform."""

    def __init__(self, delay_s: int) -> None:
        self._delay_s = delay_s
        self._ready_at: dict[tuple[str, str], int] = {}
        self._kept: dict[str, tuple[Prepared, int]] = {}
        self._lock = threading.Lock()

    def wait_s(self, transaction: str, dataset_id: str, *, now: int) -> int:
        """Seconds until the work is ready, 0 when it is; the first call starts it. The oldest is forgotten first."""
        with self._lock:
            ready_at = self._ready_at.setdefault((transaction, dataset_id), now + self._delay_s)
            if len(self._ready_at) > MAX_JOBS:
                del self._ready_at[next(iter(self._ready_at))]
            return max(0, ready_at - now)

    def keep(self, transaction: str, what: Prepared, *, until: int) -> None:
        """Keep what is ready for whoever may come for the same about the same person, until then."""
        with self._lock:
            self._kept[transaction] = (what, until)
            if len(self._kept) > MAX_JOBS:
                del self._kept[next(iter(self._kept))]

    def is_kept(self, what: Prepared, *, now: int) -> bool:
        """Whether somebody had it prepared, and nobody has had it thrown away."""
        with self._lock:
            return any(kept == what and now < until for kept, until in self._kept.values())

    def has(self, transaction: str, dataset_id: str) -> bool:
        """Whether it was begun, and not thrown away."""
        with self._lock:
            return (transaction, dataset_id) in self._ready_at

    def drop(self, transaction: str) -> None:
        """Throw away what was begun for a transaction."""
        with self._lock:
            self._kept.pop(transaction, None)
            for work in [one for one in self._ready_at if one[0] == transaction]:
                del self._ready_at[work]
