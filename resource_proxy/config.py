"""Settings of the proxy: read once, typed, every problem listed at the start.

A TOML file named by ``MYDATA_PROXY_SETTINGS`` (default ``mydata-proxy.toml``); each top-level key but ``agencies`` can
be overridden by an environment variable, ``url`` by ``MYDATA_PROXY_URL``.  Relative paths are relative to the file.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from authz_server.core import settings

NONCE_SECRET_BYTES = 32


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
    queue: int = 32  # per worker: requests that wait for their turn; one more is told to come back
    tls_cert: Path | None = None
    tls_key: Path | None = None
    browser_origin: str | None = None  # of the pages that may fetch with a script; default: the issuer's
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
    def allowed_origin(self) -> str:
        """The one origin whose scripts may read what is fetched here."""
        return settings.origin_of(self.browser_origin or self.issuer)

    @property
    def secure(self) -> bool:
        """Whether clients reach this proxy by https (http is for a sandbox on loopback)."""
        return self.url.startswith("https://")


def load(path: Path | None = None, environ: Mapping[str, str] = os.environ) -> ProxySettings:
    """Read the settings file and the environment.  Raises: SettingsError, with every problem that was found."""
    path = path or Path(environ.get("MYDATA_PROXY_SETTINGS", "mydata-proxy.toml"))
    return parse(
        settings.read_file(path, environ, prefix="MYDATA_PROXY_", names=READERS.keys() - {"agencies"}), base=path.parent
    )


def parse(document: Mapping[str, Any], *, base: Path) -> ProxySettings:
    """Settings from a parsed document; relative paths are relative to `base`.  Raises: SettingsError."""
    return settings.whole_document(ProxySettings, document, READERS, contradictions, base=base)


def contradictions(parsed: ProxySettings) -> list[str]:
    """Settings that are each well-formed but can't stand together."""
    urls = {"url": parsed.url, "issuer": parsed.issuer}
    if parsed.browser_origin:
        urls["browser_origin"] = parsed.browser_origin
    urls |= {f"agencies.{name}.url": agency.url for name, agency in parsed.agencies.items()}
    problems = settings.insecure(urls, sandbox=parsed.sandbox)
    if (parsed.tls_cert is None) != (parsed.tls_key is None):
        problems.append("tls_cert, tls_key: both or neither")
    if parsed.nonce_secret_file and not parsed.nonce_secret_file.is_file():
        problems.append(f"nonce_secret_file: there is no file {parsed.nonce_secret_file}")
    for name, agency in parsed.agencies.items():
        if agency.connector == "plain" and agency.api_key_file is None:
            problems.append(f"agencies.{name}.api_key_file: is missing; the plain connector needs it")
    return problems


def _agencies(value: Any, base: Path) -> Mapping[str, AgencySettings]:
    return MappingProxyType(settings.inner_tables(AgencySettings, value, AGENCY_READERS, base=base))


READERS: Mapping[str, settings.Reader] = {
    "url": settings.origin,  # RFC 9728 section 3.1 would put the metadata of a resource with a path elsewhere
    "issuer": settings.origin,
    "client_id": settings.text,
    "keys_file": settings.path,
    "bind": settings.bind,
    "workers": settings.count,
    "threads": settings.count,
    "queue": settings.count,
    "tls_cert": settings.path,
    "tls_key": settings.path,
    "browser_origin": settings.origin,
    "ca_file": settings.path,
    "sandbox": settings.boolean,
    "nonce_secret_file": settings.path,
    "connect_timeout_s": settings.timeout,
    "read_timeout_s": settings.timeout,
    "answer_timeout_s": settings.timeout,
    "transfer_timeout_s": settings.timeout,
    "breaker_failures": settings.count,
    "breaker_cool_down_s": settings.timeout,
    "log_level": settings.log_level,
    "agencies": _agencies,
}
AGENCY_READERS: Mapping[str, settings.Reader] = {
    "url": settings.url,
    "connector": settings.text,
    "max_concurrent": settings.count,
    "api_key_file": settings.path,
    "keys_file": settings.path,
}
