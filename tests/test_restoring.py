"""A backup is put back: what was open in it opens nothing, and no number is given away a second time."""

import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from datetime import date, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import URL, func, select, text
from sqlalchemy.orm import Session

from authz_server.audit.models import AuditEntry
from authz_server.cli import cli
from authz_server.core import clock
from authz_server.core.settings import SettingsError
from authz_server.counter.models import Appointment, DeskSession
from authz_server.database import Base, db
from authz_server.identity.models import Citizen, ContactChange, IdentityChallenge
from authz_server.identity.service import Person, create_citizen
from authz_server.restoring import AHEAD
from client_examples.sandbox.postgres import program
from tests.portal.test_stop import Given
from tests.support.commands import settings_file
from tests.support.platform import Platform
from tests.support.protocol import rows, userinfo

Run = Callable[[], Result]
# Which of a row's times is its last, and by which it is told to be over before that.
LAST = ("expires_at", "deadline_at")
OVER = ("used_at", "decided_at", "ended_at", "revoked_at", "settled_at", "withdrawn_at", "removed_at")
# Worth nothing without the code of its consent, which is gone.
BY_ITS_CODE = {"barcode", "delegation"}


@pytest.fixture
def restored(own_platform: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the command with the settings of the platform's server."""
    monkeypatch.setenv("MYDATA_SETTINGS", str(settings_file(own_platform.settings, tmp_path)))
    return lambda: CliRunner().invoke(cli, ["restored", "--yes"])


def test_a_backup_that_is_put_back_revives_no_token_and_no_number(
    own_platform: Platform, restored: Run, tmp_path: Path
) -> None:
    fetches = Given(own_platform, "ris.personal", "bli.enrolment").redeem()
    dump = _take(own_platform, tmp_path / "backup")
    for fetch in fetches:
        fetch.deliver()
    lost_citizen, lost_entry = _new_citizen(own_platform), max(entry.id for entry in rows(own_platform, AuditEntry))
    _put_back(own_platform, dump)
    assert fetches[0].exchange().status_code == 200, "this is what the command is for"
    assert restored().exit_code == 0
    assert fetches[1].exchange().status_code == 400
    assert _new_citizen(own_platform) > lost_citizen
    assert max(entry.id for entry in rows(own_platform, AuditEntry)) > lost_entry + AHEAD // 2


def test_what_was_open_opens_nothing(own_platform: Platform, restored: Run) -> None:
    bank = own_platform.bank
    uncollected, unspent, taken = (Given(own_platform, "ris.personal") for _ in range(3))
    (fetch,), (leased,) = unspent.redeem(), taken.redeem()
    lease = leased.exchange().get_json()["lease"]
    pushed = bank.push(own_platform.detail("ris.personal"))
    citizen = own_platform.citizen()
    begun = citizen.authorize(bank.client_id, bank.push(own_platform.detail("ris.personal")))
    result = restored()
    assert (result.exit_code, result.exception) == (0, None)
    assert result.output.startswith("ended: what was open of 1 citizens, 2 requests, 4 sessions, ")
    assert bank.redeem(uncollected.code).get_json()["error"] == "invalid_grant"
    assert fetch.exchange().status_code == 400
    assert own_platform.proxy.report(lease, "delivering").status_code == 409
    assert userinfo(bank, unspent.tokens["access_token"]).status_code == 401
    assert citizen.client.get("/consents").location.startswith("/sign-in")
    again = own_platform.citizen()
    assert again.authorize(bank.client_id, pushed).status_code == 400
    assert again.client.get(begun.request.path).status_code in {400, 404, 410}
    page = again.client.get(f"/consents/{unspent.reference}?lang=en").text
    assert "This platform went back to an earlier moment; later uses may be missing here." in page
    assert {entry.event for entry in rows(own_platform, AuditEntry, actor="operator")} >= {
        "platform.restored",
        "consent.withdrawn",
    }


def test_no_table_has_anything_left_that_is_open(own_platform: Platform, restored: Run) -> None:
    given = Given(own_platform, "ris.personal")
    given.redeem()
    given.citizen.authorize(own_platform.bank.client_id, own_platform.bank.push(own_platform.detail("ris.personal")))
    _ask_and_open_a_desk(own_platform)
    assert _open(own_platform) >= {
        *("access_token", "dataset_token", "authorization_request"),
        *("citizen_session", "desk_session", "identity_challenge", "contact_change"),
    }
    restored()
    assert _open(own_platform) <= BY_ITS_CODE


def test_what_was_delivered_before_stays(own_platform: Platform, restored: Run) -> None:
    given = Given(own_platform, "ris.personal")
    (fetch,) = given.redeem()
    fetch.deliver()
    with clock.frozen(clock.now() + timedelta(hours=2)):  # its token for identity is over as well
        assert restored().output.startswith("ended: what was open of 0 citizens, ")
    assert "consent.withdrawn" not in [entry.event for entry in rows(own_platform, AuditEntry)]


def test_numbers_given_away_since_the_backup_are_nobodys(own_platform: Platform, restored: Run) -> None:
    Given(own_platform, "ris.personal")
    last = {model: max(row.id for row in rows(own_platform, model)) for model in (Citizen, AuditEntry)}
    assert restored().exit_code == 0
    assert restored().exit_code == 0
    own_platform.citizen("citizen2")
    entries = [entry.id for entry in rows(own_platform, AuditEntry) if entry.id > last[AuditEntry]]
    assert entries
    assert min(entries) >= last[AuditEntry] + AHEAD
    assert _new_citizen(own_platform) >= last[Citizen] + AHEAD


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_numbers_that_can_not_be_left_out_are_told_and_nothing_is_done(own_platform: Platform, restored: Run) -> None:
    """As after a tool that copies tables and sequences, but not which belongs to which."""
    (fetch,) = Given(own_platform, "ris.personal").redeem()
    with own_platform.engine.begin() as connection:
        connection.execute(text("ALTER SEQUENCE citizen_id_seq OWNED BY NONE"))
    problem = restored().exception
    assert isinstance(problem, SettingsError)
    assert "ALTER SEQUENCE ... OWNED BY citizen.id" in str(problem)
    assert fetch.exchange().status_code == 200


def _new_citizen(platform: Platform) -> int:
    person = Person(username="newcomer", name="新來者", national_id="A223456781", birthdate=date(1990, 1, 2))
    with Session(platform.engine) as session, session.begin():
        made = create_citizen(session, person, password="a pass phrase", server_secret=bytes(32), now=clock.now())
    return made.citizen_id


def _take(platform: Platform, place: Path) -> Path:
    """A backup, by the tools that operators have."""
    url = platform.engine.url
    if url.get_backend_name() == "postgresql":
        _pg("pg_dump", url, "--format=custom", f"--file={place}")
    else:
        with closing(sqlite3.connect(str(url.database))) as source, closing(sqlite3.connect(place)) as copy:
            source.backup(copy)
    return place


def _put_back(platform: Platform, backup: Path) -> None:
    """The database as it was; nobody is connected to it meanwhile."""
    url = platform.engine.url
    platform.engine.dispose()
    with platform.app.app_context():
        db.engine.dispose()
    if url.get_backend_name() == "postgresql":
        _pg("pg_restore", url, "--clean", "--if-exists", "--single-transaction", str(backup))
    else:
        with closing(sqlite3.connect(backup)) as source, closing(sqlite3.connect(str(url.database))) as database:
            source.backup(database)


def _pg(tool: str, url: URL, *arguments: str) -> None:
    where = [f"--host={url.query['host']}", f"--username={url.username}", f"--dbname={url.database}"]
    subprocess.run([program(tool), *where, *arguments], check=True, capture_output=True)


def _ask_and_open_a_desk(platform: Platform) -> None:
    """Questions to citizen1 that wait for an answer, and a desk at which they work."""
    now = clock.now()
    soon = now + timedelta(minutes=5)
    with Session(platform.engine) as session, session.begin():
        appointment = Appointment(
            client_id=platform.bank.client_id, citizen_id=1, role="clerk", appointed_at=now, appointed_by=None
        )
        session.add(appointment)
        session.flush()
        session.add_all(
            [
                ContactChange(citizen_id=1, kind="phone", value="0900000000", created_at=now, expires_at=soon),
                IdentityChallenge(
                    digest=bytes(32),
                    method="passkey",
                    kind="sign_in",
                    citizen_id=1,
                    browser=bytes(32),
                    payload={},
                    created_at=now,
                    expires_at=soon,
                ),
                DeskSession(
                    code_digest=bytes(32),
                    appointment_id=appointment.id,
                    citizen_id=1,
                    client_id=platform.bank.client_id,
                    redirect_uri="https://desk.example/cb",
                    code_challenge="x" * 43,
                    dpop_jkt=None,
                    nonce=None,
                    acr="3",
                    amr=["pwd"],
                    auth_time=now,
                    code_expires_at=soon,
                    expires_at=soon,
                ),
            ]
        )


def _open(platform: Platform) -> set[str]:
    """The tables with a row that is neither over nor out of time."""
    found = set()
    with platform.engine.connect() as connection:
        for table in Base.metadata.sorted_tables:
            until = next((table.c[name] for name in LAST if name in table.c), None)
            if until is None:
                continue
            over = [table.c[name].is_(None) for name in OVER if name in table.c]
            state = [table.c.state.in_(["issued", "leased"])] if "state" in table.c else []
            if connection.scalar(select(func.count()).where(until > clock.now(), *over, *state)):
                found.add(table.name)
    return found
