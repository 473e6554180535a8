"""A server whose application fails, before and in the middle of an answer: `python -m tests.core.faulty PORT`."""

import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from authz_server.core import logging
from authz_server.core.admission import ReadyAnswer, Room
from authz_server.core.serving import Served, serve

QUOTED = "something about a citizen"
WHOLE = b"begun and ended"


def application(environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
    def stream() -> Iterator[bytes]:
        yield WHOLE[:5]
        raise ValueError(QUOTED)

    if environ["PATH_INFO"] == "/at-once":
        raise ValueError(QUOTED)
    start_response("200 OK", [("Content-Length", str(len(WHOLE)))])
    return stream()


def made() -> Served:
    logging.configure()
    return Served(application, ReadyAnswer((), b""))


if __name__ == "__main__":
    serve("faulty", made, bind=f"127.0.0.1:{sys.argv[1]}", workers=1, rooms=[Room(at_once=2, waiting=0)])
