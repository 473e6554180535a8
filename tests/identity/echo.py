"""Servers that tell whom they take a request to come from: `python -m tests.identity.echo PORT PORT ...`.

The first is behind no proxy, the second behind one, and so on.
"""

import os
import signal
import sys
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from authz_server.app import behind_proxies
from authz_server.core.admission import ReadyAnswer, Room
from authz_server.core.serving import Served, serve


def application(environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
    answer = str(environ["REMOTE_ADDR"]).encode()
    start_response("200 OK", [("Content-Length", str(len(answer)))])
    return [answer]


def made(hops: int) -> Served:
    return Served(behind_proxies(application, hops), ReadyAnswer((), b""))


def main() -> None:
    """Serve until all processes of this group are told to end."""
    for hops, port in enumerate(sys.argv[1:]):
        if not os.fork():
            rooms = [Room(at_once=1, waiting=1)]
            serve("echo", partial(made, hops), bind=f"127.0.0.1:{port}", workers=1, rooms=rooms)
            sys.exit()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    for _ in sys.argv[1:]:
        os.wait()


if __name__ == "__main__":
    main()
