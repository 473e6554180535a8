"""Count what an operation does, in this process, where a clock would only tell how busy the machine is.

    with counting(engine) as counts:
        client.post("/token", data=form)
    assert counts.statements <= 3

Do the operation once before: caches fill and statements are compiled the first time. Only what the calling thread does
is counted, so drive a WSGI application through its test client, not through a server.
"""

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

from sqlalchemy import Engine, event

from authz_server.prepared import Lone

# Where `cryptography` makes a private key out of bytes or numbers: what must not happen per request.
_PRIVATE_LOADS = frozenset(
    {"load_pem_private_key", "load_der_private_key", "derive_private_key", "from_private_bytes", "private_key"}
)
# Not all statements of PostgreSQL go through the engine.
_RUN = Lone.run.__code__
_NATIVE = _PRIVATE_LOADS | {"sign", "verify"}


@dataclass
class Counts:
    """What was done since the block began.

    calls: of Python functions, generators resumed included. key_loads: private keys parsed.
    statement_texts: in the order they were sent, for the message of a failed assertion.
    """

    statements: int = 0
    commits: int = 0
    rollbacks: int = 0
    signatures: int = 0
    verifications: int = 0
    key_loads: int = 0
    calls: int = 0
    statement_texts: list[str] = field(default_factory=list)


@contextmanager
def counting(engine: Engine) -> Iterator[Counts]:
    """Count statements of this engine, and calls of this thread. Not to be nested, nor used under a profiler."""
    counts = Counts()
    native: Counter[tuple[str, str]] = Counter()

    def on_statement(_conn: Any, _cursor: Any, statement: str, *_more: Any) -> None:
        counts.statements += 1
        counts.statement_texts.append(statement)

    def on_commit(_conn: Any) -> None:
        counts.commits += 1

    def on_rollback(_conn: Any) -> None:
        counts.rollbacks += 1

    def on_call(frame: FrameType, kind: str, what: Any) -> None:
        if kind == "call":
            counts.calls += 1
            if frame.f_code is _RUN:
                counts.statements += 1
                counts.statement_texts.append(frame.f_locals["text"])
        elif kind == "c_call" and what.__name__ in _NATIVE:
            native[type(what.__self__).__name__, what.__name__] += 1

    listeners = (("before_cursor_execute", on_statement), ("commit", on_commit), ("rollback", on_rollback))
    for name, listener in listeners:
        event.listen(engine, name, listener)
    sys.setprofile(on_call)
    try:
        yield counts
    finally:
        sys.setprofile(None)
        for name, listener in listeners:
            event.remove(engine, name, listener)
        _book(native, counts)


def _book(native: Counter[tuple[str, str]], counts: Counts) -> None:
    for (owner, name), times in native.items():
        if name == "sign" and owner.endswith("PrivateKey"):
            counts.signatures += times
        elif name == "verify" and owner.endswith("PublicKey"):
            counts.verifications += times
        elif name in _PRIVATE_LOADS:
            counts.key_loads += times
