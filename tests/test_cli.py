"""Commands that start something: what is wrong is told before anything listens."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from authz_server.cli import check_migrated, cli, migrate_database
from authz_server.config import Settings
from authz_server.core import jose
from authz_server.core.settings import SettingsError
from tests.support import postgres
from tests.support.commands import settings_file


def test_tables_of_this_release_are_good(database_url: str) -> None:
    check_migrated(database_url)


def test_tables_of_another_release_are_told_with_the_command_that_mends_it(database_url: str) -> None:
    migrate_database(database_url, back_to="0001")
    with pytest.raises(SettingsError, match=r"tables of version 0001, wanted .*: mydata migrate"):
        check_migrated(database_url)


def test_a_database_without_tables_is_told() -> None:
    with postgres.copied() as url, pytest.raises(SettingsError, match="version none"):
        check_migrated(url)


def test_a_database_that_is_not_there_yet_is_waited_for_by_requests() -> None:
    check_migrated("postgresql+psycopg://nobody@/nothing?host=/nonexistent")


@pytest.mark.parametrize("content", [None, "{", '{"keys": []}'])
def test_a_file_of_keys_that_no_server_could_read_is_not_rotated(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | None
) -> None:
    monkeypatch.setenv("MYDATA_SETTINGS", str(settings_file(settings, tmp_path)))
    keys = tmp_path / "keys.json"
    keys.unlink(missing_ok=True)
    if content is not None:
        keys.write_text(content)
        keys.chmod(0o600)
    assert isinstance(CliRunner().invoke(cli, ["rotate-key"]).exception, jose.BadKey)
    assert (keys.read_text() if keys.exists() else None) == content


@pytest.mark.parametrize("leads", [True, False])
def test_the_worker_gives_way_and_with_it_the_session_that_it_leads(leads: bool) -> None:
    code = "import os, sys; from authz_server import cli; cli.give_way(9); print(os.getpid()); sys.stdin.read()"
    command = [sys.executable, "-uc", code]
    if not leads:
        command = ["sh", "-c", '"$@"; true', "sh", *command]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as leader:
        assert leader.stdout is not None
        pid = int(leader.stdout.readline())
        assert (pid == leader.pid) is leads
        assert os.getpriority(os.PRIO_PROCESS, pid) == min(19, os.getpriority(os.PRIO_PROCESS, 0) + 9)
        autogroup = Path(f"/proc/{pid}/autogroup")
        if autogroup.exists():
            assert autogroup.read_text().endswith(" nice 9\n" if leads else " nice 0\n")
        leader.communicate("", timeout=10)
