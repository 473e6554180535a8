"""All parts of the platform and its neighbours on this machine, wired to each other.

    with Sandbox(db="postgresql") as sandbox:
        sandbox.issuer, sandbox.proxy_url, sandbox.bank_url, sandbox.citizens[0]
        sandbox.restart("proxy"); sandbox.kill("server")

Only the commands and HTTP endpoints of the two servers are used: what works here works for an operator.
"""

import secrets
import signal
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from . import neighbours
from .addresses import FRIENDLY_PORTS, GUIDES_BANK, Addresses
from .before import Before
from .checker import Checker
from .citizens import Citizen, appointments, citizens, minors, staff
from .postgres import PostgresServer
from .processes import Process, inherited, run_commands
from .settings import (
    AGENCIES,
    PLAIN_AGENCY,
    certificate_settings,
    message_settings,
    proxy_settings,
    registry_settings,
    server_settings,
    write_keys,
    write_private,
    write_registrations,
    write_secret,
    write_toml,
)
from .sweeping import Sweeper

DATABASE = "mydata"


class Sandbox(Addresses):
    """One platform on loopback. Starting it takes some seconds; leaving it stops every process and deletes every file.

    Args:
        db: "sqlite" or "postgresql".
        work: folder for everything; None = a temporary one. A named folder is kept; a sandbox that starts there
            again goes on with the people, registrations and addresses of before (with SQLite).
        friendly_ports: 8000 and following if they are free, for people; else whatever is free.
        durable: PostgreSQL with fsync, for measurements.
        canary: a text that the agencies put into every record.
        banks: clients' web sites to start: "bank" is the Python one, "desk" the counter of an office.
        named_clerks: whoever works at the desk has to sign in.
        outside: agencies that somebody else runs, by id, and what the proxy's settings say of them: `url`, `connector`.
            To register them is for `commands`.
        server, proxy, agency: settings and options that replace the sandbox's own.
        say: is told each step.
    Raises: ProcessFailed: a part did not start; the text holds the end of its log.
    """

    def __init__(
        self,
        *,
        db: str = "sqlite",
        work: Path | None = None,
        friendly_ports: bool = False,
        durable: bool = False,
        canary: str = "",
        outside: Mapping[str, Mapping[str, str]] | None = None,
        server: Mapping[str, Any] | None = None,
        proxy: Mapping[str, Any] | None = None,
        agency: Mapping[str, str] | None = None,
        banks: Sequence[str] = ("bank", "node-bank"),
        named_clerks: bool = True,
        say: Callable[[str], None] = lambda _step: None,
    ) -> None:
        self.work = (work or Path(tempfile.mkdtemp(prefix="mydata-sandbox-"))).resolve()
        self.say = say
        self.citizens: tuple[Citizen, ...] = citizens()
        self.minors: tuple[Citizen, ...] = minors()
        self.staff: tuple[Citizen, ...] = staff() if "desk" in banks and named_clerks else ()
        self.processes: dict[str, Process] = {}
        self._banks = banks
        self._canary = canary
        self._changes = {"server": dict(server or {}), "proxy": dict(proxy or {}), "agency": dict(agency or {})}
        self.postgres = PostgresServer(durable=durable) if db == "postgresql" else None
        self._outside = dict(outside or {})
        self._before = Before(self.work)
        super().__init__(self._before.ports or (FRIENDLY_PORTS if friendly_ports else None))
        if friendly_ports and not self._before.ports and self.binds != FRIENDLY_PORTS:
            say(f"of the ports {', '.join(map(str, FRIENDLY_PORTS.values()))} one is taken: all are others this time")
        self.checker = Checker(self.issuer)
        self._sweeper = None if work else Sweeper(self.work)

    @property
    def database_url(self) -> str:
        """SQLAlchemy URL of the authorization server's database."""
        if self.postgres is not None:
            return self.postgres.url(DATABASE)
        return f"sqlite:///{self.work / 'server' / 'mydata.sqlite3'}"

    def start(self) -> Self:
        """Make keys and settings, create the database, register everybody, start every process and wait for them."""
        try:
            for step in (
                self._make_folders,
                self._start_database,
                self._make_settings,
                self._start_neighbours,
                self._register,
                self._start_platform,
            ):
                step()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Stop all processes, the last started first, and delete what was made, unless the folder was named."""
        self.halt()
        if self.postgres is not None:
            self.postgres.stop()
        if self._sweeper is not None:
            self._sweeper.sweep()

    def halt(self) -> None:
        """Stop all processes but the database; what they left can be looked at."""
        for process in reversed(self.processes.values()):
            process.stop()

    def restart(self, name: str) -> None:
        """Stop (if it runs) and start one process; returns when it serves again."""
        process = self.processes[name]
        process.stop()
        process.start()
        process.wait_until_healthy()

    def resume(self) -> None:
        """Start what was stopped or killed; returns when it serves again.

        Raises: ProcessFailed, also if one has ended by itself.
        """
        self._launch(*[process for process in self.processes.values() if not process.check()])

    def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal to one process and its children, and wait for its end."""
        self.processes[name].kill(number)

    def commands(self, *commands: Sequence[str | Path]) -> str:
        """Run commands of `mydata`, one after the other; return what they printed.  Raises: ProcessFailed."""
        return run_commands(commands, folder=self.work / "server", environment=self.environment)

    @property
    def mydata(self) -> Path:
        """The command of the platform, in the environment that this runs in."""
        return Path(sys.executable).with_name("mydata")

    @property
    def environment(self) -> dict[str, str]:
        """What every process gets."""
        return inherited() | {
            "MYDATA_SETTINGS": str(self.work / "server" / "mydata.toml"),
            "MYDATA_PROXY_SETTINGS": str(self.work / "proxy" / "mydata-proxy.toml"),
            "TMPDIR": str(self.work / "tmp"),
            "PYTHONUNBUFFERED": "1",
        }

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def _place(self, name: str) -> tuple[Path, str, str]:
        """Where a neighbour keeps its things, whose neighbour it is, and where it listens."""
        return self.work / name, self.issuer, self._bind(name)

    @property
    def _sms_token(self) -> Path:
        return self.work / "mailbox" / "sms-token"

    @property
    def _known(self) -> frozenset[str]:
        """Who is registered from before. A PostgreSQL server of ours begins with nobody."""
        return self._before.people if self.postgres is None else frozenset()

    def _make_folders(self) -> None:
        self._before.begin(self.binds)
        for name in (*FRIENDLY_PORTS, "checker", "logs", "tmp"):
            (self.work / name).mkdir(parents=True, exist_ok=True)

    def _start_database(self) -> None:
        if self.postgres is not None:
            self.say("starting a PostgreSQL server of our own")
            self.postgres.start()
            with self.postgres.connect() as connection:
                connection.execute(f"CREATE DATABASE {DATABASE}")

    def _make_settings(self) -> None:
        self.say(f"making keys and settings in {self.work}")
        if not self._before.people:
            for left in (self.work / "server").glob(f"{DATABASE}.sqlite3*"):
                left.unlink()
            # Its address stands in every certificate that it has issued.
            for left in (self.work / "ca").rglob("*.*"):
                left.unlink()
            write_keys(self.work / "server" / "keys.json", "sig")
            write_secret(self.work / "server" / "secret")
        server = server_settings(self.issuer, self.proxy_url, bind=self._bind("server"), database_url=self.database_url)
        write_private(self._sms_token, secrets.token_urlsafe().encode())
        server |= message_settings(self._bind("smtp"), self.mailbox_url, self._sms_token)
        server |= certificate_settings(self.work / "ca")
        # Elsewhere these are https, and public.
        server["allowed_outbound_hosts"] = [
            *(self._bind(name) for name in ("ca", "bank", "agency")),
            GUIDES_BANK,
            *(urlsplit(agency["url"]).netloc for agency in self._outside.values()),
        ]
        server["registries"] = registry_settings(self.registry_url, self.work / "registry")
        write_toml(self.work / "server" / "mydata.toml", server | self._changes["server"])
        api_key_file = self.work / "agency" / PLAIN_AGENCY / "api-key"
        proxy = proxy_settings(self.issuer, self.proxy_url, agency_url=self.agency_url, api_key_file=api_key_file)
        proxy["agencies"] |= self._outside
        write_toml(self.work / "proxy" / "mydata-proxy.toml", proxy | self._changes["proxy"])

    def _start_neighbours(self) -> None:
        self.say(f"starting agencies, registry, authority, mailbox and {len(self._banks)} clients; they make keys")
        commands = {
            "mailbox": neighbours.mailbox(self._sms_token, self._bind("smtp"), self._bind("mailbox")),
            "agency": neighbours.agency(*self._place("agency"), canary=self._canary, options=self._changes["agency"]),
            "ca": neighbours.authority(self.work / "ca", self._bind("ca")),
            "registry": neighbours.registry(*self._place("registry")),
        }
        banks = {name: neighbours.bank(name, *self._place(name), named=bool(self.staff)) for name in self._banks}
        self._launch(
            *(self._process(name, name, command, f"{self._url(name)}/health") for name, command in commands.items()),
            *(self._process(name, name, command, self._url(name)) for name, command in banks.items()),
        )

    def _register(self) -> None:
        self.say("creating the tables; registering five agencies, the proxy, the clients and all synthetic people")
        write_registrations(self.work, self.checker.registration())
        agencies = [self.work / "agency" / name / "agency.toml" for name in AGENCIES]
        clients = [self.work / name / "client.toml" for name in ("proxy", "checker", *self._banks)]
        people = (*self.citizens, *self.minors, *self.staff)
        new = [one for one in people if one.username not in self._known]
        certificates = {one.username: one.take_card(self.work / "ca") for one in (*self.citizens, *self.minors)}
        self.commands(
            ["migrate"],
            *(("agency", "add", "--replace", file) for file in agencies),
            *(("client", "add", "--replace", file) for file in clients),
            *(("citizen", "add", one.username, *one.options()) for one in new),
            *(appointments(self.staff) if any(one in new for one in self.staff) else ()),
            *(("citizen", "add-certificate", *has) for has in certificates.items() if has[0] not in self._known),
        )
        if self.postgres is None:
            self._before.keep(self.binds, [one.username for one in people])

    def _start_platform(self) -> None:
        self.say("starting authorization server, worker and proxy")
        self._launch(
            self._process("server", "server", [self.mydata, "serve"], f"{self.issuer}/health"),
            self._process("worker", "server", [self.mydata, "worker"], None),
            self._process("proxy", "proxy", [self.mydata, "proxy"], f"{self.proxy_url}/health"),
        )

    def _launch(self, *processes: Process) -> None:
        for process in processes:
            self.processes[process.name] = process
            process.start()
        for process in processes:
            process.wait_until_healthy()

    def _process(self, name: str, folder: str, command: Sequence[str | Path], health_url: str | None) -> Process:
        return Process(
            name=name,
            command=command,
            folder=self.work / folder,
            log_file=self.work / "logs" / f"{name}.log",
            environment=self.environment,
            health_url=health_url,
        )
