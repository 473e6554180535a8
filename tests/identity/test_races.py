"""Class 2 of published vulnerabilities: what may happen once happens once, with threads in several processes."""

from collections.abc import Iterator
from datetime import timedelta
from multiprocessing.connection import Connection
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from authz_server.identity import challenges, credentials, recovery
from authz_server.identity.models import CITIZEN
from tests.identity.racer import BROWSER, work
from tests.identity.support import NOW, SERVER_SECRET, enrol
from tests.support.commands import LOADED

PROCESSES = 2
THREADS = 8
ROUNDS = 25
pytestmark = pytest.mark.race


class Racers:
    """Processes that wait for a start signal, by their connections."""

    def __init__(self, connections: list[Connection]) -> None:
        self.connections = connections

    def race(self, command: str) -> int:
        """Let all go at once; how many succeeded in all."""
        return sum(self.tell(command))

    def tell(self, command: str) -> list[Any]:
        """Say something to all at once; what each answers."""
        for connection in self.connections:
            connection.send(command)
        return [connection.recv() for connection in self.connections]


@pytest.fixture(scope="module")
def team() -> Iterator[Racers]:
    """Several processes with several threads each: to start them takes longer than their races."""
    connections, processes = [], []
    for _ in range(PROCESSES):
        ours, theirs = LOADED.Pipe()
        process = LOADED.Process(target=work, args=(theirs, THREADS), daemon=True)
        process.start()
        theirs.close()  # so that the process alone has it, and its end is seen here
        connections.append(ours)
        processes.append(process)
    yield Racers(connections)
    for connection, process in zip(connections, processes, strict=True):
        connection.send(None)
        process.join()
        connection.close()


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
