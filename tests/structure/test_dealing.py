"""What a run of several workers does at the same time."""

from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.dealing import KEPT_TOGETHER, dealt


@pytest.mark.parametrize("workers", [1, 2, 3, 4])
def test_every_test_is_dealt_once_and_what_shares_servers_begins_the_share_of_one_worker(workers: int) -> None:
    folders = ["tests/clients", *sorted(KEPT_TOGETHER), "tests/test_cli.py", "tests/test_config.py"]
    items: Any = [SimpleNamespace(nodeid=f"{folder}/{number}") for number in range(36) for folder in folders]
    order: list[Any] = dealt(items, workers=workers)
    assert sorted(item.nodeid for item in order) == sorted(item.nodeid for item in items)
    size = len(items) // workers
    shares = [order[at : at + size] for at in range(0, len(order), size)]
    for folder in KEPT_TOGETHER[:workers]:
        (share,) = [share for share in shares if any(item.nodeid.startswith(folder) for item in share)]
        assert share[0].nodeid.startswith(KEPT_TOGETHER)
