"""Settings of the authorization server: read once, typed, every problem listed at the start.

A TOML file named by ``MYDATA_SETTINGS`` (default ``mydata.toml``); each top-level key can be overridden by an
environment variable, ``issuer`` by ``MYDATA_ISSUER``.  docs/deploy.md describes every key for operators.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from email.utils import parseaddr
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from authz_server import certificate_settings, neighbours
from authz_server.certificate_settings import CertificateSettings
from authz_server.core import settings
from authz_server.core.identifiers import HIGHEST_LEVEL, MEMBER_AREA
from authz_server.core.outbound_mail import TLS_MODES, Tls
from authz_server.neighbours import AuthoritySettings, RegistrySettings, UpstreamSettings

DATABASES = frozenset({"sqlite", "sqlite+pysqlite", "postgresql+psycopg"})
SENDER = re.compile(r"[!#-;=?A-~]+@[0-9A-Za-z.-]+")
LEAST_RECORD_DAYS = 365
FAPI = "FAPI 2.0 security profile section 5.3.2.1"
# What each identity method may be worth at best, whatever the settings say; 5 opens the member area only.
BEST_LEVELS: Mapping[str, int] = MappingProxyType(
    {
        "certificate": 1,
        "passkey": 2,
        "password_totp": 3,
        "health_card": 3,
        "two_documents": 4,
        "upstream": 1,  # the level of each sign-in is what its provider's `acr` maps to, at most
        "email_code": MEMBER_AREA,
    }
)


def _limit(default: int, least: int = 1, most: int = settings.DAY_S, why: str = "") -> Any:
    """A limit, and the bounds within which the settings may set it: its `reader`."""
    return field(default=default, metadata={"reader": settings.number(least, most, why)})


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Times in seconds, at most a day, and counts. The defaults are those of the platform this server is modelled on.

    0 is allowed where it means something: none, never, off.
    """

    request_uri_ttl_s: int = _limit(90, most=599, why=FAPI)
    transaction_ttl_s: int = _limit(1200)
    code_ttl_s: int = _limit(60, most=60, why=FAPI)
    access_token_ttl_s: int = _limit(600)
    dataset_token_ttl_s: int = _limit(600)
    lease_s: int = _limit(120)
    visit_ttl_s: int = _limit(28800)  # for a counter: of a consent,
    barcode_ttl_s: int = _limit(1200)  # of each barcode that is shown for it,
    visit_code_ttl_s: int = _limit(120)  # of the one-time code that goes with it; until then there is no other
    invitation_ttl_s: int = _limit(3600)  # to go there for somebody: how long it can be opened
    transfer_s: int = _limit(900)
    session_idle_s: int = _limit(1200)
    session_max_s: int = _limit(28800)
    max_attempts: int = _limit(3, most=100)
    sign_in_failures: int = _limit(5, most=100)
    sign_in_window_s: int = _limit(900)
    sign_in_lock_s: int = _limit(900)
    contact_code_ttl_s: int = _limit(1800)
    contact_code_tries: int = _limit(5, most=100)
    contact_codes_per_day: int = _limit(5, most=100)
    email_code_ttl_s: int = _limit(600)
    email_code_pause_s: int = _limit(60, least=0)
    email_codes_per_day: int = _limit(5, most=100)
    knowledge_account_day: int = _limit(10, most=1000)  # wrong answers to a registry's questions: about one account
    knowledge_address_day: int = _limit(50, most=100_000)  # from one address
    knowledge_registry_day: int = _limit(2000, most=10_000_000)  # in all
    agency_silence_s: int = _limit(600)  # after which an agency that used to say how it is gives no sign of life
    adult_years: int = _limit(18, least=0, most=100)  # from which age nobody else has to agree; 0: from any
    client_requests_s: int = _limit(0, least=0)  # how long a client can look its requests up; 0: none is kept
    record_days: int = _limit(730, LEAST_RECORD_DAYS, 36_500, "the law wants the record kept for a year at least")
    anomaly_again_s: int = _limit(86400, least=0, most=LEAST_RECORD_DAYS * settings.DAY_S)
    anomaly_from_hour: int = _limit(0, least=0, most=23)  # of the night, in Taiwan
    anomaly_until_hour: int = _limit(5, least=0, most=23)
    anomaly_denials: int = _limit(3, least=0, most=1000)
    anomaly_denials_s: int = _limit(86400, most=LEAST_RECORD_DAYS * settings.DAY_S)


