"""The scenes: what `make journey SCENE=<name>` drives. Each module here is one, and its first line says what it shows.

A scene is a function `drive(sandbox, canary, say) -> str`: it drives the sandbox, which was started with that canary in
every record and with the web sites of the module's CLIENTS, if it names any; says each step, and returns in one line
what it verified; it raises PromiseBroken where something is not as it has to be.
"""

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pkgutil import iter_modules
from typing import cast

from ..promises import Say
from ..sandbox import Sandbox

Drive = Callable[[Sandbox, str, Say], str]


def scenes() -> Mapping[str, str]:
    """Every scene, by name, with its first line."""
    names = sorted(module.name for module in iter_modules(__path__))
    return {name: (import_module(f"{__name__}.{name}").__doc__ or "").partition("\n")[0] for name in names}


def drive_of(name: str) -> Drive:
    """How a scene is driven; `name` is one of `scenes()`."""
    return cast(Drive, import_module(f"{__name__}.{name}").drive)


def clients_of(name: str) -> Sequence[str]:
    """Which clients' web sites a scene needs."""
    needed: Sequence[str] = getattr(import_module(f"{__name__}.{name}"), "CLIENTS", ())
    return needed
