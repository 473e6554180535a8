"""A server that is told to stop again in the middle of being told: `python -m tests.core.stopped_twice PORT`."""

import os
import signal
import sys
import threading
from types import SimpleNamespace
from unittest import mock

from authz_server.core.admission import Room
from authz_server.core.serving import serve
from tests.core.stopped import made


class Interrupted(threading.Event):
    """While it is set, and its lock is held, the next signal comes."""

    def set(self) -> None:
        with self._cond:  # type: ignore[attr-defined]  # the standard library's own
            os.kill(os.getpid(), signal.SIGTERM)
        super().set()


if __name__ == "__main__":
    with mock.patch("granian.server.common.threading", SimpleNamespace(**vars(threading) | {"Event": Interrupted})):
        serve("stopped-twice", made, bind=f"127.0.0.1:{sys.argv[1]}", workers=1, rooms=[Room(at_once=1, waiting=0)])
