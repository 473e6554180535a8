"""An end for conversations over sockets, which have none of their own."""

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
        timer = threading.Timer(max(0, deadline - time.monotonic()), _cut, (breaker,))
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()


def _cut(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # already closed by the other side, or by us
