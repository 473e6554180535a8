"""A server that tells whom it takes a request to come from: `python -m tests.identity.echo PORT HOPS`."""

import sys
from collections.abc import Callable, Iterable
from typing import Any

from authz_server.app import behind_proxies
from authz_server.core.admission import ReadyAnswer, Room
from authz_server.core.serving import Served, serve


def application(environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
    answer = str(environ["REMOTE_ADDR"]).encode()
    start_response("200 OK", [("Content-Length", str(len(answer)))])
    return [answer]


def made() -> Served:
    return Served(behind_proxies(application, int(sys.argv[2])), ReadyAnswer((), b""))


if __name__ == "__main__":
    serve("echo", made, bind=f"127.0.0.1:{sys.argv[1]}", workers=1, rooms=[Room(at_once=1, waiting=1)])
