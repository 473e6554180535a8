"""Settings of those beside the platform: registries that are asked, OpenID Providers that vouch, the authority."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from authz_server.catalogue.model import Text
from authz_server.core import settings
from authz_server.core.identifiers import HIGHEST_LEVEL, LOWEST_LEVEL
from authz_server.core.jose import SIGNING

ASKING = frozenset({"health_card", "two_documents"})  # identity methods that ask a registry
_PROVIDER_ID = re.compile(r"[a-z0-9-]{1,40}")  # a part of our redirect URIs
_level = settings.number(HIGHEST_LEVEL, LOWEST_LEVEL, "a level, 1 the highest")
AUTHORITY = Text(zh="個人資料保護委員會籌備處", en="Preparatory Office of the Personal Data Protection Commission")


@dataclass(frozen=True, kw_only=True)
class RegistrySettings:
    """Whom an identity method asks: the table `[registries.<method>]`."""

    id: str  # its name, for which questions are made and from which answers come
    url: str
    jwks_file: Path  # its public keys: one for signatures, one for encryption
    timeout_s: int = 5  # for everything together
    max_concurrent: int = 4  # questions at once, per process


@dataclass(frozen=True, kw_only=True)
class UpstreamSettings:
    """An OpenID Provider whose sign-ins count here: the table `[upstream.<id>]`."""

    name: Text
    issuer: str
    client_id: str
    acr: Mapping[str, int]  # what it says of a sign-in -> the level that this is worth; anything else is refused
    keys_file: Path | None = None  # private_key_jwt: our private JWKS, for this provider alone
    secret_file: Path | None = None  # client_secret_basic
    algorithms: tuple[str, ...] = SIGNING  # of its ID tokens
    timeout_s: int = 5  # for one request
    max_concurrent: int = 4  # requests at once, per process


@dataclass(frozen=True, kw_only=True)
class AuthoritySettings:
    """Whom citizens report a recipient to: the table `[authority]`."""

    name: Text = AUTHORITY
    url: str = "https://www.pdpc.gov.tw"
    phone: str | None = None


def authority(value: Any, base: Path) -> AuthoritySettings:
    """The reader of `authority`.  Raises: ValueError, TypeError."""
    return settings.inner_table(AuthoritySettings, value, AUTHORITY_READERS, base=base)


def registries(value: Any, base: Path) -> Mapping[str, RegistrySettings]:
    """The reader of `registries`.  Raises: ValueError, TypeError."""
    unknown = [f"{name}: is not a method that asks a registry" for name in settings.table(value) if name not in ASKING]
    if unknown:
        raise settings.TableError(unknown)
    return MappingProxyType(settings.inner_tables(RegistrySettings, value, REGISTRY_READERS, base=base))


def providers(value: Any, base: Path) -> Mapping[str, UpstreamSettings]:
    """The reader of `upstream`.  Raises: ValueError, TypeError."""
    odd = [name for name in settings.table(value) if not _PROVIDER_ID.fullmatch(name)]
    if odd:
        raise settings.TableError([f"{name}: its name must be 1 to 40 of a-z 0-9 -" for name in odd])
    found = settings.inner_tables(UpstreamSettings, value, UPSTREAM_READERS, base=base)
    for name, provider in found.items():
        if (provider.keys_file is None) == (provider.secret_file is None):
            raise settings.TableError([f"{name}: either keys_file or secret_file"])
    if len({provider.issuer for provider in found.values()}) < len(found):
        raise ValueError("two tables of one issuer")
    return MappingProxyType(found)


def _name(value: Any, base: Path) -> Text:
    return settings.inner_table(Text, value, {"zh": settings.text, "en": settings.text}, base=base)


def _issuer(value: Any, base: Path) -> str:
    """As the provider spells it, with a slash at the end or not: it is compared byte for byte."""
    settings.url(settings.text(value, base).removesuffix("/"), base)
    return str(value)


def _acr(value: Any, base: Path) -> Mapping[str, int]:
    if not settings.table(value):
        raise ValueError("must have at least one value, and the level that it is worth")
    return MappingProxyType(settings.inner_values(value, _level, base=base))


def _algorithms(value: Any, base: Path) -> tuple[str, ...]:
    found = settings.texts(value, base)
    if not found or not set(found) <= {*SIGNING, "RS256"}:
        raise ValueError(f"some of {', '.join(SIGNING)}, RS256")
    return found


REGISTRY_READERS: Mapping[str, settings.Reader] = {
    "id": settings.text,
    "url": settings.url,
    "jwks_file": settings.path,
    "timeout_s": settings.timeout,
    "max_concurrent": settings.count,
}
UPSTREAM_READERS: Mapping[str, settings.Reader] = {
    "name": _name,
    "issuer": _issuer,
    "client_id": settings.text,
    "acr": _acr,
    "keys_file": settings.path,
    "secret_file": settings.path,
    "algorithms": _algorithms,
    "timeout_s": settings.timeout,
    "max_concurrent": settings.count,
}
AUTHORITY_READERS: Mapping[str, settings.Reader] = {"name": _name, "url": settings.url, "phone": settings.text}
