"""kill -9 at any instant of the work on a token: what was answered is on the record, and row and record agree."""

import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random

import orjson
import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from authz_server.audit.models import AuditEntry
from authz_server.core import clock
from authz_server.database import new_engine, table_of
from authz_server.tokens.models import DatasetToken
from tests.races.arena import rounds
from tests.races.seeding import Seeds, Subject
from tests.support.platform import Platform
from tests.support.tree import ROOT

pytestmark = pytest.mark.race
LIVES = rounds(40)
TOKENS_OF_A_LIFE = 40
LONGEST_LIFE_S = 0.1
# By the last edge that was recorded; a lease that nobody ended waits for its time.
STATE_AFTER = {None: "issued", "leased": "leased", "delivering": "leased", "delivered": "spent"}
STATE_AFTER |= {"failed": "issued", "no_record": "issued"}


def test_a_kill_at_any_instant_loses_and_doubles_nothing(platform: Platform) -> None:
    (granted,) = platform.tokens(platform.detail("ris.personal"))["authorization_details"]
    seeds = Seeds(platform.engine, platform.catalogue, granted["transaction"])
    tokens = seeds.tokens(LIVES * TOKENS_OF_A_LIFE, now=clock.now())
    lives = [tokens[start : start + TOKENS_OF_A_LIFE] for start in range(0, len(tokens), TOKENS_OF_A_LIFE)]
    random, told = Random(7), defaultdict[str, list[str]](list)
    with mortal(platform.settings.database_url, seeds.dataset_id) as process:
        for life in lives:
            for number, edge in outlive(process, life, seconds=random.uniform(0, LONGEST_LIFE_S)):
                told[life[number].transaction_id].append(edge)

    recorded = states_and_records(platform, tokens)
    assert any(state == "leased" for state, _ in recorded.values()), "some were killed in the middle"
    for token in tokens:
        state, record = recorded[token.transaction_id]
        answered = told[token.transaction_id]
        # Of an edge that was about to be told, the process may have died after its commit.
        assert record[: len(answered)] == answered
        assert len(record) - len(answered) in {0, 1}
        assert max(Counter(record).values(), default=1) == 1
        assert state == STATE_AFTER[record[-1] if record else None]


@contextmanager
def mortal(url: str, dataset: str) -> Iterator[subprocess.Popen[bytes]]:
    """The program whose children are killed; it ends with the block."""
    command = [sys.executable, "-m", "tests.crashes.mortal", url, dataset]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        yield process


def outlive(process: subprocess.Popen[bytes], tokens: list[Subject], *, seconds: float) -> Iterator[tuple[int, str]]:
    """Let a life begin and end; number of the token and name of each edge that it told of."""
    assert process.stdin is not None
    assert process.stdout is not None
    request = {"tokens": [token.secret for token in tokens], "seconds": seconds}
    process.stdin.write(orjson.dumps(request) + b"\n")
    process.stdin.flush()
    while (line := process.stdout.readline().decode().strip()) != "end":
        number, edge = line.split(" ")
        yield int(number), edge


def states_and_records(platform: Platform, tokens: list[Subject]) -> dict[str, tuple[str, list[str]]]:
    """State and recorded edges of each token, all as of one moment: a database may still end what it was told to do."""
    token, entry = table_of(DatasetToken).c, table_of(AuditEntry).c
    wanted = {subject.transaction_id for subject in tokens}
    engine = new_engine(platform.settings.database_url)
    if engine.dialect.name == "postgresql":
        engine = engine.execution_options(isolation_level="REPEATABLE READ")
    with Session(engine) as session:
        states = {
            row.transaction_id: row.state
            for row in session.execute(select(token.transaction_id, token.state))
            if row.transaction_id in wanted
        }
        records = defaultdict[str, list[str]](list)
        for row in session.execute(select(entry.transaction_id, entry.event).order_by(entry.id)):
            records[row.transaction_id].append(row.event.removeprefix("token."))
    engine.dispose()
    return {transaction: (state, records[transaction]) for transaction, state in states.items()}
