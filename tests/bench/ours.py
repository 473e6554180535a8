"""This project's own servers, as the sandbox starts them, on PostgreSQL with durable commits."""

import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any
from unittest import mock
from urllib.parse import urlsplit
from urllib.request import urlopen

import psycopg
from sqlalchemy.orm import Session

from authz_server.cli import WORKER
from authz_server.core import clock
from authz_server.core.identifiers import CitizenId
from authz_server.database import new_engine
from authz_server.identity import passwords, sessions
from authz_server.identity.cookies import SESSION
from authz_server.identity.national_id import check as national_id_check
from authz_server.identity.service import Person, create_citizen
from authz_server.notices import delivery
from client_examples.sandbox.postgres import PostgresServer
from client_examples.sandbox.sandbox import DATABASE, Sandbox
from client_examples.sandbox.settings import PROXY_CLIENT_ID, write_toml
from tests.bench import cpu
from tests.bench.agency import LARGE_DATASET
from tests.bench.browser import Browser
from tests.bench.client import BenchClient, SigningKey
from tests.bench.fetch import Fetches
from tests.bench.steps import Provider
from tests.bench.target import Target

NAME = "this server, PostgreSQL"
SMALL_DATASET = "ris.personal"
_FIELDS = {
    SMALL_DATASET: ["name", "national_id", "birth_date", "registered_address"],
    LARGE_DATASET: ["name", "national_id", "scan"],
}
_PURPOSE = "account-opening"
_PASSWORD = "bench-citizens-only"
_REDIRECT_URI = "https://bank.example/callback"


@dataclass(frozen=True)
class Ours:
    """The running platform: the target that is measured, and where to look closer."""

    target: Target
    fetches: Fetches
    sandbox: Sandbox
    postgres: PostgresServer

    def database(self) -> psycopg.Connection[tuple[object, ...]]:
        """A connection to the servers' own database, outside transactions."""
        return self.postgres.connect(DATABASE)


@contextmanager
def running(at_once: int, *, batches: int = 1, workers: int = 1) -> Iterator[Ours]:
    """Start everything on the server core, but the agency and the receiver of e-mail on the load core.

    The worker runs as it always does; what it costs is booked on its own, not on the requests.
    Args: at_once, batches: how many citizens of a batch, and batches until the first ones come again; workers:
        processes of the authorization server; more than one are given both cores, and the database too.
    """
    cores = {cpu.SERVER_CORE} if workers == 1 else {cpu.SERVER_CORE, cpu.LOAD_CORE}
    with cpu.on_core(*cores):
        # As by default: what the sandbox keeps for developers, no other server does.
        server: dict[str, Any] = {"workers": workers, "bind_cores": workers > 1, "limits": {"client_requests_s": 0}}
        proxy = {"workers": 1}
        sandbox = Sandbox(db="postgresql", durable=True, banks=(), server=server, proxy=proxy).start()
    try:
        postgres = sandbox.postgres
        assert postgres is not None
        client = _registered(sandbox)
        citizens = _citizens(sandbox, at_once * batches)
        _move_to_load_core(sandbox.processes["mailbox"].pid)
        with _agency(sandbox):
            parts: dict[str, tuple[int, ...]] = {
                "server": (sandbox.processes["server"].pid,),
                "database": (postgres.pid,),
                "proxy": (sandbox.processes["proxy"].pid,),
                "worker": (sandbox.processes["worker"].pid, *_worker_backends(postgres)),
            }
            fetches = Fetches(
                proxy_url=sandbox.proxy_url,
                agency_url=sandbox.agency_url,
                proxy_pid=max(cpu.family(sandbox.processes["proxy"].pid)),
                exchanger=_proxy_client(sandbox),
                with_large=_provider(sandbox, client, LARGE_DATASET),
            )
            groups = [citizens[first : first + at_once] for first in range(0, len(citizens), at_once)]
            provider = _provider(sandbox, client, SMALL_DATASET)
            target = Target(NAME, provider, parts, _signing_in(sandbox, groups), fetches)
            yield Ours(target, fetches, sandbox, postgres)
    finally:
        sandbox.stop()


def _worker_backends(postgres: PostgresServer) -> list[int]:
    """The database's processes that work for the worker alone; each of its threads has its connection after a tick."""
    time.sleep(3 * delivery.EVERY_S)
    with postgres.connect() as connection:
        found = connection.execute("SELECT pid FROM pg_stat_activity WHERE application_name = %s", [WORKER])
        return [int(str(pid)) for (pid,) in found]


