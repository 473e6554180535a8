"""Whoever stops the sandbox twice has it stopped as orderly as whoever stops it once."""

import signal
import subprocess
import sys

import pytest

PROGRAM = """
import signal, time
from client_examples.sandbox.__main__ import stop
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, stop)
try:
    print("started", flush=True)
    time.sleep(60)
except KeyboardInterrupt:
    print("stopping", flush=True)
    time.sleep(0.5)
    print("stopped", flush=True)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_does_not_break_the_end_off(number: signal.Signals) -> None:
    with subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, text=True) as sandbox:
        assert sandbox.stdout is not None
        for line in sandbox.stdout:
            if line.strip() in ("started", "stopping"):
                sandbox.send_signal(number)
        assert sandbox.wait() == 0
        assert line == "stopped\n"
