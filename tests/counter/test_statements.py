"""What the statements of a visit ask by themselves: what was found good before may have changed when they run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import Update, select, update
from sqlalchemy.orm import Session

from authz_server.audit.models import AuditEntry
from authz_server.clients.models import Client
from authz_server.consent.models import AuthorizationCode
from authz_server.core import clock
from authz_server.counter import delegation, desk, service
from authz_server.counter.agents import find_of_agent
from authz_server.counter.errors import DelegationNotUsable
from authz_server.counter.models import Barcode, Delegation
from authz_server.identity.models import Citizen
from authz_server.single_use.decision import Decision
from authz_server.tokens import redemption
from tests.counter.office import NATIONAL_IDS, Errand, agree, announce, new_office, press, redeem
from tests.support.platform import Bank, Platform
from tests.support.protocol import new_citizen, refused, rows

OTHER = b"\1" * 32


@pytest.fixture
def office(platform: Platform) -> Bank:
    return new_office(platform)


@dataclass
class Statement:
    """A decision with parameters for which it decides, and what speaks against it: changes of rows or parameters."""

    decision: Decision
    given: dict[str, Any]
    against: Mapping[str, Update | dict[str, Any]]

    def run(self, session: Session, **changes: Any) -> Sequence[Any]:
        return self.decision.run(session, rows=[[]] * len(self.decision.leaves), **self.given | changes)

    def check(self, platform: Platform) -> None:
        """Nothing of it is ever committed."""
        for cause, change in self.against.items():
            with Session(platform.engine) as session:
                if isinstance(change, dict):
                    decided = self.run(session, **change)
                else:
                    session.execute(change)
                    decided = self.run(session)
                assert decided == [], cause
        with Session(platform.engine) as session:
            assert len(self.run(session)) == 1


def frozen(citizen_id: int | None) -> Update:
    return update(Citizen).where(Citizen.id == citizen_id).values(frozen_at=clock.now())


def of_code(consent_id: str, **changes: Any) -> Update:
    return update(AuthorizationCode).where(AuthorizationCode.consent_id == consent_id).values(changes)


def ways_of_a_code(consent_id: str) -> dict[str, Any]:
    """In which a consent's code can be of no use."""
    now = clock.now()
    return {"used": of_code(consent_id, used_at=now), "over": of_code(consent_id, expires_at=now)}


def agents_barcode(platform: Platform, office: Bank) -> Any:
    """The row of a barcode that was announced, of an agent."""
    (agent,) = rows(platform, Citizen, username=new_citizen(platform))
    sent = Errand(agree(platform, office), platform.citizen(agent.username))
    sent.confirm(agent.national_id)
    assert announce(office, sent.show()).status_code == 200
    shown = rows(platform, Barcode, transaction_id=sent.visit.reference)
    return next(row for row in shown if row.announced_at is not None)


def ways_of_a_barcode(platform: Platform, row: Any) -> dict[str, Any]:
    """In which a barcode can be of no use to an office."""
    this = update(Barcode).where(Barcode.digest == row.digest)
    return {
        "another office's": {"office": new_office(platform).client_id},
        "its time is over": this.values(expires_at=clock.now()),
        "another was shown": of_code(row.consent_id, digest=OTHER),
        "of the citizen, who has an agent": this.values(agent_id=None),
        "its agent is frozen": frozen(row.agent_id),
    } | ways_of_a_code(row.consent_id)


def test_a_barcode_is_announced_only_as_long_as_nothing_speaks_against_it(platform: Platform, office: Bank) -> None:
    with clock.frozen(clock.now()):
        row = agents_barcode(platform, office)
        clock.advance(timedelta(minutes=2))
        now = clock.now()
        given = {"barcode": row.digest, "office": office.client_id, "now": now, "until": now}
        against: dict[str, Any] = ways_of_a_barcode(platform, row) | {
            "it has a code": update(Barcode)
            .where(Barcode.digest == row.digest)
            .values(code_expires_at=now + timedelta(seconds=1)),
        }
        del against["over"]  # which was judged before, and a time does not change
        Statement(desk.ANNOUNCE, given | {"counter": None, "clerk": None}, against).check(platform)


def test_a_barcode_is_redeemed_only_as_it_was_announced_last(platform: Platform, office: Bank) -> None:
    with clock.frozen(clock.now()):
        row = agents_barcode(platform, office)
        given = {"code_digest": row.digest, "office": office.client_id, "announced": row.announced_at}
        this = update(Barcode).where(Barcode.digest == row.digest)
        against = ways_of_a_barcode(platform, row) | {
            "announced again": this.values(announced_at=clock.now() + timedelta(minutes=2)),
            "the one-time code is over": this.values(code_expires_at=clock.now()),
            "its citizen is frozen": frozen(row.citizen_id),
            "another barcode's": update(Barcode).where(Barcode.digest == row.digest).values(digest=OTHER),
        }
        Statement(desk.REDEEM, given | {"jkt": "j", "now": clock.now()}, against).check(platform)


def test_a_barcode_is_shown_anew_only_to_whom_it_belongs(platform: Platform, office: Bank) -> None:
    with clock.frozen(clock.now()):
        row = agents_barcode(platform, office)
        given = {"present": row.digest, "next": OTHER, "citizen": row.citizen_id, "agent": row.agent_id}
        suspended = update(Client).where(Client.client_id == office.client_id).values(suspended_at=clock.now())
        against = ways_of_a_code(row.consent_id) | {
            "another was shown": of_code(row.consent_id, digest=OTHER),
            "another citizen's": {"citizen": row.agent_id},
            "to the citizen, who has an agent": {"agent": None},
            "to another agent": {"agent": row.citizen_id},
            "its office is suspended": suspended,
            "its citizen is frozen": frozen(row.citizen_id),
            "its agent is frozen": frozen(row.agent_id),
        }
        Statement(service.SHOW, given | {"now": clock.now()}, against).check(platform)


