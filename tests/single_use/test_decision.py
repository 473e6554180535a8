"""A decision and the identifiers it came with: whoever presents one again decides nothing, and is told which it was."""

from datetime import timedelta

import pytest
from sqlalchemy import Engine, bindparam, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from authz_server.clients.models import RegistryVersion, SuspendedDataset
from authz_server.core import clock
from authz_server.database import table_of
from authz_server.prepared import Lone, lone_connection
from authz_server.single_use import buckets
from authz_server.single_use.decision import Decision
from authz_server.single_use.identifiers import (
    AssertionReplayed,
    Identifier,
    ProofReplayed,
    client_assertion,
    dpop_proof,
)
from authz_server.single_use.models import USED_IDENTIFIERS

VERSION = table_of(RegistryVersion)
LOOK = Decision(select(VERSION.c.version).where(VERSION.c.version == bindparam("wanted")))
SUSPENDED = table_of(SuspendedDataset)
LEAVING = Decision(select(func.count()).select_from(VERSION), leaves=[SUSPENDED])


def assertion(jti: str, client_id: str = "bank", *, life_s: int = 60) -> Identifier:
    return client_assertion(client_id, jti, expires_at=clock.now() + timedelta(seconds=life_s))


def proof(key: bytes, *, life_s: int = 60) -> Identifier:
    return dpop_proof(key * 32, expires_at=clock.now() + timedelta(seconds=life_s))


def spend(engine: Engine, *presented: Identifier, wanted: int = -1) -> int:
    """How many rows were found; nobody wants version -1, so that nothing is decided."""
    with lone_connection(engine) as executor:
        return len(LOOK.run(executor, spend=presented, wanted=wanted))


def known(engine: Engine) -> int:
    with engine.connect() as connection:
        return sum(
            connection.scalar(select(func.count()).select_from(table_of(model))) or 0 for model in USED_IDENTIFIERS
        )


def test_they_are_spent_although_nothing_is_decided(engine: Engine) -> None:
    assert spend(engine, assertion("once"), proof(b"p")) == 0
    with pytest.raises(AssertionReplayed):
        spend(engine, assertion("once"))
    with pytest.raises(ProofReplayed):
        spend(engine, proof(b"p"))


def test_the_assertion_is_told_of_first(engine: Engine) -> None:
    spend(engine, assertion("both"), proof(b"b"))
    with pytest.raises(AssertionReplayed):
        spend(engine, assertion("both"), proof(b"b"))
    with pytest.raises(ProofReplayed):
        spend(engine, assertion("another"), proof(b"b"))


def test_whoever_is_refused_has_spent_nothing(engine: Engine) -> None:
    spend(engine, proof(b"r"))
    before = known(engine)
    with pytest.raises(ProofReplayed):
        spend(engine, assertion("kept"), proof(b"r"))
    assert known(engine) == before
    spend(engine, assertion("kept"))


def test_what_another_client_or_key_uses_is_no_replay(engine: Engine) -> None:
    spend(engine, assertion("shared", "bank"), proof(b"x"))
    spend(engine, assertion("shared", "shop"), proof(b"y"))


def test_one_digest_may_be_of_each_kind(engine: Engine) -> None:
    alike = assertion("alike")
    spend(engine, alike)
    spend(engine, alike._replace(kind=proof(b"k").kind))


def test_at_the_turn_of_a_half_hour_both_tables_know_them(engine: Engine) -> None:
    start = clock.now().timestamp() // buckets.BUCKET.total_seconds() * buckets.BUCKET
    turn = clock.now().min.replace(year=1970, tzinfo=clock.now().tzinfo) + start + buckets.BUCKET
    with clock.frozen(turn - timedelta(seconds=10)):
        reaching_over = assertion("turn", life_s=300)
        before = known(engine)
        spend(engine, reaching_over, proof(b"t", life_s=5))
        assert known(engine) - before == 4
    with clock.frozen(turn + timedelta(seconds=10)), pytest.raises(AssertionReplayed):
        spend(engine, assertion("turn", life_s=200), proof(b"u", life_s=200))


def test_it_is_told_within_a_session_too(engine: Engine) -> None:
    spend(engine, proof(b"s"))
    with Session(engine) as session, pytest.raises(ProofReplayed):
        LOOK.run(session, spend=[assertion("session"), proof(b"s")], wanted=0)
    spend(engine, assertion("session"))


def test_a_replay_is_one_however_the_database_writes_its_octets(engine: Engine) -> None:
    spend(engine, assertion("escaped"))
    with lone_connection(engine) as executor:
        if isinstance(executor, Lone):
            executor.connection.execute("SET bytea_output = 'escape'")
        with pytest.raises(AssertionReplayed):
            LOOK.run(executor, spend=[assertion("escaped")], wanted=-1)


def test_another_key_that_is_violated_is_no_replay(engine: Engine) -> None:
    row = {"dataset_id": "ris.personal", "suspended_at": clock.now()}
    with Session(engine) as session, pytest.raises(IntegrityError):
        LEAVING.run(session, spend=[assertion("broken")], rows=[[row, row]])
    spend(engine, assertion("broken"))
