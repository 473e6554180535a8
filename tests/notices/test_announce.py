"""Which notices are made: of which events, by which channels, for whom."""

import re
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy.dialects import postgresql
from sqlalchemy.orm import Session

from authz_server import leaving, worker
from authz_server.core import clock
from authz_server.notices import service
from authz_server.notices.channels import REGISTRY
from authz_server.notices.channels.base import Channel
from authz_server.notices.models import NoticeChoice
from authz_server.notices.wording import SECURITY, TOLD
from authz_server.prepared import lone_connection
from tests.notices.support import Hands

MAILED, SAFE = "consent.denied", "sign_in.locked"


def choose(hands: Hands, channel: str, *, wanted: bool) -> None:
    """The citizen's choice for what can be switched off."""
    with Session(hands.platform.engine) as session, session.begin():
        session.add(NoticeChoice(citizen_id=hands.citizen_id(session), channel=channel, wanted=wanted))


def made(hands: Hands, *events: str) -> dict[str, int]:
    """Let these events happen; how many notices inbox and e-mail have of them."""
    before = {channel: len(hands.notices(channel)) for channel in ("web", "email")}
    for event in events:
        hands.happened(event)
    hands.tick()
    return {channel: len(hands.notices(channel)) - count for channel, count in before.items()}


def test_each_told_event_is_in_the_inbox_and_mailed_once(hands: Hands) -> None:
    assert made(hands, *TOLD) == {"web": len(TOLD), "email": len(TOLD)}
    assert made(hands) == {"web": 0, "email": 0}


def test_what_is_not_told_is_on_the_record_only(hands: Hands) -> None:
    assert made(hands, "token.leased", "sign_in.succeeded") == {"web": 0, "email": 0}


def test_a_notice_in_the_inbox_is_delivered_when_it_is_made_and_the_others_are_due(hands: Hands) -> None:
    made(hands, MAILED)
    web, email = hands.notices("web")[-1], hands.notices("email")[-1]
    assert (web.delivered_at, web.due_at) == (clock.now(), None)
    assert (email.delivered_at, email.due_at) == (None, clock.now())


def test_who_switched_e_mail_off_is_mailed_what_concerns_security_alone(hands: Hands) -> None:
    choose(hands, "email", wanted=False)
    assert made(hands, MAILED, SAFE) == {"web": 2, "email": 1}


@pytest.mark.parametrize("change", [{"email": None}, {"email_verified_at": None}])
def test_nobody_is_mailed_without_a_verified_address(hands: Hands, change: Any) -> None:
    hands.change(**change)
    assert made(hands, MAILED, SAFE) == {"web": 2, "email": 0}


def test_what_happened_before_an_address_was_verified_does_not_go_there(hands: Hands) -> None:
    hands.happened(MAILED)
    clock.advance(timedelta(minutes=1))
    hands.change(email="new@citizen.example", email_verified_at=clock.now())
    assert made(hands, SAFE) == {"web": 2, "email": 1}


@pytest.mark.parametrize("event", ["counter.announced", "sign_in.code_sent"])
def test_a_code_goes_to_an_address_also_where_the_clock_is_behind_that_verified_it(hands: Hands, event: str) -> None:
    hands.change(email_verified_at=clock.now() + timedelta(seconds=10))
    assert made(hands, event)["email"] == 1


@pytest.mark.parametrize(("event", "reason"), [("token.revoked", "withdrawn"), ("consent.withdrawn", "frozen")])
def test_what_ended_with_something_else_is_told_with_it(hands: Hands, event: str, reason: str) -> None:
    hands.happened(event, reason=reason)
    assert made(hands, event) == {"web": 1, "email": 1}


def test_what_may_mean_that_somebody_else_is_at_it_concerns_security() -> None:
    families = ("sign_in.", "method.", "password.", "authenticator.", "recovery.", "contact.", "account.", "session.")
    unusual = (
        "code.replayed",
        "code.misused",
        "anomaly.again",
        "anomaly.unusual_",
        "anomaly.passkey_",
        "counter.locked",
        "delegation.locked",
        "delegation.confirmed",
        "agent.locked",
        "agent.confirmed",
        "office.appointed",
    )
    assert {event for event in TOLD if event.startswith(families + unusual)} == set(SECURITY)


def test_a_short_look_tells_what_nobody_was_told_of(hands: Hands) -> None:
    hands.happened(MAILED)
    assert announce(hands, *hands.channels.values(), look_back=worker.SHORT_LOOK) == 2
    assert announce(hands, *hands.channels.values(), look_back=worker.SHORT_LOOK) == 0


def test_what_another_worker_told_by_fewer_channels_is_left_to_a_thorough_look(hands: Hands) -> None:
    hands.happened(MAILED)
    announce(hands, look_back=service.LATEST)  # by a worker that has the inbox only
    assert announce(hands, *hands.channels.values(), look_back=worker.SHORT_LOOK) == 0
    assert announce(hands, *hands.channels.values(), look_back=service.LATEST) == 1


def test_the_message_to_who_leaves_is_no_sign_that_a_worker_was_there(hands: Hands) -> None:
    hands.happened(SAFE, "citizen2")
    clock.advance(2 * service.LATEST)
    with Session(hands.platform.engine) as session, session.begin():
        leaving.leave(
            session,
            hands.citizen_id(session),
            actor="citizen",
            settings=hands.services.settings,
            now=clock.now(),
        )
    before = len(hands.notices("web"))
    hands.tick()
    assert len(hands.notices("web")) == before + 1


def announce(hands: Hands, *channels: Channel, look_back: timedelta) -> int:
    with lone_connection(hands.platform.engine) as lone:
        return service.announce(lone, channels=channels or service.TO_EVERYBODY, look_back=look_back, now=clock.now())


@pytest.mark.parametrize("kind", REGISTRY, ids=lambda kind: kind.id)
def test_a_channel_says_of_all_its_events_that_it_may_tell_of_them(kind: type[Channel]) -> None:
    channel = kind.__new__(kind)  # unconfigured: of which entries it makes notices hangs on nothing else
    condition = str(channel.entitled().compile(compile_kwargs={"literal_binds": True}))
    assert set(re.findall(r"'(\w+\.\w+)'", condition)) == kind.events


@pytest.mark.parametrize("thorough", [True, False])
@pytest.mark.parametrize("few", [True, False])
def test_few_entries_are_held_in_an_array(few: bool, thorough: bool) -> None:
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]  # it has no annotations
    statement = service._announcing(service.TO_EVERYBODY, "postgresql", thorough=thorough, few=few).statement
    assert ("array(" in str(statement.compile(dialect=dialect)).lower()) is few
