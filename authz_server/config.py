"""Settings of the authorization server: read once, typed, every problem listed at the start.

A TOML file named by ``MYDATA_SETTINGS`` (default ``mydata.toml``); each top-level key can be overridden by an
environment variable, ``issuer`` by ``MYDATA_ISSUER``.  docs/deploy.md describes every key for operators.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any

from authz_server.core import settings
from authz_server.core.settings import SettingsError

ASKING = frozenset({"health_card", "two_documents"})  # identity methods that ask a registry


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Times in seconds, and counts. The defaults are those of the platform this server is modelled on."""

    request_uri_ttl_s: int = 90
    transaction_ttl_s: int = 1200
    code_ttl_s: int = 60
    access_token_ttl_s: int = 600
    dataset_token_ttl_s: int = 600
    lease_s: int = 120
    transfer_s: int = 900
    session_idle_s: int = 1200
    session_max_s: int = 28800
    max_attempts: int = 3
    sign_in_failures: int = 5
    sign_in_window_s: int = 900
    sign_in_lock_s: int = 900
    record_days: int = 730


@dataclass(frozen=True, kw_only=True)
class RegistrySettings:
    """Whom an identity method asks: the table `[registries.<method>]`."""

    id: str  # its name, for which questions are made and from which answers come
    url: str
    jwks_file: Path  # its public keys: one for signatures, one for encryption
    timeout_s: int = 5  # for everything together
    max_concurrent: int = 4  # questions at once, per process


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What one deployment of the authorization server is told. Files are read when it starts, not here."""

    issuer: str
    database_url: str = field(repr=False)
    keys_file: Path
    secret_file: Path
    proxy_url: str
    bind: str = "127.0.0.1:8000"
    workers: int = 1
    queue: int = 32  # per worker: requests that wait for their turn; one more is told to come back
    tls_cert: Path | None = None
    tls_key: Path | None = None
    sandbox: bool = False
    method_levels: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({"password_totp": 3}))
    dpop_nonce: bool = False
    allowed_outbound_hosts: tuple[str, ...] = ()
    trusted_hops: int = 0
    log_level: str = "INFO"
    registries: Mapping[str, RegistrySettings] = field(default_factory=lambda: MappingProxyType({}))
    limits: Limits = field(default_factory=Limits)

    @property
    def secure(self) -> bool:
        """Whether citizens reach this server by https (http is for a sandbox on loopback)."""
        return self.issuer.startswith("https://")


def load(path: Path | None = None, environ: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings file and the environment.  Raises: SettingsError, with every problem that was found."""
    path = path or Path(environ.get("MYDATA_SETTINGS", "mydata.toml"))
    return parse(settings.read_file(path, environ, prefix="MYDATA_", names=READERS), base=path.parent)


def parse(document: Mapping[str, Any], *, base: Path) -> Settings:
    """Settings from a parsed document; relative paths are relative to `base`.  Raises: SettingsError."""
    problems: list[str] = []
    values = settings.read_table(Settings, document, READERS, problems, base=base)
    if not problems:
        parsed = Settings(**values)
        problems = contradictions(parsed)
        if not problems:
            return parsed
    raise SettingsError(problems)


def contradictions(parsed: Settings) -> list[str]:
    """Settings that are each well-formed but can't stand together."""
    urls = {"issuer": parsed.issuer, "proxy_url": parsed.proxy_url}
    urls |= {f"registries.{name}.url": registry.url for name, registry in parsed.registries.items()}
    told = {name: settings.insecure(url, sandbox=parsed.sandbox) for name, url in urls.items()}
    problems = [f"{name}: {problem}" for name, problem in told.items() if problem]
    if (parsed.tls_cert is None) != (parsed.tls_key is None):
        problems.append("tls_cert, tls_key: both or neither")
    if not parsed.sandbox and parsed.method_levels.get("password_totp", 3) < 3:
        problems.append("method_levels: a password with a one-time code is level 3 at best outside the sandbox")
    return problems


def _levels(value: Any, base: Path) -> Mapping[str, int]:
    levels = {name: settings.whole(level, base) for name, level in dict(value).items()}
    if not all(1 <= level <= 4 for level in levels.values()):
        raise ValueError("a level is 1 (highest) to 4")
    return MappingProxyType(levels)


def _limits(value: Any, base: Path) -> Limits:
    unknown = set(value) - {item.name for item in fields(Limits)}
    if unknown:
        raise ValueError(f"unknown: {', '.join(sorted(unknown))}")
    return Limits(**{name: settings.whole(number, base) for name, number in value.items()})


def _registries(value: Any, base: Path) -> Mapping[str, RegistrySettings]:
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
READERS: Mapping[str, settings.Reader] = {
    "issuer": settings.url,
    "database_url": settings.text,
    "keys_file": settings.path,
    "secret_file": settings.path,
    "proxy_url": settings.url,
    "bind": settings.bind,
    "workers": settings.count,
    "queue": settings.count,
    "tls_cert": settings.path,
    "tls_key": settings.path,
    "sandbox": settings.boolean,
    "method_levels": _levels,
    "dpop_nonce": settings.boolean,
    "allowed_outbound_hosts": settings.texts,
    "trusted_hops": settings.whole,
    "log_level": settings.log_level,
    "registries": _registries,
    "limits": _limits,
}
