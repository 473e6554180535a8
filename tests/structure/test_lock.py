"""The lock file holds what setup.cfg asks for, each by version and hash."""

import re
from configparser import ConfigParser

from tests.support.tree import ROOT


def normal(name: str) -> str:
    """Source: PyPA specification of name normalisation."""
    return re.sub(r"[-_.]+", "-", name).lower()


def asked_for() -> set[str]:
    config = ConfigParser()
    config.read(ROOT / "setup.cfg", encoding="utf-8")
    blocks = [config["options"]["install_requires"], *config["options.extras_require"].values()]
    lines = [line.strip() for block in blocks for line in block.splitlines() if line.strip()]
    return {normal(re.split(r"[\[<>=!~; ]", line)[0]) for line in lines}


def locked() -> dict[str, str]:
    """Name -> everything the lock says of it."""
    entries = re.split(r"\n(?=[a-zA-Z0-9])", (ROOT / "requirements.lock").read_text(encoding="utf-8"))
    return {normal(re.split(r"[\[=]", entry)[0]): entry for entry in entries if "==" in entry.splitlines()[0]}


def test_the_lock_holds_exactly_the_direct_dependencies_of_setup_cfg() -> None:
    direct = {name for name, entry in locked().items() if "(setup.cfg)" in entry}
    assert direct == asked_for()


def test_everything_locked_has_a_hash() -> None:
    assert not [name for name, entry in locked().items() if "--hash=sha256:" not in entry]
