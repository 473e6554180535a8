"""`mydata figures` as an operator types it."""

from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner

from authz_server import worker
from authz_server.consent.commands import figures
from authz_server.core import clock
from tests.support.commands import settings_file
from tests.support.platform import Platform


@pytest.fixture
def counted(own_platform: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Platform:
    """A platform with two consents, and the settings of a command that looks at it."""
    for _ in range(2):
        own_platform.code()
    worker.tick(own_platform.engine, now=clock.now())
    monkeypatch.setenv("MYDATA_SETTINGS", str(settings_file(own_platform.settings, tmp_path)))
    return own_platform


def test_figures_are_a_line_for_each_client(counted: Platform) -> None:
    result = CliRunner().invoke(figures, [])
    assert result.exit_code == 0, result.output
    heading, line = result.output.splitlines()
    assert heading.split()[:5] == ["first", "day", "last", "day", "client"]
    assert line.split()[2:8] == [counted.bank.client_id, "2", "0", "0", "1", "1"]


def test_programs_get_them_as_json_without_anybody_in_them(counted: Platform) -> None:
    today = str(clock.day_of(clock.now()))
    result = CliRunner().invoke(figures, ["--from", today, "--to", today, "--by", "day", "--json"])
    (row,) = orjson.loads(result.output)
    assert row.pop("unusual_hour") in {0, 2}  # whenever this test runs
    assert row == {
        "first": today,
        "last": today,
        "client_id": counted.bank.client_id,
        "approved": 2,
        "denied": 0,
        "expired": 0,
        "first_time": 1,
        "again": 1,
        "many_denials": 0,
    }


def test_days_in_the_wrong_order_are_a_message(counted: Platform) -> None:
    result = CliRunner().invoke(figures, ["--from", "2026-02-01", "--to", "2026-01-01"])
    assert result.exit_code == 2
    assert "the first day comes after the last" in result.output
