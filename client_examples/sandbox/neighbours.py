"""How the programs beside the platform are started: what an outsider would type."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from .nodejs import NODE_BANK, node
from .settings import REGISTRY_ID

Command = Sequence[str | Path]


def agency(folder: Path, issuer: str, bind: str, *, canary: str, options: Mapping[str, str]) -> Command:
    """The program that plays all agencies."""
    more = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
    return [*_module("demo_agency", folder, issuer, bind), "--canary", canary, "--admin", "1", *more]


def registry(folder: Path, issuer: str, bind: str) -> Command:
    """The registry that knows people's cards and documents."""
    return [*_module("registry", folder, issuer, bind), "--id", REGISTRY_ID]


def authority(folder: Path, bind: str) -> Command:
    """The authority that issues citizens' cards and says which are revoked."""
    return [sys.executable, "-m", "client_examples.demo_ca", "--folder", folder, "serve", "--bind", bind]


def mailbox(token_file: Path, smtp: str, bind: str) -> Command:
    """The mailbox and the telephone of all citizens."""
    return [sys.executable, "-m", "client_examples.mailbox", "--smtp", smtp, "--bind", bind, "--token-file", token_file]


def bank(name: str, folder: Path, issuer: str, bind: str, *, named: bool = True) -> Command:
    """A client's web site: "node-bank", "desk" (an office's counter), or the Python bank."""
    if name == "node-bank":
        return [node(), NODE_BANK, "--folder", folder, "--issuer", issuer, "--bind", bind]
    if name == "desk":
        return [*_module("counter_desk", folder, issuer, bind), *([] if named else ["--unnamed"])]
    return _module("bank_web", folder, issuer, bind)


def _module(name: str, folder: Path, issuer: str, bind: str) -> list[str | Path]:
    return [sys.executable, "-m", f"client_examples.{name}", "--folder", folder, "--issuer", issuer, "--bind", bind]
