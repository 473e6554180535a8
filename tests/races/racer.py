"""Processes that fight for one secret: `python -m tests.races.racer URL PROCESSES THREADS`.

Each line on standard input is a round: a JSON list with, for each thread of each process, the list of what it is to do
one after the other, `[act, arguments]` of `ACTS`. The answer is a JSON list of how all of that ended: the word that an
act returned, or the name of its error.
"""

import multiprocessing
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from threading import Barrier
from typing import Any

import orjson
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from authz_server.core.errors import DomainError
from authz_server.database import new_engine
from authz_server.prepared import lone_connection
from tests.races.acts import ACTS, LONE, WHOLE


def perform(engine: Engine, act: str, arguments: dict[str, Any]) -> str:
    """Do one act as a request does it, with its commit; how it ended."""
    try:
        if act in WHOLE:
            return ACTS[act](engine, **arguments)
        if act in LONE:
            with lone_connection(engine) as connection:
                return ACTS[act](connection, **arguments)
        with Session(engine) as session, session.begin():
            return ACTS[act](session, **arguments)
    except DomainError as error:
        return type(error).__name__


def work(connection: Connection, url: str, threads: int) -> None:
    """Run this process's part of each round, until None comes."""
    engine = new_engine(url)
    start = Barrier(threads)

    def run(acts: Sequence[Any]) -> list[str]:
        start.wait()
        return [perform(engine, *act) for act in acts]

    with ThreadPoolExecutor(threads) as pool:
        while (share := connection.recv()) is not None:
            connection.send(list(pool.map(run, share)))
    engine.dispose()


def main() -> None:
    """Let the processes run the rounds that standard input names."""
    url, processes, threads = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    # Forked after the imports, which cost more than all else, and before there is any thread.
    fork = multiprocessing.get_context("fork")
    connections, children = [], []
    for _ in range(processes):
        ours, theirs = fork.Pipe()
        # A daemon: should another die, this program ends with an error, and must not wait for those that are left.
        child = fork.Process(target=work, args=(theirs, url, threads), daemon=True)
        child.start()
        theirs.close()  # so that the child alone has it, and its end is seen here
        connections.append(ours)
        children.append(child)
    print("ready", flush=True)  # noqa: T201 - the answer to whoever started this program
    for line in sys.stdin.buffer:
        shares = orjson.loads(line)
        for number, connection in enumerate(connections):
            connection.send(shares[number * threads : (number + 1) * threads])
        ended = [ends for connection in connections for ends in connection.recv()]
        print(orjson.dumps(ended).decode(), flush=True)  # noqa: T201 - as above
    for connection, child in zip(connections, children, strict=True):
        connection.send(None)
        child.join()


if __name__ == "__main__":
    main()
