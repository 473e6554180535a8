"""Sessions: found by one statement, ended by time and by decision, alive after a restart."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import Engine, event, select, update
from sqlalchemy.orm import Session

from authz_server.config import Limits
from authz_server.core.secrets import digest
from authz_server.database import new_engine
from authz_server.identity import credentials, enrolment, service, sessions, sign_in, turns
from authz_server.identity.errors import ShutOut
from authz_server.identity.levels import lack, level_of_method, stated
from authz_server.identity.models import CITIZEN, CITIZEN_SESSION
from authz_server.identity.sessions import SignedIn
from tests.identity.racer import SETTINGS
from tests.identity.second_method import Key
from tests.identity.support import NOW, OTHER_PERSON, PERSON, enrol
from tests.support.waiting import locks_waited_for, wait_until

MINUTE = timedelta(minutes=1)


@contextmanager
def counted(engine: Engine) -> Iterator[list[str]]:
    seen: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        seen.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(engine, "before_cursor_execute", note)


@pytest.fixture
def cookie(session: Session) -> str:
    """The secret of an open session of the first citizen."""
    citizen_id = enrol(session).citizen_id
    secret = sessions.open_session(session, citizen_id, level=3, amr=("pwd", "otp"), now=NOW)
    session.commit()
    return secret


def found(session: Session, cookie: str, at: timedelta) -> SignedIn | None:
    return sessions.find(session, cookie, now=NOW + at)


def test_a_session_is_found_by_one_statement(session: Session, engine: Engine, cookie: str) -> None:
    with counted(engine) as statements:
        signed_in = found(session, cookie, 5 * MINUTE)
    assert len([statement for statement in statements if not statement.startswith("BEGIN")]) == 1
    assert signed_in is not None
    assert (signed_in.name, signed_in.locale, signed_in.level) == (PERSON.name, "en", 3)
    assert (signed_in.acr, signed_in.amr) == ("urn:mydata:acr:level-3", ("pwd", "otp"))
    assert signed_in.auth_time == NOW
    assert signed_in.auth_time.tzinfo is not None


def test_the_database_and_the_log_never_see_the_secret(session: Session, cookie: str) -> None:
    row = session.execute(select(CITIZEN_SESSION)).one()
    assert cookie not in repr(row._mapping)
    assert row.digest == digest(cookie)
    assert cookie.startswith("mds_")
    assert len(cookie) == 47
    signed_in = found(session, cookie, MINUTE)
    assert PERSON.name not in repr(signed_in)


@pytest.mark.parametrize("wrong", [None, "", "mds_", "mdt_" + "x" * 43, "mds_" + "x" * 43, "mds_\0", "mds_\udc80", "é"])
def test_whatever_else_the_cookie_holds_is_nobodys(session: Session, cookie: str, wrong: str | None) -> None:
    assert sessions.find(session, wrong, now=NOW) is None


def test_a_session_ends_when_idle(session: Session, cookie: str) -> None:
    assert found(session, cookie, 20 * MINUTE - timedelta(seconds=1)) is not None
    assert found(session, cookie, 20 * MINUTE) is None


def test_a_used_session_ends_at_its_absolute_limit(session: Session, cookie: str) -> None:
    moment = NOW
    while (signed_in := sessions.find(session, cookie, now=moment)) is not None:
        sessions.touch(session, signed_in, now=moment)
        moment += 10 * MINUTE
    assert moment - NOW == timedelta(hours=8)


def test_a_session_is_touched_at_most_once_a_minute(session: Session, engine: Engine, cookie: str) -> None:
    signed_in = found(session, cookie, timedelta(seconds=59))
    assert signed_in is not None
    with counted(engine) as statements:
        sessions.touch(session, signed_in, now=NOW + timedelta(seconds=59))
    assert statements == []
    sessions.touch(session, signed_in, now=NOW + MINUTE)
    touched = found(session, cookie, 2 * MINUTE)
    assert touched is not None
    assert (touched.last_seen_at, touched.idle_until) == (NOW + MINUTE, NOW + 21 * MINUTE)
    assert touched.expires_at == signed_in.expires_at


def test_limits_are_settings(session: Session) -> None:
    citizen_id = enrol(session).citizen_id
    limits = Limits(session_idle_s=60, session_max_s=90)
    cookie = sessions.open_session(session, citizen_id, level=3, amr=(), now=NOW, limits=limits)
    signed_in = found(session, cookie, timedelta(seconds=59))
    assert signed_in is not None
    sessions.touch(session, signed_in, now=NOW + MINUTE, limits=limits)
    assert found(session, cookie, timedelta(seconds=89)) is not None
    assert found(session, cookie, timedelta(seconds=90)) is None


def test_an_ended_session_is_not_revived_by_a_late_touch(session: Session, cookie: str) -> None:
    signed_in = found(session, cookie, 2 * MINUTE)
    assert signed_in is not None
    sessions.end(session, signed_in.session_digest, now=NOW + 2 * MINUTE)
    sessions.touch(session, signed_in, now=NOW + 3 * MINUTE)
    assert found(session, cookie, 3 * MINUTE) is None


def test_ending_all_sessions_of_a_citizen_leaves_other_citizens_theirs(session: Session, cookie: str) -> None:
    signed_in = found(session, cookie, MINUTE)
    assert signed_in is not None
    other = enrol(session, OTHER_PERSON).citizen_id
    others = sessions.open_session(session, other, level=3, amr=(), now=NOW)
    sessions.end_all(session, signed_in.citizen_id, now=NOW + MINUTE)
    assert found(session, cookie, MINUTE) is None
    assert found(session, others, MINUTE) is not None


def test_sessions_and_their_ends_survive_a_restart(session: Session, database_url: str, cookie: str) -> None:
    """Class 3 of published vulnerabilities: revocation lost at restart."""
    session.close()
    restarted = new_engine(database_url)
    with Session(restarted) as later:
        signed_in = found(later, cookie, MINUTE)
        assert signed_in is not None
        sessions.end(later, signed_in.session_digest, now=NOW + MINUTE)
        later.commit()
    restarted.dispose()
    again = new_engine(database_url)
    with Session(again) as later:
        assert found(later, cookie, MINUTE) is None
    again.dispose()


def test_a_suspended_citizen_has_no_session(session: Session, cookie: str) -> None:
    service.suspend(session, PERSON.username, now=NOW)
    assert found(session, cookie, MINUTE) is None


@pytest.mark.parametrize(
    ("level", "needed", "enough"),
    [(1, 1, True), (1, 4, True), (3, 3, True), (3, 2, False), (4, 3, False), (4, None, True)],
)
def test_whoever_demands_a_level_is_content_with_a_higher_one(
    session: Session, level: int, needed: int | None, enough: bool
) -> None:
    citizen_id = enrol(session).citizen_id
    signed_in = found(session, sessions.open_session(session, citizen_id, level=level, amr=(), now=NOW), MINUTE)
    assert signed_in is not None
    assert lack(signed_in, needed) == (None if enough else "level")
    assert lack(signed_in, needed, NOW + MINUTE) == ("again" if enough else "level")
    assert lack(signed_in, needed, NOW) == (None if enough else "level")


def test_a_stronger_proof_steps_the_session_up_and_a_weaker_one_takes_nothing_away(session: Session) -> None:
    citizen_id = enrol(session).citizen_id
    first = sessions.open_session(session, citizen_id, level=3, amr=("pwd", "otp"), now=NOW)
    second = sessions.open_session(
        session, citizen_id, level=1, amr=("sc",), method="certificate", now=NOW + MINUTE, replaces=first
    )
    third = sessions.open_session(
        session, citizen_id, level=3, amr=("pwd", "otp"), now=NOW + 9 * MINUTE, replaces=second
    )
    signed_in = found(session, third, 10 * MINUTE)
    assert signed_in is not None
    assert (signed_in.level, signed_in.auth_time, signed_in.amr) == (1, NOW + MINUTE, ("pwd", "otp", "sc"))
    assert {proof.method: proof.at for proof in signed_in.proofs} == {
        "certificate": NOW + MINUTE, "password_totp": NOW + 9 * MINUTE
    }  # fmt: skip
    # A level is never told with the time of a weaker proof.
    assert stated(signed_in, 3, None) == (1, NOW + MINUTE, ("pwd", "otp", "sc"))
    assert stated(signed_in, 3, NOW + MINUTE) == (1, NOW + MINUTE, ("pwd", "otp", "sc"))
    # Nor by a method that was not used since then.
    assert stated(signed_in, 3, NOW + 5 * MINUTE) == (3, NOW + 9 * MINUTE, ("pwd", "otp"))
    assert lack(signed_in, 1, NOW + 5 * MINUTE) == "again"
    assert found(session, first, 10 * MINUTE) is None
    assert found(session, second, 10 * MINUTE) is None


def test_a_proof_that_is_over_is_told_of_by_no_amr(session: Session) -> None:
    citizen_id, hour = enrol(session).citizen_id, timedelta(hours=1)
    limits, cookie = Limits(session_idle_s=36000, session_max_s=28800), None
    for hours, level, method, amr in (
        (0, 3, "password_totp", ("pwd", "otp", "mfa")),
        (7, 1, "certificate", ("sc", "mfa")),
        (9, 2, "passkey", ("swk", "user")),
    ):
        cookie = sessions.open_session(
            session,
            citizen_id,
            level=level,
            amr=amr,
            method=method,
            now=NOW + hours * hour,
            limits=limits,
            replaces=cookie,
        )
    signed_in = found(session, cookie or "", 9 * hour)
    assert signed_in is not None
    assert signed_in.methods == {"certificate", "passkey"}
    assert signed_in.amr == ("mfa", "sc", "swk", "user")


def test_nothing_is_carried_over_from_another_citizens_session_or_one_that_ended(session: Session) -> None:
    mine, other = enrol(session).citizen_id, enrol(session, OTHER_PERSON).citizen_id
    strong = sessions.open_session(session, other, level=1, amr=("sc",), method="certificate", now=NOW)
    cookie = sessions.open_session(session, mine, level=3, amr=("pwd",), now=NOW, replaces=strong)
    signed_in = found(session, cookie, MINUTE)
    assert signed_in is not None
    assert (signed_in.level, signed_in.amr, len(signed_in.proofs)) == (3, ("pwd",), 1)
    later = sessions.open_session(
        session, mine, level=4, amr=("kba",), method="two_documents", now=NOW + 30 * MINUTE, replaces=cookie
    )
    anew = found(session, later, 31 * MINUTE)
    assert anew is not None
    assert (anew.level, anew.amr) == (4, ("kba",))


def meanwhile(session: Session, act: Callable[[Session], str], *, go_on: Callable[[], object] = lambda: None) -> str:
    """What somebody else gets who acts and commits while this transaction is open, and has to wait for its commit.

    Args: go_on: what this transaction still does while the other waits.
    """
    engine = session.get_bind()
    assert isinstance(engine, Engine)

    def run() -> str:
        with Session(engine) as other, other.begin():
            return act(other)

    with ThreadPoolExecutor(1) as pool:
        result = pool.submit(run)
        if engine.dialect.name == "postgresql":  # SQLite lets nobody in before the commit
            wait_until(partial(locks_waited_for, engine), "the other waits")
        go_on()
        session.commit()
        return result.result(30)


def test_what_a_session_is_stepped_up_to_ends_with_all_others_that_are_ended_in_that_moment(
    session: Session, cookie: str
) -> None:
    known = found(session, cookie, MINUTE)
    assert known is not None
    citizen_id = known.citizen_id
    stepped_up = sessions.open_session(session, citizen_id, level=5, amr=("otp",), now=NOW, replaces=cookie)
    meanwhile(session, lambda other: str(sessions.end_all(other, citizen_id, now=NOW + MINUTE)))
    assert found(session, stepped_up, MINUTE) is None


def test_of_two_browsers_that_sign_each_other_out_at_once_the_first_stays_and_neither_waits_for_the_other(
    session: Session,
) -> None:
    """The first has changed the password, say. A third one, older than both, is what either would wait for."""
    citizen_id, late = enrol(session).citizen_id, NOW + MINUTE
    opened = [sessions.open_session(session, citizen_id, level=3, amr=("pwd", "otp"), now=NOW) for _ in range(3)]
    session.commit()
    _, first, second = (found(session, one, MINUTE) for one in opened)
    assert first is not None
    assert second is not None
    turns.hold(session, first)
    with pytest.raises(ShutOut):
        meanwhile(
            session,
            lambda other: str(sign_in.end_others(other, second, now=late)),
            go_on=lambda: enrolment.renewed(session, first, "password.changed", now=late),
        )
    assert [found(session, one, MINUTE) is not None for one in opened] == [False, True, False]


def test_a_session_that_is_ended_in_the_moment_of_a_step_up_adds_nothing_to_it(session: Session, cookie: str) -> None:
    known = found(session, cookie, MINUTE)
    assert known is not None
    citizen_id = known.citizen_id
    sessions.end_all(session, citizen_id, now=NOW + MINUTE)
    weak = meanwhile(
        session,
        lambda other: sessions.open_session(
            other, citizen_id, level=5, amr=("otp",), method="email_code", now=NOW + MINUTE, replaces=cookie
        ),
    )
    signed_in = found(session, weak, 2 * MINUTE)
    assert signed_in is not None
    assert (signed_in.level, signed_in.amr, len(signed_in.proofs)) == (5, ("otp",), 1)


@pytest.mark.parametrize("shut", ["frozen_at", "suspended_at", "ended_at"])
def test_a_change_waits_for_who_is_shutting_them_out_and_is_not_made(session: Session, cookie: str, shut: str) -> None:
    signed_in = found(session, cookie, MINUTE)
    assert signed_in is not None
    table = CITIZEN_SESSION if shut == "ended_at" else CITIZEN
    session.execute(update(table).values({shut: NOW}))

    def change(other: Session) -> str:
        with pytest.raises(ShutOut):
            turns.hold(other, signed_in)
        return "refused"

    assert meanwhile(session, change) == "refused"


def test_a_way_to_sign_in_may_be_removed_while_another_session_is_being_stepped_up(
    session: Session, cookie: str
) -> None:
    known = found(session, cookie, MINUTE)
    assert known is not None
    elsewhere = sessions.open_session(session, known.citizen_id, level=1, amr=(), now=NOW)
    owner = found(session, elsewhere, MINUTE)
    assert owner is not None
    keys = [
        credentials.add(session, owner.citizen_id, method="passkey", external_id=name, label="", data={}, now=NOW)
        for name in ("one", "two")
    ]
    session.commit()
    sessions.end(session, digest(cookie), now=NOW)  # as `open_session` begins

    def remove(other: Session) -> str:
        chosen: dict[str, Any] = {"methods": (Key(),), "settings": SETTINGS, "now": NOW}
        return str(enrolment.remove(other, owner, keys[0] or 0, **chosen))

    def go_on() -> None:
        sessions.open_session(session, owner.citizen_id, level=3, amr=(), now=NOW)

    assert meanwhile(session, remove, go_on=go_on) == "True"


def test_a_method_without_a_line_in_the_settings_is_worth_no_fetch(settings: object) -> None:
    assert level_of_method(settings, "no-such-method") == 5  # type: ignore[arg-type] # a fixture of this package
    assert level_of_method(settings, "password_totp") == 3  # type: ignore[arg-type] # a fixture of this package


def test_a_weaker_proof_does_not_prolong_a_stronger_one(session: Session, cookie: str) -> None:
    signed_in = found(session, cookie, MINUTE)
    assert signed_in is not None
    limits = Limits(session_idle_s=8 * 60 * 60)
    late = timedelta(seconds=limits.session_max_s) - MINUTE
    session.execute(update(CITIZEN_SESSION).values(idle_until=NOW + timedelta(days=1)))
    stepped = sessions.open_session(
        session,
        signed_in.citizen_id,
        level=5,
        amr=("otp",),
        method="email_code",
        now=NOW + late,
        replaces=cookie,
        limits=limits,
    )
    still = found(session, stepped, late)
    assert still is not None
    assert still.level == 3
    assert found(session, stepped, late + 2 * MINUTE) is None