def test_an_errand_goes_on_only_from_where_it_was_seen(platform: Platform, office: Bank) -> None:
    with clock.frozen(clock.now()):
        (agent,) = rows(platform, Citizen, username=new_citizen(platform))
        (other,) = rows(platform, Citizen, username=new_citizen(platform))
        sent = Errand(agree(platform, office), platform.citizen(agent.username))
        invitation = sent.invite(agent.national_id)
        this = update(Delegation).where(Delegation.transaction_id == sent.visit.reference)
        (row,) = rows(platform, Delegation, transaction_id=sent.visit.reference)
        given = {"invitation": row.digest, "agent": agent.id, "now": clock.now()}
        moment = clock.now()
        always: dict[str, Any] = {
            "another": {"invitation": OTHER},
            "ended": this.values(ended_at=moment),
        }
        held: dict[str, Any] = {"citizen frozen": frozen(row.citizen_id), "agent frozen": frozen(agent.id)}
        code: dict[str, Any] = ways_of_a_code(row.consent_id)
        against: dict[str, Any] = (
            always
            | held
            | code
            | {
                "opened by somebody": this.values(agent_id=other.id),
                "names somebody else": {"named_now": "x"},
                "the citizen's own": this.values(citizen_id=agent.id),
                "too late": this.values(expires_at=moment),
            }
        )
        Statement(delegation.OPEN, given | {"named_now": row.named}, against).check(platform)
        assert sent.open(invitation).status_code == 303
        against = (
            always
            | held
            | code
            | {
                "another agent": {"agent": other.id},
                "accepted": this.values(accepted_at=moment),
            }
        )
        Statement(delegation.ACCEPT, given, against).check(platform)
        assert press(sent.agent, sent.own, "accept").status_code == 303
        against = (
            always
            | held
            | {
                "another agent": {"agent": other.id},
                "not accepted": this.values(accepted_at=None),
                "confirmed": this.values(confirmed_at=moment),
            }
        )
        Statement(delegation.CONFIRM, given, against).check(platform)
        against = always | {"another agent": {"agent": None}, "confirmed": this.values(confirmed_at=moment)}
        Statement(delegation.END, given | {"confirmed": None}, against).check(platform)
        Statement(delegation.HAND_OVER, {"consent": row.consent_id, "next": OTHER, "now": moment}, code).check(platform)


@pytest.mark.parametrize("why", ["used", "over", "held"])
def test_nobody_is_invited_to_what_is_over(platform: Platform, office: Bank, why: str) -> None:
    visit = agree(platform, office)
    agree(platform, office)  # another that is open
    (code,) = rows(platform, AuthorizationCode, transaction_id=visit.reference)
    owner = {name: getattr(code, name) for name in ("transaction_id", "citizen_id", "client_id", "consent_id")}
    change = frozen(code.citizen_id) if why == "held" else ways_of_a_code(code.consent_id)[why]
    with Session(platform.engine) as session:
        session.execute(change)
        with pytest.raises(DelegationNotUsable):
            delegation.invite(
                session,
                owner,
                NATIONAL_IDS["citizen2"],
                session_secret="s",
                server_secret=bytes(32),
                limits=platform.settings.limits,
                now=clock.now(),
            )
        assert session.scalars(select(Delegation.digest).where(Delegation.consent_id == code.consent_id)).all() == []


@pytest.mark.parametrize("step", ["confirm", "end"])
def test_an_errand_is_neither_confirmed_nor_ended_once_a_counter_has_accepted_the_barcode(
    platform: Platform, office: Bank, step: str
) -> None:
    """After the page was read, when only the statement that takes the barcode away is left to refuse it."""
    (agent,) = rows(platform, Citizen, username=new_citizen(platform))
    sent = Errand(agree(platform, office), platform.citizen(agent.username))
    (sent.accept if step == "confirm" else sent.confirm)(agent.national_id)
    with Session(platform.engine) as session:
        row = find_of_agent(session, sent.visit.reference, agent_id=agent.id)
        assert row is not None
        session.execute(of_code(row.consent_id, used_at=clock.now()))
        take = delegation.confirm if step == "confirm" else partial(delegation.end, actor="citizen")
        with pytest.raises(DelegationNotUsable):
            take(session, row, now=clock.now())


def test_a_right_code_is_no_guess_though_the_barcode_was_used_in_that_very_moment(
    platform: Platform, office: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    visit = agree(platform, office)
    barcode, redeem_code = visit.show(), redemption.redeem
    assert announce(office, barcode).status_code == 200

    def used_first(session: Session, row: Any, **more: Any) -> Any:
        session.execute(of_code(row.consent_id, used_at=clock.now()))
        return redeem_code(session, row, **more)

    monkeypatch.setattr(desk, "redeem", used_first)
    refused(redeem(office, barcode, visit.code()), 400, "invalid_grant")
    (told,) = rows(platform, AuditEntry, transaction_id=visit.reference, event=desk.REFUSED)
    assert told.reason == "used"
    limits = platform.settings.limits
    with Session(platform.engine) as session:
        left = desk.tries_left(session, told.consent_id, limits=limits, now=clock.now())
    assert left == (limits.sign_in_failures, None)