def _provider(sandbox: Sandbox, client: BenchClient, dataset: str) -> Provider:
    with urlopen(f"{sandbox.issuer}/.well-known/openid-configuration") as answer:  # noqa: S310 - our own, on loopback
        metadata = json.load(answer)
    detail = {"type": "dataset", "dataset": dataset, "purpose": _PURPOSE, "fields_required": _FIELDS[dataset]}
    return Provider(
        issuer=sandbox.issuer,
        metadata=metadata,
        client=client,
        request_parameters={"scope": "openid profile", "authorization_details": json.dumps([detail])},
        consent_form={"decision": "approve"},
    )


def _registered(sandbox: Sandbox) -> BenchClient:
    client = BenchClient("bench-bank", _REDIRECT_URI, SigningKey())
    recipient = SigningKey()
    encryption = {**recipient.public_jwk, "use": "enc", "alg": "ECDH-ES", "kid": recipient.thumbprint}
    document = {
        "client_id": client.client_id,
        "registered_id": "00000000",
        "contact_phone": "02-0000-0000",
        "contact_email": "privacy@bank.example",
        "privacy_url": "https://bank.example/privacy",
        "redirect_uris": [client.redirect_uri],
        "name": {"zh": "測速銀行", "en": "Bench Bank"},
        "jwks": {"keys": [client.key.registered_jwk(), encryption]},
        "purposes": {
            _PURPOSE: {
                "use_until_days": 30,
                "erase_by_days": 90,
                "text": {"zh": "開立帳戶", "en": "To open an account"},
                "datasets": {dataset: {"fields_required": fields} for dataset, fields in _FIELDS.items()},
            }
        },
    }
    with tempfile.TemporaryDirectory() as folder:
        sandbox.commands(["client", "add", write_toml(Path(folder) / "client.toml", document)])
    return client


def _proxy_client(sandbox: Sandbox) -> BenchClient:
    """The proxy's identity, to measure its two calls to the authorization server without it."""
    keys = json.loads((sandbox.work / "proxy" / "keys.json").read_text())["keys"]
    return BenchClient(PROXY_CLIENT_ID, "", SigningKey(keys[0]))


def _citizens(sandbox: Sandbox, count: int) -> list[CitizenId]:
    """As many citizens: whoever consents to the same again within minutes is warned of it, and the later consent
    outdates the earlier.
    """
    now = clock.now()
    ids = (f"A1{number:08}" for number in itertools.count())
    engine = new_engine(sandbox.database_url)
    made = []
    hashed = passwords.hash_password(_PASSWORD)  # once for all, as it is slow on purpose
    with Session(engine) as session, mock.patch.object(passwords, "hash_password", return_value=hashed):
        for number, national_id in zip(range(count), filter(national_id_check, ids), strict=False):
            person = Person(
                username=f"bench{number}",
                name=f"測試市民{number}",
                national_id=national_id,
                birthdate=date(1980, 1, 1),
                email=f"bench{number}@example.org",
            )
            enrolment = create_citizen(
                session, person, password=_PASSWORD, server_secret=bytes(32), now=now, checked_in_person=True
            )
            made.append(enrolment.citizen_id)
        session.commit()
    engine.dispose()
    return made


def _signing_in(sandbox: Sandbox, groups: Sequence[Sequence[CitizenId]]) -> Iterator[list[Browser]]:
    """The next group's browsers, each signed in just now, as people are who come from a bank.

    The sessions are opened by the domain service: signing in is rare, slow on purpose, and not what is measured here.
    """
    engine = new_engine(sandbox.database_url)
    for group in itertools.cycle(groups):
        with Session(engine) as session, session.begin():
            secrets = [
                sessions.open_session(session, citizen_id, level=1, amr=("pwd", "otp"), now=clock.now())
                for citizen_id in group
            ]
        engine.dispose()
        yield [Browser({(SESSION, "/"): secret, ("lang", "/"): "zh-TW"}) for secret in secrets]


def _move_to_load_core(pid: int) -> None:
    """What runs elsewhere in truth, and takes letters as long as the worker writes them."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(task.name), {cpu.LOAD_CORE})


@contextmanager
def _agency(sandbox: Sandbox) -> Iterator[None]:
    """Put the cheap agency in the place of the sandbox's, which checks, builds, signs and encrypts."""
    sandbox.processes["agency"].stop()
    port = urlsplit(sandbox.agency_url).port
    with cpu.on_core(cpu.LOAD_CORE):
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.agency", str(port)], stdout=subprocess.PIPE, text=True
        )
    try:
        assert process.stdout is not None
        if process.stdout.readline() != "ready\n":
            raise RuntimeError("the bench's agency did not start")
        yield
    finally:
        process.terminate()
        process.wait(10)
