"""Who imports whom: the contracts stand in setup.cfg, [importlinter]."""

import subprocess
import sys
from pathlib import Path

from tests.support.tree import ROOT


def test_no_import_crosses_a_wall() -> None:
    program = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([program, "--no-cache"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
