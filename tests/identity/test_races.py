"""Class 2 of published vulnerabilities: what may happen once happens once, with threads in several processes."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from authz_server.identity import challenges, credentials, recovery
from authz_server.identity.models import CITIZEN
from tests.identity.racer import BROWSER
from tests.identity.support import NOW, SERVER_SECRET, enrol
from tests.support.tree import ROOT

PROCESSES = 2
THREADS = 8
ROUNDS = 25
pytestmark = pytest.mark.race


class Racers:
    """Processes that wait for a start signal."""

    def __init__(self, processes: list[subprocess.Popen[str]]) -> None:
        self.processes = processes

    def race(self, command: str) -> int:
        """Let all go at once; how many succeeded in all."""
        return sum(map(int, self.tell(command)))

    def tell(self, command: str) -> list[str]:
        """Say something to all at once; what each answers."""
        for process in self.processes:
            assert process.stdin is not None
            process.stdin.write(f"{command}\n")
            process.stdin.flush()
        return [line(process) for process in self.processes]


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


@pytest.fixture(scope="module")
def team() -> Iterator[Racers]:
    """Several processes with several threads each: to start them takes longer than their races."""
    command = [sys.executable, "-m", "tests.identity.racer", str(THREADS)]
    with ExitStack() as stack:
        started = []
        for _ in range(PROCESSES):
            process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            stack.enter_context(process)  # closes its input, which ends it, and waits
            started.append(process)
        yield Racers(started)


@pytest.fixture
def racers(team: Racers, session: Session, database_url: str) -> Iterator[Racers]:
    """The same on one citizen, in a database of the test's own."""
    citizen_id = enrol(session).citizen_id
    session.close()
    assert team.tell(f"open {citizen_id} {database_url}") == ["ready"] * PROCESSES
    yield team
    assert team.tell("close") == ["closed"] * PROCESSES


def test_a_one_time_code_signs_in_exactly_one_of_all_who_present_it(racers: Racers) -> None:
    assert [racers.race(f"totp {step}") for step in range(1, ROUNDS + 1)] == [1] * ROUNDS


def test_a_recovery_code_signs_in_exactly_one_of_all_who_present_it(racers: Racers, session: Session) -> None:
    (citizen_id,) = session.scalars(select(CITIZEN.c.id))
    codes = recovery.renew(session, citizen_id, server_secret=SERVER_SECRET, now=NOW)
    session.commit()
    assert [racers.race(f"recovery {code}") for code in codes] == [1] * len(codes)
    assert recovery.left(session, citizen_id).count == 0


def test_exactly_five_of_all_simultaneous_guesses_are_looked_at(racers: Racers) -> None:
    assert [racers.race(f"count account-{number}") for number in range(ROUNDS)] == [5] * ROUNDS


def test_after_a_code_by_e_mail_of_all_who_ask_at_once_one_is_heard(racers: Racers) -> None:
    assert [racers.race(f"ask {number}") for number in range(5)] == [1] * 5


def test_a_challenge_is_answered_by_exactly_one_of_all_who_try(racers: Racers, session: Session) -> None:
    handles = [
        challenges.issue(
            session,
            method="passkey",
            kind="sign_in",
            browser=BROWSER,
            payload={},
            ttl=timedelta(minutes=5),
            now=NOW,
        )
        for _ in range(ROUNDS)
    ]
    session.commit()
    assert [racers.race(f"challenge {handle}") for handle in handles] == [1] * ROUNDS


def test_a_credential_is_bound_by_exactly_one_of_all_who_try(racers: Racers) -> None:
    assert [racers.race(f"bind key-{number}") for number in range(ROUNDS)] == [1] * ROUNDS


def test_of_two_ways_to_sign_in_that_are_removed_at_once_one_stays(racers: Racers, session: Session) -> None:
    citizen_id = session.scalars(select(CITIZEN.c.id)).one()
    for number in range(ROUNDS):
        credentials.add(session, citizen_id, method="passkey", external_id=f"key-{number}", label="", data={}, now=NOW)
        if number == 0:
            continue
        session.commit()
        two = " ".join(str(bound.id) for bound in credentials.of_citizen(session, citizen_id))
        session.rollback()
        assert racers.race(f"remove {two}") == 1
        assert len(credentials.of_citizen(session, citizen_id)) == 1
        session.rollback()


def test_of_a_passkey_and_its_copies_one_comes_in_with_a_count(racers: Racers, session: Session) -> None:
    data = {"public_key": "", "user_handle": "", "sign_count": 0, "backup_eligible": False, "backed_up": False}
    (citizen_id,) = session.scalars(select(CITIZEN.c.id))
    credentials.add(session, citizen_id, method="passkey", external_id="key", label="", data=data, now=NOW)
    session.commit()
    assert [racers.race(f"passkey {count}") for count in range(1, ROUNDS + 1)] == [1] * ROUNDS


def test_exactly_ten_of_all_simultaneous_guesses_of_a_day_are_looked_at(racers: Racers) -> None:
    assert [racers.race(f"guess account-{number}") for number in range(ROUNDS)] == [10] * ROUNDS
