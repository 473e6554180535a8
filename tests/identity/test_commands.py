"""`mydata citizen ...` as an operator types it."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from authz_server.core import clock
from authz_server.core.settings import SettingsError
from authz_server.identity import recovery
from authz_server.identity.commands import citizen
from authz_server.identity.errors import AccountProblem
from authz_server.identity.models import CITIZEN
from tests.identity.support import ORIGIN, PASSWORD, PERSON, SERVER_SECRET, TOTP_SECRET

ADD = ("add", PERSON.username, "--name", PERSON.name, "--national-id", PERSON.national_id, "--birthdate", "1990-01-02")
Run = Callable[..., Result]


@pytest.fixture
def run(engine: Engine, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command with the settings of a server on the database."""
    file = tmp_path / "mydata.toml"
    file.write_text(
        f'issuer = "{ORIGIN}"\nproxy_url = "https://data.example"\ndatabase_url = "{database_url}"\n'
        'keys_file = "keys.json"\nsecret_file = "secret"\n'
    )
    (tmp_path / "secret").write_bytes(SERVER_SECRET)
    monkeypatch.setenv("MYDATA_SETTINGS", str(file))

    def run(*arguments: str, typed: str | None = None) -> Result:
        return CliRunner().invoke(citizen, arguments, input=typed)

    return run


def test_an_account_is_made_with_options_and_its_code_shown(run: Run, engine: Engine) -> None:
    result = run(*ADD, "--email", "a@example.org", "--password", PASSWORD, "--totp-secret", TOTP_SECRET)
    assert result.exit_code == 0, result.output
    assert f"otpauth://totp/MyData:citizen-a?secret={TOTP_SECRET}&issuer=MyData" in result.output
    assert "█" in result.output
    assert PASSWORD not in result.output
    codes = re.findall(r"^\d{4}(?: \d{4}){3}$", result.output, re.MULTILINE)
    with engine.connect() as connection:
        row = connection.execute(select(CITIZEN)).one()
    assert (row.username, row.name, row.email, row.locale) == ("citizen-a", PERSON.name, "a@example.org", "")
    with Session(engine) as session:
        assert len(codes) == recovery.COUNT
        assert recovery.all_in_force(session, row.id, codes, server_secret=SERVER_SECRET)
    run("reset", PERSON.username, "--password", PASSWORD)
    with Session(engine) as session:
        assert not recovery.all_in_force(session, row.id, codes[:1], server_secret=SERVER_SECRET)
        assert recovery.left(session, row.id).count == recovery.COUNT


def test_what_is_left_out_is_asked_for_and_the_password_not_shown(run: Run) -> None:
    typed = f"{PERSON.name}\n{PERSON.national_id}\n1990-01-02\n{PASSWORD}\n{PASSWORD}\n"
    result = run("add", PERSON.username, typed=typed)
    assert result.exit_code == 0, result.output
    assert PASSWORD not in result.output


def test_the_password_may_come_from_the_environment(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MYDATA_CITIZEN_PASSWORD", PASSWORD)
    assert run(*ADD).exit_code == 0


def test_suspend_resume_and_reset(run: Run, engine: Engine) -> None:
    run(*ADD, "--password", PASSWORD)
    assert run("suspend", PERSON.username).output == "citizen citizen-a suspended\n"
    assert run("resume", PERSON.username).output == "citizen citizen-a resumed\n"
    with engine.connect() as connection:
        before = connection.execute(select(CITIZEN)).one()
    result = run("reset", PERSON.username, "--password", "another password")
    assert "otpauth://" in result.output
    with engine.connect() as connection:
        after = connection.execute(select(CITIZEN)).one()
    assert before.suspended_at is None
    assert before.password_hash != after.password_hash
    assert before.totp_secret_encrypted != after.totp_secret_encrypted


def test_a_name_and_a_date_of_birth_are_set_right(run: Run, engine: Engine) -> None:
    run(*ADD, "--password", PASSWORD)
    told = run("correct", PERSON.username, "--name", "測試市民新", "--birthdate", "1990-01-03")
    assert told.output == "citizen citizen-a corrected\n"
    with engine.connect() as connection:
        row = connection.execute(select(CITIZEN)).one()
    assert (row.name, row.birthdate.isoformat()) == ("測試市民新", "1990-01-03")


def test_of_whom_turns_out_to_be_a_minor_the_operator_is_told_what_stands(run: Run) -> None:
    run(*ADD, "--password", PASSWORD)
    with clock.frozen(datetime(2026, 12, 1, 4, tzinfo=UTC)):
        for born, warned in (
            ("2008-12-01", ""),
            ("2008-12-02", "warning: citizen-a is not of age; what they agreed to "),
        ):
            told = run("correct", PERSON.username, "--birthdate", born)
            assert (told.exit_code, told.stdout) == (0, "citizen citizen-a corrected\n")
            assert told.stderr.startswith(warned)
            assert bool(told.stderr) == bool(warned)
    assert told.stderr.endswith(": mydata citizen freeze citizen-a\n")
    assert run("correct", PERSON.username, "--name", "測試市民新").stderr == ""


@pytest.mark.parametrize("kept", [None, b"too short"])
def test_no_credentials_are_given_out_under_a_secret_that_no_server_starts_with(
    run: Run, engine: Engine, tmp_path: Path, kept: bytes | None
) -> None:
    run(*ADD, "--password", PASSWORD)
    (tmp_path / "secret").unlink() if kept is None else (tmp_path / "secret").write_bytes(kept)
    with engine.connect() as connection:
        before = connection.execute(select(CITIZEN)).all()
    for command in (("add", "another", *ADD[2:]), ("reset", PERSON.username)):
        result = run(*command, "--password", "another password")
        assert isinstance(result.exception, SettingsError)
        assert "secret_file: " in str(result.exception)
    with engine.connect() as connection:
        assert connection.execute(select(CITIZEN)).all() == before


def test_problems_are_told_without_the_values(run: Run) -> None:
    result = run(*ADD, "--password", "short")
    assert isinstance(result.exception, AccountProblem)
    assert str(result.exception) == "password: 8 to 256 characters"
