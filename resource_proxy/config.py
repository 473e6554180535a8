"""Settings of the proxy: read once, typed, every problem listed at the start.

A TOML file named by ``MYDATA_PROXY_SETTINGS`` (default ``mydata-proxy.toml``); each top-level key but ``agencies`` can
be overridden by an environment variable, ``url`` by ``MYDATA_PROXY_URL``.  Relative paths are relative to the file.
"""

import os
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
NONCE_SECRET_BYTES = 32


class SettingsError(Exception):
    """The settings can't be used; `problems` lists every reason, a line each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass(frozen=True, kw_only=True)
class AgencySettings:
    """How one agency is reached: the table ``[agencies.<id>]``."""

    url: str
    connector: str  # a name in connectors.REGISTRY
    max_concurrent: int = 16  # fetches at once, so that one slow agency can't take every thread
    api_key_file: Path | None = None  # plain: what the agency knows us by
    keys_file: Path | None = None  # plain: private JWKS of the agency's enc and sig keys; default: the proxy's own


@dataclass(frozen=True, kw_only=True)
class ProxySettings:
    """What one proxy is told. Files are read when it starts, not here."""

    url: str  # public base URL: what `htu` and the resource indicator are made of
    issuer: str
    client_id: str
    keys_file: Path
    bind: str = "127.0.0.1:8001"
    workers: int = 1
    threads: int = 32  # per worker; each holds one fetch, and most of its time waits for an agency
    tls_cert: Path | None = None
    tls_key: Path | None = None
    ca_file: Path | None = None  # trusted for outgoing TLS, beside the system's authorities
    sandbox: bool = False
    nonce_secret_file: Path | None = None  # if set, every proof needs our nonce (RFC 9449 section 9)
    connect_timeout_s: int = 15
    read_timeout_s: int = 60
    answer_timeout_s: int = 100  # until an answer begins in earnest; less than the lease, else it can't be reported
    transfer_timeout_s: int = 600  # from then on until its last byte
    breaker_failures: int = 5
    breaker_cool_down_s: int = 30
    log_level: str = "INFO"
    agencies: Mapping[str, AgencySettings] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def secure(self) -> bool:
        """Whether clients reach this proxy by https (http is for a sandbox on loopback)."""
        return self.url.startswith("https://")


def load(path: Path | None = None, environ: Mapping[str, str] = os.environ) -> ProxySettings:
    """Read the settings file and the environment.  Raises: SettingsError, with every problem that was found."""
    path = path or Path(environ.get("MYDATA_PROXY_SETTINGS", "mydata-proxy.toml"))
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SettingsError([f"{path}: there is no such file; MYDATA_PROXY_SETTINGS names the settings file"]) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise SettingsError([f"{path}: {error}"]) from None
    for item in fields(ProxySettings):
        if item.name != "agencies" and (value := environ.get(f"MYDATA_PROXY_{item.name.upper()}")) is not None:
            document[item.name] = value
    return parse(document, base=path.parent)


def parse(document: Mapping[str, Any], *, base: Path) -> ProxySettings:
    """Settings from a parsed document; relative paths are relative to `base`.  Raises: SettingsError."""
    agencies = document.get("agencies", {})
    problems: list[str] = []
    values = _read(ProxySettings, {k: v for k, v in document.items() if k != "agencies"}, base, "", problems)
    if not isinstance(agencies, Mapping) or not all(isinstance(table, Mapping) for table in agencies.values()):
        problems.append("agencies: must be tables, [agencies.<id>]")
        agencies = {}
    tables = {
        name: _read(AgencySettings, table, base, f"agencies.{name}.", problems) for name, table in agencies.items()
    }
    if problems:
        raise SettingsError(problems)
    parsed = {name: AgencySettings(**table) for name, table in tables.items()}
    settings = ProxySettings(**values, agencies=MappingProxyType(parsed))
    if problems := contradictions(settings):
        raise SettingsError(problems)
    return settings


def contradictions(settings: ProxySettings) -> list[str]:
    """Settings that are each well-formed but can't stand together."""
    urls = {"url": settings.url, "issuer": settings.issuer}
    urls |= {f"agencies.{name}.url": agency.url for name, agency in settings.agencies.items()}
    problems = [
        f"{name}: must be https; http is for the sandbox on loopback only"
        for name, url in urls.items()
        if not url.startswith("https://") and not (settings.sandbox and urlsplit(url).hostname in LOOPBACK)
    ]
    if urlsplit(settings.url).path:
        # RFC 9728 section 3.1 would put the metadata of a resource with a path elsewhere.
        problems.append("url: must be an origin, without a path")
    if (settings.tls_cert is None) != (settings.tls_key is None):
        problems.append("tls_cert, tls_key: both or neither")
    if settings.nonce_secret_file and not settings.nonce_secret_file.is_file():
        problems.append(f"nonce_secret_file: there is no file {settings.nonce_secret_file}")
    for name, agency in settings.agencies.items():
        if agency.connector == "plain" and agency.api_key_file is None:
            problems.append(f"agencies.{name}.api_key_file: is missing; the plain connector needs it")
    return problems


