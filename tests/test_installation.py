"""A database and its secret file belong together, on every host and after every restore."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy import select
from sqlalchemy.orm import Session

from authz_server import installation
from authz_server.cli import check_secret, cli
from authz_server.config import Settings
from authz_server.core.secrets import derive
from authz_server.core.settings import SettingsError
from authz_server.database import new_engine
from authz_server.identity.models import CITIZEN
from authz_server.installation import Installation
from tests.support.commands import settings_file

OTHER = bytes(31) + b"x"
ADD = ["citizen", "add", "new", "--name", "新來者", "--national-id", "A223456781"]
ADD += ["--birthdate", "1990-01-02", "--password", "a long pass phrase"]


def test_the_first_secret_is_the_one_and_no_other_starts_a_server(settings: Settings) -> None:
    check_secret(settings)
    check_secret(settings)
    settings.secret_file.write_bytes(OTHER)
    with pytest.raises(SettingsError, match="secret_file: this database was used with another one"):
        check_secret(settings)


def test_no_credentials_are_given_out_under_another_one(
    settings: Settings, session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MYDATA_SETTINGS", str(settings_file(settings, tmp_path)))
    check_secret(settings)
    (tmp_path / "secret").write_bytes(OTHER)
    assert isinstance(CliRunner().invoke(cli, ADD).exception, SettingsError)
    assert session.execute(select(CITIZEN)).all() == []


def test_of_two_hosts_that_start_first_in_one_moment_one_is_right(settings: Settings, session: Session) -> None:
    secrets = [bytes([number]) * 32 for number in range(8)]

    def start(secret: bytes) -> bool:
        engine = new_engine(settings.database_url)
        try:
            with Session(engine) as own, own.begin():
                installation.check_secret(own, secret)
        except SettingsError:
            return False
        finally:
            engine.dispose()
        return True

    with ThreadPoolExecutor(len(secrets)) as pool:
        right = [secret for secret, done in zip(secrets, pool.map(start, secrets), strict=True) if done]
    assert len(right) == 1
    assert session.scalars(select(Installation.secret_check)).all() == [derive(right[0], "installation")]


def test_a_database_that_is_not_there_yet_is_waited_for_by_requests(settings: Settings) -> None:
    check_secret(replace(settings, database_url="postgresql+psycopg://nobody@/nothing?host=/nonexistent"))
