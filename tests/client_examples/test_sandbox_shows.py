"""What a sandbox tells people to type works in whichever folder they are."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from client_examples.sandbox.__main__ import show
from client_examples.sandbox.sandbox import Sandbox


def test_its_commands_work_in_any_folder_and_it_names_what_runs(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    show(Sandbox(work=tmp_path, banks=()))
    told = capsys.readouterr().out
    assert "counter," not in told, "of what does not run nothing is told"
    code = re.findall(r"code: (.*)", told)[0]
    sign = "\n".join(re.findall(r"(.* -m client_examples\.demo_ca .*\\)\n", told)) + "\n--help"
    elsewhere = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    for command, answer in ((code, r"\d{6}\n"), (sign, r"usage: (?s:.*)")):
        done = subprocess.run(["sh", "-c", command], cwd=tmp_path, env=elsewhere, capture_output=True, text=True)
        assert re.fullmatch(answer, done.stdout), done.stderr
