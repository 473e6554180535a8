"""The table of vulnerability classes is complete, and names only tests that exist."""

import re
from pathlib import Path

HERE = Path(__file__).parent
ROW = re.compile(r"^\| (\d+) \| [^|]+ \| ([^|]+) \|$", re.MULTILINE)


def table() -> dict[int, str]:
    return {int(number): tests for number, tests in ROW.findall((HERE / "README.md").read_text(encoding="utf-8"))}


def test_every_class_has_a_test_or_says_what_it_waits_for() -> None:
    assert list(table()) == list(range(1, 36))
    for number, tests in table().items():
        named = re.findall(r"`([\w./]+\.py)`", tests)
        assert named or "waits for" in tests or "`make race`" in tests, number
        assert all((HERE / name).is_file() for name in named), tests


def test_every_test_of_this_folder_is_in_the_table() -> None:
    named = " ".join(table().values())
    assert not [path.name for path in HERE.glob("test_[0-9]*.py") if path.name not in named]
