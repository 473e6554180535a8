"""A server that says how its sockets are set: `python -m tests.core.sockets PORT [IDLE_S]`."""

import json
import os
import socket
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from authz_server.core import serving
from authz_server.core.admission import ReadyAnswer, Room


def application(environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
    """Answer [[congestion control, octets that may wait to be sent], ...], one of each TCP socket of this process."""
    answer = json.dumps(list(options())).encode()
    start_response("200 OK", [("Content-Length", str(len(answer)))])
    return [answer]


def options() -> Iterator[tuple[str, int]]:
    for path in filter(Path.is_socket, Path("/proc/self/fd").iterdir()):
        with suppress(OSError), socket.socket(fileno=os.dup(int(path.name))) as own:
            control = own.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16)
            unsent = own.getsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT)
            yield control.rstrip(b"\0").decode(), unsent


def made() -> serving.Served:
    return serving.Served(application, ReadyAnswer((), b""))


if __name__ == "__main__":
    serving.IDLE_S = int(sys.argv[2]) if sys.argv[2:] else serving.IDLE_S
    room = Room(at_once=1, waiting=1)
    serving.serve("sockets", made, bind=f"127.0.0.1:{sys.argv[1]}", workers=1, rooms=[room], long_answers=True)
