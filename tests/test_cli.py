"""Commands that start something: what is wrong is told before anything listens."""

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
