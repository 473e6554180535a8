"""A process that takes tokens through their life until it is killed: `python -m tests.crashes.mortal URL DATASET`.

Each line on standard input is a life: a JSON object with its `tokens` and the `seconds` from its first connection to
SIGKILL. Each committed edge is told on standard output at once, as `<number of the token> <edge>`, and the end of the
life as `end`. Who lives is a child of this process, a new one for each life but the first, which nothing ends early.
"""

import multiprocessing
import os
import sys
from collections.abc import Sequence
from multiprocessing.synchronize import Event

import orjson
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from authz_server.core import clock, secrets
from authz_server.database import new_engine
from authz_server.single_use import identifiers
from authz_server.tokens import dataset_tokens
from tests.races.seeding import JKT, LIMITS

LIVES = (("delivering", "delivered"), ("failed",), ("delivered",), ("no_record",))


def live(engine: Engine, dataset: str, tokens: Sequence[str], begun: Event) -> None:
    """Lease each token and end its lease in one of several ways; tell of every edge once it is committed.

    `begun` is set when the database has been reached.
    """
    with engine.connect():
        begun.set()
    for number, token in enumerate(tokens):
        with Session(engine) as session, session.begin():
            handle = lease(session, token, dataset)
        tell(number, "leased")
        for outcome in LIVES[number % len(LIVES)]:
            with Session(engine) as session, session.begin():
                report(session, handle, outcome)
            tell(number, outcome)


def lease(session: Session, token: str, dataset: str) -> str:
    """Exchange a token; the handle."""
    now = clock.now()
    proof = identifiers.dpop_proof(secrets.digest(secrets.new_secret("")), expires_at=now)
    leased = dataset_tokens.lease(
        session,
        token,
        jkt=JKT,
        needed_level=4,
        dataset_id=dataset,
        resource_server="proxy",
        ttl_s=LIMITS.lease_s,
        spend=[proof],
        now=now,
    )
    return leased.handle


def report(session: Session, handle: str, outcome: str) -> None:
    """Say how it went."""
    dataset_tokens.report(session, handle, dataset_tokens.Report(outcome), limits=LIMITS, now=clock.now())


def tell(number: int, edge: str) -> None:
    """One line in one write, so that a kill leaves no half of it."""
    os.write(sys.stdout.fileno(), f"{number} {edge}\n".encode())


def main() -> None:
    """Let one life follow the other."""
    url, dataset = sys.argv[1:]
    engine = new_engine(url)
    if engine.dialect.name == "postgresql":
        engine = engine.execution_options(isolation_level="AUTOCOMMIT")  # as `database.lone_session`
    fork = multiprocessing.get_context("fork")
    for number, line in enumerate(sys.stdin.buffer):
        request, begun = orjson.loads(line), fork.Event()
        if number == 0:
            # Not killed: what it compiles is inherited by all others, who else would seldom get further than that.
            live(engine, dataset, request["tokens"], begun)
            engine.dispose()
        else:
            child = fork.Process(target=live, args=(engine, dataset, request["tokens"], begun))
            child.start()
            begun.wait()
            child.join(request["seconds"])
            child.kill()
            child.join()
        os.write(sys.stdout.fileno(), b"end\n")


if __name__ == "__main__":
    main()
