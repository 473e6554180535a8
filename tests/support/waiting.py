"""Waiting for another process, the one thing that can't be moved by a clock: look often, give up late."""

import time
from collections.abc import Callable

from sqlalchemy import Engine, text

LOOK_AGAIN_S = 0.02


def locks_waited_for(engine: Engine) -> int:
    """How many connections wait for a lock of another one, on PostgreSQL."""
    with engine.connect() as connection:
        return int(connection.scalar(text("SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted")) or 0)


def wait_until(condition: Callable[[], object], what: str, *, limit_s: float = 120) -> None:
    """Return once the condition holds.  Raises: AssertionError, naming `what`, after `limit_s`.

    Late, for a worker lets all other programs of a busy machine go first.
    """
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, f"waited {limit_s} s in vain: {what}"
        time.sleep(LOOK_AGAIN_S)