def _read(kind: type, document: Mapping[str, Any], base: Path, prefix: str, problems: list[str]) -> dict[str, Any]:
    """The values of a settings class from its table; what is wrong is added to `problems`."""
    known = {item.name: item for item in fields(kind) if item.name != "agencies"}
    problems += [f"{prefix}{name}: is not a setting" for name in document if name not in known]
    values: dict[str, Any] = {}
    for name, item in known.items():
        if name not in document:
            if item.default is MISSING:
                problems.append(f"{prefix}{name}: is missing")
            continue
        try:
            values[name] = READERS[name](document[name], base)
        except (ValueError, TypeError) as error:
            problems.append(f"{prefix}{name}: {error}")
    return values


Reader = Callable[[Any, Path], Any]


def _text(value: Any, _base: Path) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("must be a text")
    return value


def _url(value: Any, base: Path) -> str:
    url = urlsplit(_text(value, base))
    if url.scheme not in {"http", "https"} or not url.hostname or url.query or url.fragment or "@" in url.netloc:
        raise ValueError("must be an http(s) URL with a host and without query, fragment or user information")
    if value.endswith("/"):
        raise ValueError("must not end with a slash: it is compared byte for byte")
    return str(value)


def _path(value: Any, base: Path) -> Path:
    return base / _text(value, base)


def _count(value: Any, _base: Path) -> int:
    number = 0 if isinstance(value, bool) else int(value)
    if number < 1:
        raise ValueError("must be a whole number, 1 or more")
    return number


def _boolean(value: Any, _base: Path) -> bool:
    if value in (True, "true", "1"):
        return True
    if value in (False, "false", "0"):
        return False
    raise ValueError("must be true or false")


def _bind(value: Any, base: Path) -> str:
    host, _, port = _text(value, base).rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise ValueError("must be host:port")
    return str(value)


def _log_level(value: Any, _base: Path) -> str:
    if value not in {"DEBUG", "INFO", "WARNING", "ERROR"}:
        raise ValueError("must be DEBUG, INFO, WARNING or ERROR")
    return str(value)


READERS: Mapping[str, Reader] = {
    "url": _url,
    "issuer": _url,
    "client_id": _text,
    "keys_file": _path,
    "bind": _bind,
    "workers": _count,
    "threads": _count,
    "tls_cert": _path,
    "tls_key": _path,
    "ca_file": _path,
    "sandbox": _boolean,
    "nonce_secret_file": _path,
    "connect_timeout_s": _count,
    "read_timeout_s": _count,
    "answer_timeout_s": _count,
    "transfer_timeout_s": _count,
    "breaker_failures": _count,
    "breaker_cool_down_s": _count,
    "log_level": _log_level,
    "connector": _text,
    "max_concurrent": _count,
    "api_key_file": _path,
}
