"""A dataset token's life against its model: any events in any order, and any passing of time, on both databases."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import Engine, Row, select
from sqlalchemy.orm import Session

from authz_server.audit.models import AuditEntry
from authz_server.clients import service as clients
from authz_server.core.errors import DomainError
from authz_server.database import table_of
from authz_server.identity import service as identity
from authz_server.tokens import dataset_tokens
from authz_server.tokens.models import DatasetToken
from tests.races.arena import Arena, rounds, seconds
from tests.races.model import Model
from tests.races.racer import perform
from tests.races.seeding import JKT, LIMITS, Seeds
from tests.support.protocol import new_bank

pytestmark = pytest.mark.race
BIRTH = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
EXAMPLES = {"sqlite": 60, "postgresql": 30}
STEPS = 25
TOKEN = table_of(DatasetToken)
ENTRY = table_of(AuditEntry)
OUTCOMES = st.sampled_from(["delivering", "continuing", "delivered", "failed", "preparing", "no_record"])
WAITS = st.sampled_from([1, 60, 7200, 86400])
PEOPLE = st.sampled_from(["client", "citizen", "agency"])


class Life(RuleBasedStateMachine):
    """Does everything to a real token and to the model."""

    def __init__(self, seeds: Seeds, username: str) -> None:
        super().__init__()
        self.seeds = seeds
        self.engine: Engine = seeds.engine
        self.names = {"client": seeds.client_id, "citizen": username, "agency": seeds.agency_id}
        self.handles: list[str] = []

    @initialize()
    def issue(self) -> None:
        (self.token,) = self.seeds.tokens(1, now=BIRTH)
        row = self._row()
        self.model = Model(now=BIRTH, limit=row.expires_limit_at, expires=row.expires_at)

    @rule()
    def lease(self) -> None:
        ended = "leased"
        with Session(self.engine) as session, session.begin():
            try:
                leased = dataset_tokens.lease(
                    session,
                    self.token.secret,
                    jkt=JKT,
                    needed_level=4,
                    dataset_id=self.seeds.dataset_id,
                    resource_server="proxy",
                    ttl_s=LIMITS.lease_s,
                    spend=(),
                    now=self.model.now,
                )
                self.handles.append(leased.handle)
            except DomainError as error:
                ended = type(error).__name__
        assert ended == self.model.lease()

    @precondition(lambda self: self.handles)
    @rule(outcome=OUTCOMES, wait_s=WAITS, back=st.integers(0, 1))
    def report(self, outcome: str, wait_s: int, back: int) -> None:
        number = max(1, len(self.handles) - back)  # the last lease, or the one before it
        told = dataset_tokens.Report(outcome, None, wait_s)
        with Session(self.engine) as session, session.begin():
            try:
                dataset_tokens.report(session, self.handles[number - 1], told, limits=LIMITS, now=self.model.now)
                ended = outcome
            except DomainError as error:
                ended = type(error).__name__
        assert ended == self.model.report(number, outcome, timedelta(seconds=wait_s))

    @rule()
    def revoke(self) -> None:
        now = self.model.now
        with Session(self.engine) as session, session.begin():
            done = dataset_tokens.revoke(session, self.token.secret, client_id=self.seeds.client_id, spend=(), now=now)
        assert done == (self.model.revoke() == "revoked")

    @rule(who=PEOPLE)
    def suspend(self, who: str) -> None:
        if who in self.model.suspended:
            return
        arguments = {"name": self.names[who], "at": seconds(self.model.now)}
        assert perform(self.engine, f"suspend_{who}", arguments) == "suspended"
        self.model.suspended.add(who)

    @rule(who=PEOPLE)
    def resume(self, who: str) -> None:
        if who in self.model.suspended:
            self._resume(who)

    @rule(by_s=st.sampled_from([0.001, 1, 59, 60, 120, 600, 900, 90000]))
    def let_time_pass(self, by_s: float) -> None:
        self.model.now += timedelta(seconds=by_s)

    @rule(end=st.sampled_from(["expires", "not_before", "lease_until"]), before=st.booleans())
    def go_to_an_end(self, end: str, before: bool) -> None:
        moment: datetime | None = getattr(self.model, end)
        if moment is not None:
            self.model.now = max(self.model.now, moment - timedelta(milliseconds=1) if before else moment)

    @rule()
    def tidy(self) -> None:
        perform(self.engine, "tidy_tokens", {"at": seconds(self.model.now)})
        self.model.tidy()

    @invariant()
    def row_and_record_agree_with_the_model(self) -> None:
        row, model = self._row(), self.model
        assert (row.state, row.attempt, row.not_before, row.expires_at, row.lease_expires_at) == (
            model.state, model.attempt, model.not_before, model.expires, model.lease_until
        )  # fmt: skip
        assert self._record() == [f"token.{event}" for event in model.record]
        assert model.record.count("delivered") <= 1

    def teardown(self) -> None:
        for who in tuple(self.model.suspended):
            self._resume(who)

    def _resume(self, who: str) -> None:
        with Session(self.engine) as session, session.begin():
            if who == "client":
                clients.resume(session, self.names[who])
            elif who == "agency":
                clients.resume_agency(session, self.names[who])
            else:
                identity.resume(session, self.names[who], now=self.model.now)
        self.model.suspended.remove(who)

    def _row(self) -> Row[Any]:
        with Session(self.engine) as session:
            return session.execute(select(TOKEN).where(TOKEN.c.consent_id == self.token.consent_id)).one()

    def _record(self) -> list[str]:
        with Session(self.engine) as session:
            told = select(ENTRY.c.event).where(ENTRY.c.transaction_id == self.token.transaction_id)
            return list(session.scalars(told.order_by(ENTRY.c.id)))


def test_no_order_of_events_leads_out_of_the_drawing(arena: Arena) -> None:
    username, citizen_id = arena.new_citizen()
    seeds = arena.seeds.of(client_id=new_bank(arena.platform).client_id, citizen_id=citizen_id)
    examples = rounds(EXAMPLES[arena.platform.engine.dialect.name])
    run_state_machine_as_test(
        lambda: Life(seeds, username),  # type: ignore[arg-type]  # any factory will do, as its documentation says
        settings=settings(max_examples=examples, stateful_step_count=STEPS),
    )
