"""Settings of the servers that identity methods rely on: registries that are asked."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from authz_server.core import settings

ASKING = frozenset({"health_card", "two_documents"})  # identity methods that ask a registry


@dataclass(frozen=True, kw_only=True)
class RegistrySettings:
    """Whom an identity method asks: the table `[registries.<method>]`."""

    id: str  # its name, for which questions are made and from which answers come
    url: str
    jwks_file: Path  # its public keys: one for signatures, one for encryption
    timeout_s: int = 5  # for everything together
    max_concurrent: int = 4  # questions at once, per process


def registries(value: Any, base: Path) -> Mapping[str, RegistrySettings]:
    """The reader of `registries`.  Raises: ValueError, TypeError."""
    named = dict(value)
    problems = [f"{name} is not a method that asks a registry" for name in named if name not in ASKING]
    tables = {
        name: settings.read_table(RegistrySettings, table, REGISTRY_READERS, problems, base=base, at=f"{name}.")
        for name, table in named.items()
    }
    if problems:
        raise ValueError("; ".join(problems))
    return MappingProxyType({name: RegistrySettings(**table) for name, table in tables.items()})


REGISTRY_READERS: Mapping[str, settings.Reader] = {
    "id": settings.text,
    "url": settings.url,
    "jwks_file": settings.path,
    "timeout_s": settings.count,
    "max_concurrent": settings.count,
}
