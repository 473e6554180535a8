"""What a run does at the same time, and on which database."""

from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.dealing import KEPT_TOGETHER, dealt
from tests.support.tree import ROOT
from tests.support.turns import BY_TURNS, DECIDED, KINDS, by_turns


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


def test_a_page_meets_one_database_and_what_a_statement_decides_both() -> None:
    def there_for(module: str, test: str, kind: str | None, *, race: bool = False) -> Any:
        asked = SimpleNamespace(params={"database_url": kind} if kind else {"lang": "en"})
        name = f"{module}::{test}[{kind}]" if kind else f"{module}::{test}[en]"
        return SimpleNamespace(nodeid=name, callspec=asked, get_closest_marker=lambda _: race or None)

    page, decided, elsewhere = f"{BY_TURNS[0]}test_x.py", DECIDED[0], "tests/single_use/test_x.py"
    items = [there_for(page, f"test_{number}", kind) for kind in KINDS for number in range(5)]
    both = [there_for(module, "test_0", kind) for module in (decided, elsewhere) for kind in KINDS]
    races = [there_for(page, "test_race", kind, race=True) for kind in KINDS]
    alone = [there_for(f"{BY_TURNS[0]}test_y.py", f"test_{number}", KINDS[0]) for number in range(2)]
    alone += [there_for(page, "test_6", KINDS[1])]
    kept, left = by_turns([*alone, *items, *both, *races, there_for(page, "test_5", None)])
    turns = [KINDS[number % 2] for number in range(5)]
    assert {item.nodeid for item in kept if item in items} == {
        f"{page}::test_{number}[{kind}]" for number, kind in enumerate(turns)
    }
    assert len(kept) == 5 + len(alone) + len(both) + len(races) + 1
    assert len(left) == 5


def test_what_a_statement_decides_is_where_it_is_said_to_be() -> None:
    for place in DECIDED:
        module, _, test = place.partition("::")
        assert f"\ndef {test}" in (ROOT / module).read_text(encoding="utf-8"), place
