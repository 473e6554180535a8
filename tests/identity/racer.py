"""One of several processes that fight for one secret.

A line `open <citizen id> <url>` says whose secrets they are, and in which database; `close` lets go of it. Every other
line is a race: `totp <step>` spends a one-time code's step, `recovery <code>` uses a recovery
code, `ask <number>` asks for a code by e-mail, `count <account>` makes an attempt at a door, `challenge <handle>`
answers a challenge, `bind <external id>` binds a credential, `remove <id> <id>` removes one of two, `passkey <count>`
uses the passkey of id `key` with what its device has counted.
The answer is how many of this process's threads succeeded.
"""

import secrets
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from itertools import cycle
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Barrier

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from authz_server.config import Limits, Settings
from authz_server.core.identifiers import CitizenId
from authz_server.database import new_engine
from authz_server.identity import challenges, credentials, enrolment, lockout, sessions, sign_in_codes
from authz_server.identity.errors import LastMethod, PasskeyCopied, ShutOut, SignInLocked, WrongCredentials
from authz_server.identity.methods.passkey import PasskeyAttempt
from authz_server.identity.methods.password_totp import PASSWORD_TOTP, PasswordTotpAttempt
from authz_server.identity.models import CITIZEN
from authz_server.identity.sessions import SignedIn
from authz_server.identity.webauthn import Site, Use
from tests.identity.second_method import Key
from tests.identity.support import NOW, PERSON, SERVER_SECRET

LIMITS = Limits()
SETTINGS = Settings(
    issuer="https://id.example",
    database_url="",
    keys_file=Path(),
    secret_file=Path(),
    proxy_url="https://data.example",
    method_levels={"passkey": 2},
)
BROWSER = "mdf_browser"


def spend(engine: Engine, citizen_id: int, step: int) -> bool:
    """Come out of the slow part with a proved step, and try to be the one whom it signs in."""
    with Session(engine) as session:
        row = session.execute(select(CITIZEN).where(CITIZEN.c.id == citizen_id)).one()
        session.rollback()
        attempt = PasswordTotpAttempt(
            password="",
            one_time_code="",
            server_secret=SERVER_SECRET,
            citizen_id=CitizenId(citizen_id),
            password_hash=row.password_hash,
            totp_secret_encrypted=row.totp_secret_encrypted,
        )
        attempt.proved_step = step
        return accepted(session, attempt)


def accepted(session: Session, attempt: PasswordTotpAttempt) -> bool:
    """Try to be the one whom what was proved signs in."""
    try:
        attempt.accept(session)
    except WrongCredentials:
        return False
    session.commit()
    return True


def recover(engine: Engine, citizen_id: int, code: str) -> bool:
    """Come out of the slow part with a recovery code, and try to be the one whom it signs in."""
    form = {"username": PERSON.username, "one_time_code": code}
    with Session(engine) as session:
        attempt = PASSWORD_TOTP.begin(session, form, server_secret=SERVER_SECRET)
        session.rollback()
        assert attempt.citizen_id == citizen_id
        attempt.now = NOW
        return attempt.recovery_id is not None and accepted(session, attempt)


def count(engine: Engine, account: str, *, of_the_day: bool = False) -> bool:
    """Make an attempt at a door."""
    with Session(engine) as session:
        kind = lockout.account_day if of_the_day else lockout.account_door
        door = kind("password_totp", account, LIMITS)
        try:
            lockout.count(session, door, now=NOW)
        except SignInLocked:
            return False
        finally:
            session.commit()
        return True


def ask(engine: Engine, day: int) -> bool:
    """Have a code sent by e-mail, from an address that nobody else has."""
    with Session(engine) as session:
        try:
            address, now = f"10.{secrets.randbelow(256)}.{secrets.randbelow(256)}.1", NOW + timedelta(minutes=2 * day)
            sign_in_codes.ask(session, PERSON.username, address=address, limits=LIMITS, now=now)
        except SignInLocked:
            return False
        finally:
            session.commit()
        return True


