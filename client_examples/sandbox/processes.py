"""Real processes, each with its own group, folder and log: started, watched, killed and stopped to the last child."""

import contextlib
import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import requests

LOOPBACK = "127.0.0.1"
START_LIMIT_S = 120
STOP_LIMIT_S = 15
_LOOK_AGAIN_S = 0.05
ABOVE = Path(__file__).resolve().parents[2]
# Several commands of `mydata` in one process, because each start of Python with all its libraries takes a second.
ONE_AFTER_THE_OTHER = """
import json, sys
from authz_server.cli import cli
for arguments in json.load(sys.stdin):
    cli.main(arguments, standalone_mode=False)
"""


class ProcessFailed(Exception):
    """A process ended or did not answer in time; the text holds the end of its log."""


@dataclass
class Process:
    """One program of the sandbox.

    Args: command: argument list; environment: added to what every child gets; folder: where it runs;
    health_url: answers 200 once the program serves; None = it serves nothing, and started is good enough.
    """

    name: str
    command: Sequence[str | Path]
    folder: Path
    log_file: Path
    environment: Mapping[str, str]
    health_url: str | None = None
    _running: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def start(self) -> None:
        """Start the program without waiting for it; its output is appended to its log."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.log_file.parent.mkdir(parents=True, exist_ok=True)
        with self.log_file.open("ab") as log:
            self._running = subprocess.Popen(
                self.command,
                cwd=self.folder,
                env=dict(self.environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=end_with_the_parent(),
            )

    def wait_until_healthy(self) -> None:
        """Return when the program answers.  Raises: ProcessFailed."""
        deadline = time.monotonic() + START_LIMIT_S
        while not self._answers():
            if not self.is_running():
                raise ProcessFailed(f"{self.name} ended at once:\n{self.log_tail()}")
            if time.monotonic() > deadline:
                raise ProcessFailed(f"{self.name} did not answer at {self.health_url}:\n{self.log_tail()}")
            time.sleep(_LOOK_AGAIN_S)

    def is_running(self) -> bool:
        """Whether the program's first process still runs."""
        return self._running is not None and self._running.poll() is None

    def check(self) -> bool:
        """Whether it runs; if not, it was stopped or killed.  Raises: ProcessFailed, if it has ended by itself."""
        if self._running is not None and not self.is_running():
            raise ProcessFailed(f"{self.name} has ended by itself:\n{self.log_tail()}")
        return self._running is not None

    @property
    def pid(self) -> int:
        """Process id of the first process, which is also the id of the group.  Raises: ProcessFailed."""
        if self._running is None:
            raise ProcessFailed(f"{self.name} was not started")
        return self._running.pid

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal to the whole group and wait for its end."""
        if self._running is None:
            return
        signal_group(self.pid, number)
        self._running.wait(STOP_LIMIT_S)
        self._end_group()

    def stop(self) -> None:
        """Ask the program to end, then insist; no process of its group is left afterwards."""
        if self._running is None:
            return
        if self.is_running():
            self._running.terminate()
            try:
                self._running.wait(STOP_LIMIT_S)
            except subprocess.TimeoutExpired:
                signal_group(self.pid, signal.SIGKILL)
                self._running.wait(STOP_LIMIT_S)
        self._end_group()

    def log_tail(self) -> str:
        """The last lines of the program's log."""
        return "\n".join(self.log_file.read_text(errors="replace").splitlines()[-30:])

    def _answers(self) -> bool:
        if self.health_url is None:
            return self.is_running()
        try:
            return requests.get(self.health_url, timeout=2).status_code == 200
        except requests.RequestException:
            return False

    def _end_group(self) -> None:
        deadline = time.monotonic() + STOP_LIMIT_S
        while _lives(self.pid):
            signal_group(self.pid, signal.SIGKILL)
            if time.monotonic() > deadline:
                raise ProcessFailed(f"{self.name} left processes that can't be killed")
            time.sleep(_LOOK_AGAIN_S)
        self._running = None


def run_commands(commands: Sequence[Sequence[str | Path]], *, folder: Path, environment: Mapping[str, str]) -> str:
    """Run commands of `mydata`, one after the other; return what they printed.  Raises: ProcessFailed."""
    done = subprocess.run(
        [sys.executable, "-c", ONE_AFTER_THE_OTHER],
        env=dict(environment),
        cwd=folder,
        input=json.dumps(commands, default=str),
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        raise ProcessFailed(f"mydata failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def inherited() -> dict[str, str]:
    """This machine's environment without settings of other installations, and where these programs, which are not
    installed, are found from any folder."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MYDATA_", "DEMO_AGENCY_"))}
    return kept | {"PYTHONPATH": os.pathsep.join(filter(None, [str(ABOVE), kept.get("PYTHONPATH")]))}


def signal_group(group: int, number: signal.Signals) -> None:
    """Signal a process group, if there is any of it left."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, number)


def _lives(group: int) -> bool:
    """Whether the group has a process that has not ended; ended ones that nobody has waited for do not count."""
    for status in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, _parent, its_group = status.read_text().rpartition(")")[2].split()[:3]
            if int(its_group) == group and state not in "ZX":
                return True
    return False


def end_with_the_parent(number: signal.Signals = signal.SIGTERM) -> Callable[[], object] | None:
    """What a child calls before its program starts, so that Linux ends it should the parent be killed; else None."""
    try:
        control = ctypes.CDLL(None).prctl
    except (OSError, AttributeError):
        return None
    pr_set_pdeathsig = 1  # prctl(2)
    return lambda: control(pr_set_pdeathsig, number)


def _named_port_is_taken(port: int) -> bool:
    """Whether somebody else would be found under `localhost`, which is looked for at `::1` first."""
    try:
        socket.create_connection(("::1", port)).close()
    except OSError:
        return False
    return True


def pass_by_proxies() -> None:
    """Let this program, and those that it starts, reach each other also where the environment names a proxy."""
    for name in ("NO_PROXY", "no_proxy"):
        named = os.environ.get(name)
        os.environ[name] = ",".join([*([named] if named else []), "localhost", LOOPBACK])


def choose_ports(friendly: Sequence[int] | None, count: int) -> list[int]:
    """The friendly ports if all are free, else any that are.

    They stay reserved as long as this program runs: until a server listens there, and while it is restarted, the system
    gives them to nobody else. That keeps no server away that sets SO_REUSEADDR, as all do that may be restarted.
    """
    for wanted in [friendly, [0] * count]:
        if wanted is None:
            continue
        sockets: list[socket.socket] = []
        try:
            for port in wanted:
                taken = socket.socket()
                sockets.append(taken)
                taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                taken.bind((LOOPBACK, port))
            ports = [taken.getsockname()[1] for taken in sockets]
            if not any(map(_named_port_is_taken, ports)):
                for taken in sockets:
                    taken.detach()  # it stays open, bound and never listening
                return ports
        except OSError:
            pass
        for taken in sockets:
            taken.close()
    raise ProcessFailed("no free ports")
