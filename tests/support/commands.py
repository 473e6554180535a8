"""The operator's commands, run with the settings of a test's own server."""

import multiprocessing
import os
import signal
import sys
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from tempfile import NamedTemporaryFile

from authz_server.config import Settings
from authz_server.start import main

LIMIT_S = 60
# To start Python and load everything takes longer than all that most processes of tests do: that is done once, in one
# from which the others are forked.
LOADED = multiprocessing.get_context("forkserver")
LOADED.set_forkserver_preload(["authz_server.server"])


def settings_file(settings: Settings, folder: Path) -> Path:
    """Write a file for MYDATA_SETTINGS that leads to the same database; its path."""
    path = folder / "mydata.toml"
    path.write_text(
        f'issuer = "{settings.issuer}"\nproxy_url = "{settings.proxy_url}"\n'
        f'database_url = "{settings.database_url}"\nkeys_file = "keys.json"\nsecret_file = "secret"\n'
    )
    return path


def started(*arguments: str, errors: str | None = None, limit_s: int = 0, **environment: str) -> ForkServerProcess:
    """A command in a process of its own.

    Args: errors: the file for its standard error, by default ours; limit_s: whole seconds until it is ended, 0 for no
    limit; environment: what it finds beside our own.
    """
    process = LOADED.Process(target=_become, args=(arguments, os.environ | environment, errors, limit_s))
    process.start()
    return process


def refused(*arguments: str, **environment: str) -> str:
    """What a command that can't do its work says on its standard error.

    Args: environment: what it finds beside our own.  Raises: AssertionError if it ends otherwise than by 2.
    """
    with NamedTemporaryFile(encoding="utf-8", mode="r") as errors:
        process = started(*arguments, errors=errors.name, limit_s=LIMIT_S, **environment)
        process.join()
        told = errors.read()
    assert process.exitcode == 2, told
    return told


def _become(arguments: tuple[str, ...], environment: dict[str, str], errors: str | None, limit_s: int) -> None:
    signal.alarm(limit_s)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    if errors is not None:
        os.dup2(os.open(errors, os.O_WRONLY), 2)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv[1:] = arguments
    main()
