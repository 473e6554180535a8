"""Waiting for another process, the one thing that can't be moved by a clock: look often, give up late."""

import sys
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from authz_server import leaving
from authz_server.config import Settings
from authz_server.core import clock
from authz_server.database import _begin_sqlite
from authz_server.identity import turns

T = TypeVar("T")
LOOK_AGAIN_S = 0.02


def locks_waited_for(engine: Engine) -> int:
    """How many connections wait for a lock of another one in this database, on PostgreSQL."""
    own = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    with engine.connect() as connection:
        return int(connection.scalar(text(own)) or 0)


def begins_waited_for(_engine: Engine) -> int:
    """How many threads of this process wait to write to SQLite: that is where each begins its transaction."""
    stacks = map(traceback.walk_stack, sys._current_frames().values())
    begins = (frame for stack in stacks for frame, _ in stack if frame.f_code is _begin_sqlite.__code__)
    return sum(not frame.f_locals.get("read_only", True) for frame in begins)


def left_meanwhile(settings: Settings, engine: Engine, citizen_id: int, act: Callable[[], T]) -> T:
    """What comes of an act of a citizen who leaves elsewhere at the same time, and who has to wait for that."""
    with ThreadPoolExecutor(1) as pool:
        with Session(engine) as session, session.begin():
            turns.take(session, citizen_id)
            answer = pool.submit(act)
            waits = locks_waited_for if engine.dialect.name == "postgresql" else begins_waited_for
            wait_until(lambda: waits(engine), "the act waits")
            leaving.leave(session, citizen_id, actor="citizen", settings=settings, now=clock.now())
        return answer.result(30)


def wait_until(condition: Callable[[], object], what: str, *, limit_s: float = 120) -> None:
    """Return once the condition holds.  Raises: AssertionError, naming `what`, after `limit_s`.

    Late, for a worker lets all other programs of a busy machine go first.
    """
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, f"waited {limit_s} s in vain: {what}"
        time.sleep(LOOK_AGAIN_S)
