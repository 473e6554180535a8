"""The scenes that `make journey` drives, and what is left after each: nothing."""

import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from client_examples.sandbox.scenes import scenes
from tests.support.tree import ROOT

SANDBOX = [sys.executable, "-m", "client_examples.sandbox"]
# What a scene has to say that it verified, besides ending well.
SAID = {
    "online": ("datasets fetched", "no spent token works again", "record complete", "nothing left behind"),
    "withdraw": ("stops raced against a fetch", "not a byte came after it", "never came whole", "neither token works"),
    "stepup": ("in mid-flow", "session id changed", "acr it demanded", "unmet_authentication_requirements"),
    "freeze": ("refused", "nothing can be agreed to", "a new consent works", "what was stopped stays stopped"),
    "receipt": (
        "verified offline",
        "after a key rotation",
        "one-bit changes",
        "each found",
        "Han characters",
        "by message",
    ),
    "counter": ("by name", "each barcode worked once", "recorded first", "nothing left behind"),
    "download": ("datasets downloaded", "keys are taken once", "never readable in the memory", "nothing left behind"),
    "notme": ("told by e-mail", "froze the account", "answered 401", "a second use changed nothing"),
}


def environment(tmp_path: Path) -> dict[str, str]:
    races = {"SANDBOX_RACES": os.environ.get("SANDBOX_RACES", "50")}  # by hand it is a thousand
    return dict(os.environ) | races | {"TMPDIR": str(tmp_path), "PYTHONUNBUFFERED": "1"}


# Every scene on the real database; on SQLite as well those in which processes fight for rows.
@pytest.mark.parametrize(
    ("named", "driven", "db"),
    [(["all"], [*scenes()], "postgresql"), (["online", "withdraw"], ["online", "withdraw"], "sqlite")],
    ids=["all-postgresql", "two-sqlite"],
)
def test_each_scene_keeps_every_promise(
    named: Sequence[str], driven: Sequence[str], db: str, open_tmp_path: Path
) -> None:
    command = [*SANDBOX, "journey", "--scene", *named, "--db", db]
    done = subprocess.run(command, cwd=ROOT, env=environment(open_tmp_path), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr + done.stdout  # the first line names the scene that failed
    verified = dict(re.findall(r"^([a-z]+) ok: (.*)$", done.stdout, re.MULTILINE))
    assert list(verified) == [*driven, "journey"]
    for scene in driven:
        assert [promise for promise in SAID[scene] if promise not in verified[scene]] == [], scene
    assert done.stdout.endswith(f"\njourney ok: {'; '.join(verified[scene] for scene in driven)}\n")
    assert not list(open_tmp_path.iterdir()), "every file is deleted"


def test_a_scene_that_there_is_not_is_answered_with_those_that_there_are() -> None:
    done = subprocess.run([*SANDBOX, "journey", "--scene", "none"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    for scene in scenes():
        assert scene in done.stderr


def test_ctrl_c_stops_every_process_and_deletes_every_file(open_tmp_path: Path) -> None:
    running = subprocess.Popen(
        [*SANDBOX, "up"], cwd=ROOT, env=environment(open_tmp_path), stdout=subprocess.PIPE, text=True, bufsize=1
    )
    assert running.stdout is not None
    with running, running.stdout:
        for line in running.stdout:
            if "Ctrl-C stops everything" in line:
                break
        started = processes_in(open_tmp_path)
        running.send_signal(signal.SIGINT)
        assert running.wait(60) == 0
    assert len(started) >= 5, "server, worker, proxy, agencies and bank ran"
    assert not processes_in(open_tmp_path)
    assert not list(open_tmp_path.iterdir())


def processes_in(folder: Path) -> list[int]:
    """Processes whose working directory is below this folder."""
    found = []
    for link in Path("/proc").glob("[0-9]*/cwd"):
        try:
            if link.readlink().is_relative_to(folder):
                found.append(int(link.parent.name))
        except (FileNotFoundError, PermissionError, ProcessLookupError):
            continue
    return found


@pytest.fixture
def open_tmp_path() -> Iterator[Path]:
    """A temporary folder that the database's own user can enter, should root run the tests; pytest's are closed."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)
