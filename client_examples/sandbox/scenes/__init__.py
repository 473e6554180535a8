"""The scenes that `make journey SCENE="<name> ..."` drives. Each module is one, and its first line says what it shows.

A scene is a function `drive(sandbox, canary, say) -> str`: it drives the sandbox, which was started with that canary in
every record and with the web sites of the modules' CLIENTS, if they name any; says each step, and returns in one line
what it verified; it raises PromiseBroken where something is not as it has to be.

One sandbox is driven through several scenes, each once, in any order. So a scene tells its own letters and entries of
the record from those of others, by a reference number or its citizen, and asks the slow agency for what nobody else has
it prepare; it leaves settings, accounts and clients as it found them, but for the staff of the office, which is the
counter's alone. Whatever it has stopped or killed runs again when the next begins. A one-time code is good once in half
a minute: who signs in by password should be somebody of whom few others use any.
"""

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pkgutil import iter_modules
from typing import cast

from ..promises import Say
from ..sandbox import Sandbox

Drive = Callable[[Sandbox, str, Say], str]
LAST = "receipt"  # it stops every process: whatever comes next has to start them again


def scenes() -> Mapping[str, str]:
    """Every scene, by name, with its first line; in an order in which least has to be started again."""
    names = sorted((module.name for module in iter_modules(__path__)), key=lambda name: (name == LAST, name))
    return {name: (import_module(f"{__name__}.{name}").__doc__ or "").partition("\n")[0] for name in names}


def drive_of(name: str) -> Drive:
    """How a scene is driven; `name` is one of `scenes()`."""
    return cast(Drive, import_module(f"{__name__}.{name}").drive)


def clients_of(names: Sequence[str]) -> Sequence[str]:
    """Which clients' web sites these scenes need, each once."""
    needed = (getattr(import_module(f"{__name__}.{name}"), "CLIENTS", ()) for name in names)
    return tuple(dict.fromkeys(client for clients in needed for client in clients))
