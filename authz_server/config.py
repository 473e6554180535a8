"""Settings of the authorization server: read once, typed, every problem listed at the start.

A TOML file named by ``MYDATA_SETTINGS`` (default ``mydata.toml``); each top-level key can be overridden by an
environment variable, ``issuer`` by ``MYDATA_ISSUER``.  docs/deploy.md describes every key for operators.
"""

import os
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


class SettingsError(Exception):
    """The settings can't be used; `problems` lists every reason, a line each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


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
class Settings:
    """What one deployment of the authorization server is told. Files are read when it starts, not here."""

    issuer: str
    database_url: str = field(repr=False)
    keys_file: Path
    secret_file: Path
    proxy_url: str
    bind: str = "127.0.0.1:8000"
    workers: int = 1
    tls_cert: Path | None = None
    tls_key: Path | None = None
    sandbox: bool = False
    method_levels: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({"password_totp": 3}))
    dpop_nonce: bool = False
    allowed_outbound_hosts: tuple[str, ...] = ()
    trusted_hops: int = 0
    log_level: str = "INFO"
    limits: Limits = field(default_factory=Limits)

    @property
    def secure(self) -> bool:
        """Whether citizens reach this server by https (http is for a sandbox on loopback)."""
        return self.issuer.startswith("https://")


def load(path: Path | None = None, environ: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings file and the environment.  Raises: SettingsError, with every problem that was found."""
    path = path or Path(environ.get("MYDATA_SETTINGS", "mydata.toml"))
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SettingsError([f"{path}: there is no such file; MYDATA_SETTINGS names the settings file"]) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise SettingsError([f"{path}: {error}"]) from None
    for name in (item.name for item in fields(Settings)):
        if (value := environ.get(f"MYDATA_{name.upper()}")) is not None:
            document[name] = value
    return parse(document, base=path.parent)


def parse(document: Mapping[str, Any], *, base: Path) -> Settings:
    """Settings from a parsed document; relative paths are relative to `base`.  Raises: SettingsError."""
    problems: list[str] = []
    values: dict[str, Any] = {}
    known = {item.name: item for item in fields(Settings)}
    problems += [f"{name}: is not a setting" for name in document if name not in known]
    for name in known:
        if name not in document:
            continue
        try:
            values[name] = READERS[name](document[name], base)
        except (ValueError, TypeError) as error:
            problems.append(f"{name}: {error}")
    problems += [
        f"{name}: is missing"
        for name in ("issuer", "database_url", "keys_file", "secret_file", "proxy_url")
        if name not in document
    ]
    if not problems:
        settings = Settings(**values)
        problems = contradictions(settings)
        if not problems:
            return settings
    raise SettingsError(problems)


def contradictions(settings: Settings) -> list[str]:
    """Settings that are each well-formed but can't stand together."""
    problems = []
    for name in ("issuer", "proxy_url"):
        url = urlsplit(getattr(settings, name))
        if url.scheme == "http" and not (settings.sandbox and url.hostname in LOOPBACK):
            problems.append(f"{name}: must be https; http is for the sandbox on loopback only")
    if (settings.tls_cert is None) != (settings.tls_key is None):
        problems.append("tls_cert, tls_key: both or neither")
    if not settings.sandbox and settings.method_levels.get("password_totp", 3) < 3:
        problems.append("method_levels: a password with a one-time code is level 3 at best outside the sandbox")
    return problems


Reader = Callable[[Any, Path], Any]


def _url(value: Any, _base: Path) -> str:
    url = urlsplit(_text(value, _base))
    if url.scheme not in {"http", "https"} or not url.hostname or url.query or url.fragment or "@" in url.netloc:
        raise ValueError("must be an http(s) URL with a host and without query, fragment or user information")
    if value.endswith("/"):
        raise ValueError("must not end with a slash: it is compared byte for byte")
    return str(value)


def _text(value: Any, _base: Path) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("must be a text")
    return value


def _path(value: Any, base: Path) -> Path:
    return base / _text(value, base)


def _whole(value: Any, _base: Path) -> int:
    if isinstance(value, bool):
        raise ValueError("must be a whole number")
    number = int(value)
    if number < 0:
        raise ValueError("must not be negative")
    return number


def _boolean(value: Any, _base: Path) -> bool:
    if value in (True, "true", "1"):
        return True
    if value in (False, "false", "0"):
        return False
    raise ValueError("must be true or false")


def _texts(value: Any, base: Path) -> tuple[str, ...]:
    if isinstance(value, str):
        value = value.split()
    return tuple(_text(item, base) for item in value)


def _levels(value: Any, base: Path) -> Mapping[str, int]:
    levels = {name: _whole(level, base) for name, level in dict(value).items()}
    if not all(1 <= level <= 4 for level in levels.values()):
        raise ValueError("a level is 1 (highest) to 4")
    return MappingProxyType(levels)


def _limits(value: Any, base: Path) -> Limits:
    unknown = set(value) - {item.name for item in fields(Limits)}
    if unknown:
        raise ValueError(f"unknown: {', '.join(sorted(unknown))}")
    return Limits(**{name: _whole(number, base) for name, number in value.items()})


def _log_level(value: Any, _base: Path) -> str:
    if value not in {"DEBUG", "INFO", "WARNING", "ERROR"}:
        raise ValueError("must be DEBUG, INFO, WARNING or ERROR")
    return str(value)


READERS: Mapping[str, Reader] = {
    "issuer": _url,
    "database_url": _text,
    "keys_file": _path,
    "secret_file": _path,
    "proxy_url": _url,
    "bind": _text,
    "workers": _whole,
    "tls_cert": _path,
    "tls_key": _path,
    "sandbox": _boolean,
    "method_levels": _levels,
    "dpop_nonce": _boolean,
    "allowed_outbound_hosts": _texts,
    "trusted_hops": _whole,
    "log_level": _log_level,
    "limits": _limits,
}