@dataclass(frozen=True, kw_only=True)
class MailSettings:
    """How e-mail leaves: the table ``[mail]``. Without it no notice goes by e-mail."""

    host: str
    sender: str  # what stands after From: an address, with a name before it or not
    port: int = 587
    tls: Tls = "starttls"
    user: str | None = None
    password_file: Path | None = None


@dataclass(frozen=True, kw_only=True)
class SmsSettings:
    """The gateway that sends text messages: the table ``[sms]``. Without it no notice goes by SMS."""

    url: str
    token_file: Path


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
    bind_cores: bool = False  # each worker stays on a core of its own, where nothing else needs them
    queue: int = 32  # per worker: requests that wait for their turn; one more is told to come back
    tls_cert: Path | None = None
    tls_key: Path | None = None
    sandbox: bool = False
    method_levels: Mapping[str, int] = field(
        default_factory=lambda: MappingProxyType({"passkey": 2, "password_totp": 3})
    )
    # A key that can be copied is as safe as the account that copies it, of which this server knows nothing.
    synced_passkey_level: int = 3
    dpop_nonce: bool = False
    allowed_outbound_hosts: tuple[str, ...] = ()
    trusted_hops: int = 0
    log_level: str = "INFO"
    registries: Mapping[str, RegistrySettings] = field(default_factory=lambda: MappingProxyType({}))
    upstream: Mapping[str, UpstreamSettings] = field(default_factory=lambda: MappingProxyType({}))
    limits: Limits = field(default_factory=Limits)
    mail: MailSettings | None = None
    certificate: CertificateSettings | None = None
    sms: SmsSettings | None = None
    authority: AuthoritySettings = field(default_factory=AuthoritySettings)

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
    return settings.whole_document(Settings, document, READERS, contradictions, base=base)


def contradictions(parsed: Settings) -> list[str]:
    """Settings that are each well-formed but can't stand together."""
    urls = {"issuer": parsed.issuer, "proxy_url": parsed.proxy_url}
    urls |= {f"registries.{name}.url": registry.url for name, registry in parsed.registries.items()}
    urls |= {f"upstream.{name}.issuer": provider.issuer for name, provider in parsed.upstream.items()}
    if parsed.sms is not None:
        urls["sms.url"] = parsed.sms.url
    urls["authority.url"] = parsed.authority.url
    problems = settings.insecure(urls, sandbox=parsed.sandbox)
    if (parsed.tls_cert is None) != (parsed.tls_key is None):
        problems.append("tls_cert, tls_key: both or neither")
    if parsed.bind_cores and not hasattr(os, "sched_setaffinity"):
        problems.append("bind_cores: this operating system binds no process to a core")
    if parsed.limits.transaction_ttl_s < (told_s := parsed.limits.request_uri_ttl_s):
        problems.append(f"limits.transaction_ttl_s: must not be less than request_uri_ttl_s, {told_s}")
    if parsed.mail is not None:
        problems += _mail_problems(parsed.mail, sandbox=parsed.sandbox)
    problems += certificate_settings.contradictions(parsed.certificate, issuer=parsed.issuer)
    return problems + _too_much_trust(parsed)


def _mail_problems(mail: MailSettings, *, sandbox: bool) -> list[str]:
    problems = []
    if mail.tls == "none" and not (sandbox and mail.host in settings.LOOPBACK):
        problems.append("mail.tls: none is for the sandbox on loopback only")
    if (mail.user is None) != (mail.password_file is None):
        problems.append("mail.user, mail.password_file: both or neither")
    return problems


