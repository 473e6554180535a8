"""A server that is told to stop while its worker is being made: `python -m tests.core.stopped PORT`."""

import os
import signal
import sys

from authz_server.core.admission import ReadyAnswer, Room
from authz_server.core.serving import Served, serve


def made() -> Served:
    for told in (os.getppid(), os.getpid()):  # as a service manager tells all processes of a service
        os.kill(told, signal.SIGTERM)
    nothing = ReadyAnswer((), b"")
    return Served(nothing, nothing)


if __name__ == "__main__":
    serve("stopped", made, bind=f"127.0.0.1:{sys.argv[1]}", workers=2, rooms=[Room(at_once=1, waiting=0)])
