"""Whoever stops the sandbox twice has it stopped as orderly as whoever stops it once; and killed, it leaves no data."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.waiting import wait_until

PROGRAM = """
import signal, sys
from client_examples.sandbox.__main__ import stop
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, stop)
try:
    print("started", flush=True)
    signal.pause()
except KeyboardInterrupt:
    print("stopping", flush=True)
    sys.stdin.readline()
    print("stopped", flush=True)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_does_not_break_the_end_off(number: signal.Signals) -> None:
    command = [sys.executable, "-c", PROGRAM]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as sandbox:
        assert sandbox.stdin is not None
        assert sandbox.stdout is not None
        for line in sandbox.stdout:
            if line.strip() in ("started", "stopping"):
                sandbox.send_signal(number)
            if line.strip() == "stopping":
                sandbox.stdin.write("\n")  # only now, after the second signal, may it end
                sandbox.stdin.flush()
        assert sandbox.wait() == 0
        assert line == "stopped\n"


KILLED = """
import signal
from client_examples.sandbox.postgres import PostgresServer
print(PostgresServer().start().directory, flush=True)
signal.pause()
"""
KILLED_BEFORE_IT_STARTS = """
import signal
from client_examples.sandbox.sandbox import Sandbox
sandbox = Sandbox()
(sandbox.work / "data").mkdir()
print(sandbox.work, flush=True)
signal.pause()
"""


@pytest.mark.parametrize("program", [KILLED, KILLED_BEFORE_IT_STARTS])
def test_the_folder_of_a_database_or_a_sandbox_whose_owner_is_killed_goes_with_it(program: str) -> None:
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        folder = Path(owner.stdout.readline().strip())
        assert (folder / "data").is_dir()
        owner.kill()
    wait_until(lambda: not folder.exists(), "the folder is deleted")
