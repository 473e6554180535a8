"""An end for conversations over sockets, which have none of their own."""

import math
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def cut_off(raw: socket.socket, deadline: float) -> Iterator[None]:
    """Cut the connection at the deadline (of `time.monotonic`), whatever the block is at, a TLS handshake included.

    A socket's own time-out starts anew with each byte: a host that drips would hold us for hours.
    """
    with raw.dup() as breaker:  # a duplicate: TLS takes the original over
        try:
            _WATCH.begin(breaker, deadline)
            yield
        finally:
            _WATCH.end(breaker)


class _Watch:
    """One thread for all conversations: a timer is a thread of its own, which costs as much as a short one of them."""

    def __init__(self) -> None:
        self.forget()
        # The conversations of the parent are no affair of a process that was forked.
        os.register_at_fork(after_in_child=self.forget)

    def forget(self) -> None:
        self._changed = threading.Condition()
        self._deadlines: dict[socket.socket, float] = {}
        self._wakes_at = math.inf
        self._thread: threading.Thread | None = None

    def begin(self, connection: socket.socket, deadline: float) -> None:
        with self._changed:
            self._deadlines[connection] = deadline
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="cut-off", daemon=True)
                self._thread.start()
            elif deadline < self._wakes_at:
                self._changed.notify()

    def end(self, connection: socket.socket) -> None:
        with self._changed:
            self._deadlines.pop(connection, None)

    def _run(self) -> None:
        with self._changed:
            while True:
                now = time.monotonic()
                for connection in [each for each, deadline in self._deadlines.items() if deadline <= now]:
                    del self._deadlines[connection]
                    _cut(connection)
                self._wakes_at = min(self._deadlines.values(), default=math.inf)
                self._changed.wait(min(self._wakes_at - now, threading.TIMEOUT_MAX))


_WATCH = _Watch()


def _cut(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # already closed by the other side, or by us