def answer(engine: Engine, handle: str) -> bool:
    """Answer a challenge."""
    with Session(engine) as session, session.begin():
        spent = challenges.spend(session, handle, method="passkey", kind="sign_in", browser=BROWSER, now=NOW)
        return spent is not None


def bind(engine: Engine, citizen_id: int, external_id: str) -> bool:
    """Bind a credential that others try to bind as well."""
    with Session(engine) as session, session.begin():
        added = credentials.add(
            session, citizen_id, method="passkey", external_id=external_id, label="", data={}, now=NOW
        )
        return added is not None


def remove(engine: Engine, signed_in: SignedIn, ids: Iterator[int]) -> bool:
    """Remove one of two credentials, half of all who try the one and half the other."""
    with Session(engine) as session, session.begin():
        try:
            return enrolment.remove(session, signed_in, next(ids), methods=(Key(),), settings=SETTINGS, now=NOW)
        except (LastMethod, ShutOut):
            session.rollback()
            return False


def sign_in(engine: Engine, citizen_id: int) -> SignedIn:
    """A citizen who has just signed in."""
    with Session(engine) as session, session.begin():
        secret = sessions.open_session(session, citizen_id, level=1, amr=(), now=NOW)
        signed_in = sessions.find(session, secret, now=NOW)
    assert signed_in is not None
    return signed_in


def use(engine: Engine, count: int) -> bool:
    """Have proved the signature of a passkey, and try to be the first with its count."""
    with Session(engine) as session:
        bound = credentials.find(session, method="passkey", external_id="key")
        session.rollback()
        attempt = PasskeyAttempt(told={}, challenge="", bound=bound, site=Site(rp_id="", origin=""))
        attempt.used, attempt.now = Use(sign_count=count, backed_up=False), NOW
        try:
            attempt.accept(session)
        except PasskeyCopied:
            return False
        session.commit()
        return True


def race(pool: ThreadPoolExecutor, threads: int, act: Callable[[], bool]) -> int:
    """Let all threads act at once; how many succeeded."""
    start = Barrier(threads)

    def run() -> bool:
        start.wait()
        return act()

    return sum(future.result() for future in [pool.submit(run) for _ in range(threads)])


@dataclass
class Ground:
    """Where races take place, and whose secrets are fought for."""

    engine: Engine
    citizen_id: int

    def act(self, kind: str, value: str) -> Callable[[], bool]:
        """What all threads of this process do in a race."""
        engine, citizen_id = self.engine, self.citizen_id
        if kind == "remove":
            turns = cycle(map(int, value.split()))
            signed_in = sign_in(engine, citizen_id)  # of each process's own, which a removal elsewhere ends
            return lambda: remove(engine, signed_in, turns)
        acts: dict[str, Callable[[], bool]] = {
            "recovery": lambda: recover(engine, citizen_id, value),
            "ask": lambda: ask(engine, int(value)),
            "totp": lambda: spend(engine, citizen_id, int(value)),
            "count": lambda: count(engine, value),
            "guess": lambda: count(engine, value, of_the_day=True),
            "challenge": lambda: answer(engine, value),
            "bind": lambda: bind(engine, citizen_id, value),
            "passkey": lambda: use(engine, int(value)),
        }
        return acts[kind]


def work(connection: Connection, threads: int) -> None:
    """Run the races that are named, each in a line, until None comes."""
    ground: Ground | None = None
    with ThreadPoolExecutor(threads) as pool:
        while (line := connection.recv()) is not None:
            kind, _, value = line.partition(" ")
            if kind == "open":
                citizen_id, _, url = value.partition(" ")
                ground = Ground(new_engine(url), int(citizen_id))
                said: object = "ready"
            elif kind == "close":
                assert ground is not None
                ground.engine.dispose()
                said = "closed"
            else:
                assert ground is not None
                said = race(pool, threads, ground.act(kind, value))
            connection.send(said)
