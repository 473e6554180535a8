"""What a submission has to pass: it passes only if all of it does, and takes what the machine has or can get."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.tree import ROOT


def run(folder: Path, *command: str, **programs: str) -> subprocess.CompletedProcess[str]:
    """Run a command of .ci in a copy, where some programs are these scripts."""
    shutil.copytree(ROOT / ".ci", folder / ".ci")
    (folder / "bin").mkdir()
    for name, script in programs.items():
        program = folder / "bin" / name.replace("_", "-")
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
    environment = os.environ | {"PATH": f"{folder / 'bin'}:{os.environ['PATH']}"}
    return subprocess.run(
        ["sh", *command], cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=60
    )


@pytest.mark.parametrize("failing", ["", "setup", "check", "test"])
def test_it_passes_only_if_all_of_it_does(tmp_path: Path, failing: str) -> None:
    make = f'[ "$1" != "{failing}" ]'
    done = run(tmp_path, ".ci/run", make=make, dpkg_query="echo install ok installed")
    assert done.returncode == (1 if failing else 0), done.stdout + done.stderr
    assert (" done\n" in done.stdout) == (not failing)
    if failing in {"check", "test"}:
        assert done.stdout.endswith(f" failed: {failing}\n")


@pytest.mark.parametrize(
    ("there", "to_be_had", "installed"),
    [
        ("shell", "shell browser", ""),
        ("browser", "shell browser", ""),
        ("none", "shell browser", "shell"),
        ("none", "browser", "browser"),
    ],
)
def test_of_two_packages_either_will_do(tmp_path: Path, there: str, to_be_had: str, installed: str) -> None:
    asked = 'for last in "$@"; do :; done; case " $LIST " in *" $last "*)'
    programs = {
        "id": "echo 0",
        "dpkg_query": f'LIST="{there}"; {asked} echo install ok installed;; esac',
        "apt_cache": f'LIST="{to_be_had}"; {asked} echo "  Candidate: 1.0";; *) echo "  Candidate: (none)";; esac',
        "apt_get": f'[ "$1" = update ] || for last in "$@"; do :; done; echo "$last" > {tmp_path}/installed',
    }
    done = run(tmp_path, ".ci/debian-packages", "shell|browser", **programs)
    assert done.returncode == 0, done.stderr
    told = tmp_path / "installed"
    assert (told.read_text().strip() if told.exists() else "") == installed
