"""What is installed is all that runs, and nothing else: also where only the package is, and not this folder."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

from tests.support.tree import ROOT, tracked_files

INSTALLED = {"authz_server", "migrations", "resource_proxy"}
FOR_DEVELOPERS = {"script.py.mako", "stylesheet"}  # what other files are made of
BUILD = "import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])"
USE = """
import sys
from pathlib import Path
from authz_server import schema
from authz_server.cli import main
here = Path(sys.argv.pop(1))
assert Path(schema.__file__).is_relative_to(here), schema.__file__
schema.migrate(f"sqlite:///{here}/database")
schema.check(f"sqlite:///{here}/database")
main()
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `pip install .` puts into an environment."""
    source, wheel, installed = (tmp_path_factory.mktemp(name) for name in ("source", "wheel", "installed"))
    for path in tracked_files():
        (source / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path, source / path)
    subprocess.run([sys.executable, "-c", BUILD, wheel], cwd=source, capture_output=True, check=True)
    (file,) = wheel.iterdir()
    with ZipFile(file) as archive:
        archive.extractall(installed)
    return installed


def test_every_file_that_the_servers_read_is_installed_with_them_and_no_other_program(installed: Path) -> None:
    there = {path.relative_to(installed) for path in installed.rglob("*") if path.is_file()}
    (about,) = installed.glob("*.dist-info")
    expected = {path for path in tracked_files() if path.parts[0] in INSTALLED and not FOR_DEVELOPERS & set(path.parts)}
    assert expected - there == set()
    assert {path for path in there if path.parts[0] not in {*INSTALLED, about.name}} == set()


def test_the_command_works_where_nothing_else_is(installed: Path, tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(installed)}
    command = [sys.executable, "-c", USE, str(installed), "catalogue", "check"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (done.returncode, "5 agencies" in done.stdout) == (0, True), done.stderr
