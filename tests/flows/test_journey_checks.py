"""The journey's own checks notice when a promise is broken."""

import sqlite3
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from client_examples.sandbox import promises
from client_examples.sandbox.checker import Got
from client_examples.sandbox.promises import PromiseBroken

NAMES = {"fia.income": "Personal income", "bli.pension": "Labour-insurance pension"}
ASKED = ["Bank asked for your data", "You agreed to share data with Bank"]
ISSUED, LEASED = "Bank may fetch Personal income once", "Bank began to fetch Personal income"
PREPARING = "The agency is preparing Personal income for Bank"
DELIVERED = "Personal income was delivered to Bank"
GOOD = [*ASKED, ISSUED, LEASED, PREPARING, LEASED, DELIVERED]


def slow(**changes: Any) -> Got:
    return Got("fia.income", ("name",), "token", "http://127.0.0.1", status="done", **{"was_preparing": True} | changes)


def test_a_complete_record_passes() -> None:
    promises.check_record(GOOD, {"fia.income": slow()}, NAMES)


@pytest.mark.parametrize(
    "entries",
    [
        GOOD[:-1],
        [*GOOD, DELIVERED],
        [*GOOD[:3], *GOOD[5:]],
        [*ASKED, LEASED, ISSUED, PREPARING, LEASED, DELIVERED],
        [ISSUED, *ASKED, *GOOD[3:]],
        ASKED[:1],
        [],
    ],
    ids=["no delivery", "two deliveries", "no preparing", "out of order", "before consent", "cut off", "empty"],
)
def test_a_record_with_a_gap_or_out_of_order_is_noticed(entries: list[str]) -> None:
    with pytest.raises(PromiseBroken):
        promises.check_record(entries, {"fia.income": slow()}, NAMES)


@pytest.fixture
def left(tmp_path: Path) -> Any:
    """What a sandbox leaves, as far as the search looks at it."""
    (tmp_path / "server").mkdir()
    (tmp_path / "tmp").mkdir()
    (tmp_path / "logs").mkdir()
    with sqlite3.connect(tmp_path / "server" / "mydata.sqlite3") as connection:
        connection.execute("CREATE TABLE audit_entry (event TEXT)")
        connection.execute("INSERT INTO audit_entry VALUES ('consent.approved')")
    connection.close()
    return SimpleNamespace(work=tmp_path, postgres=None)


def test_a_clean_house_passes(left: Any) -> None:
    promises.nothing_left_behind(left, "CANARY0123456789", say=lambda _: None)


@pytest.mark.parametrize("place", ["logs/proxy.log", "tmp/spooled", "server/cache"])
def test_data_in_a_file_is_noticed(left: Any, place: str) -> None:
    (left.work / place).write_bytes(b"... CANARY0123456789 ...".hex().encode())
    with pytest.raises(PromiseBroken, match=place):
        promises.nothing_left_behind(left, "CANARY0123456789", say=lambda _: None)


def test_data_in_the_database_is_noticed(left: Any) -> None:
    with sqlite3.connect(left.work / "server" / "mydata.sqlite3") as connection:
        connection.execute("INSERT INTO audit_entry VALUES ('CANARY0123456789')")
    connection.close()
    with pytest.raises(PromiseBroken, match="database"):
        promises.nothing_left_behind(left, "CANARY0123456789", say=lambda _: None)


def test_a_dataset_that_came_with_other_fields_is_noticed() -> None:
    got = slow(data={"name": "CANARY", "national_id": "A123456789"})
    with pytest.raises(PromiseBroken):
        promises.check_fetched({"fia.income": got}, "CANARY")
