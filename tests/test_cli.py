"""Commands that start something: what is wrong is told before anything listens."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from authz_server.cli import check_migrated, migrate_database
from authz_server.core.settings import SettingsError
from tests.support import postgres


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


@pytest.mark.parametrize("own_session", [True, False])
def test_the_worker_gives_way_within_its_session_and_as_one(own_session: bool) -> None:
    code = "import sys; from authz_server import cli; cli.give_way(cli.WORKER_NICENESS); print(); sys.stdin.read()"
    autogroup = Path("/proc/self/autogroup")
    with subprocess.Popen(
        [sys.executable, "-uc", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=own_session
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        assert os.getpriority(os.PRIO_PROCESS, child.pid) == min(19, os.getpriority(os.PRIO_PROCESS, 0) + 10)
        if autogroup.exists():
            said = Path(f"/proc/{child.pid}/autogroup").read_text()
            assert said.endswith(" nice 10\n") if own_session else said == autogroup.read_text()
        child.communicate(b"", timeout=10)