def _too_much_trust(parsed: Settings) -> list[str]:
    levels = parsed.method_levels.items()
    unknown = [f"method_levels: {name} is not an identity method" for name, _ in levels if name not in BEST_LEVELS]
    # In the sandbox any method may stand for a stronger one, except that what opens no fetch never does.
    best = {name: best for name, best in BEST_LEVELS.items() if best == MEMBER_AREA or not parsed.sandbox}
    outside = "" if parsed.sandbox else " outside the sandbox"
    return unknown + [
        f"method_levels: {name} is level {best[name]} at best{outside}"
        for name, level in levels
        if level < best.get(name, HIGHEST_LEVEL)
    ]


def _levels(value: Any, base: Path) -> Mapping[str, int]:
    if not settings.table(value):
        raise ValueError("must have at least one method and its level")
    return MappingProxyType(settings.inner_values(value, _level, base=base))


def _limits(value: Any, base: Path) -> Limits:
    return settings.inner_table(Limits, value, LIMIT_READERS, base=base)


def _mail(value: Any, base: Path) -> MailSettings:
    return settings.inner_table(MailSettings, value, MAIL_READERS, base=base)


def _sms(value: Any, base: Path) -> SmsSettings:
    return settings.inner_table(SmsSettings, value, SMS_READERS, base=base)


def _database(value: Any, base: Path) -> str:
    """Whatever is wrong with it, the message has none of it: there may be a password in it."""
    try:
        found = make_url(settings.text(value, base))
    except (ArgumentError, ValueError):
        found = None
    if found is None or found.drivername not in DATABASES:
        raise ValueError("must be postgresql+psycopg://user:password@host/name or sqlite:///file")
    return str(value)


def _tls_mode(value: Any, _base: Path) -> Tls:
    if value not in TLS_MODES:
        raise ValueError(f"must be one of {', '.join(TLS_MODES)}")
    return cast(Tls, value)


def _sender(value: Any, base: Path) -> str:
    text = settings.text(value, base)
    _, address = parseaddr(text)
    if not SENDER.fullmatch(address) or not text.isprintable():
        raise ValueError("must be an e-mail address, as in: MyData <notices@id.example.org>")
    return str(text)


_level = settings.number(HIGHEST_LEVEL, MEMBER_AREA, "1 the highest, 5 for the member area only")
READERS: Mapping[str, settings.Reader] = {
    "issuer": settings.origin,  # pages lead to each other by their paths
    "database_url": _database,
    "keys_file": settings.path,
    "secret_file": settings.path,
    "proxy_url": settings.origin,
    "bind": settings.bind,
    "workers": settings.count,
    "bind_cores": settings.boolean,
    "queue": settings.count,
    "tls_cert": settings.path,
    "tls_key": settings.path,
    "sandbox": settings.boolean,
    "method_levels": _levels,
    "synced_passkey_level": _level,
    "dpop_nonce": settings.boolean,
    "allowed_outbound_hosts": settings.peers,
    "trusted_hops": settings.number(0, 16),
    "log_level": settings.log_level,
    "certificate": certificate_settings.read,
    "registries": neighbours.registries,
    "upstream": neighbours.providers,
    "limits": _limits,
    "mail": _mail,
    "sms": _sms,
    "authority": neighbours.authority,
}
MAIL_READERS: Mapping[str, settings.Reader] = {
    "host": settings.host,
    "sender": _sender,
    "port": settings.port,
    "tls": _tls_mode,
    "user": settings.text,
    "password_file": settings.path,
}
LIMIT_READERS: Mapping[str, settings.Reader] = {item.name: item.metadata["reader"] for item in fields(Limits)}
SMS_READERS: Mapping[str, settings.Reader] = {"url": settings.url, "token_file": settings.path}
