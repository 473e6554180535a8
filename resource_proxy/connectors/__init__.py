"""Every way of talking to an agency: `connector = "<name>"` in the settings of an agency chooses one.

A new way is a module with a `Connector` and a line in REGISTRY.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from authz_server.catalogue.model import Agency
from authz_server.core import jose
from authz_server.core.settings import of
from resource_proxy.authz_client import AuthzClient
from resource_proxy.config import AgencySettings, ProxySettings
from resource_proxy.connectors.base import Connector
from resource_proxy.connectors.jose_agency import JoseAgency
from resource_proxy.connectors.plain_agency import PlainAgency, check_opening_key, read_api_key, signing_key
from resource_proxy.connectors.tickets import TicketReader
from resource_proxy.http_pool import Pool


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What a connector is made of."""

    agency: Agency
    agency_settings: AgencySettings
    settings: ProxySettings
    pool: Pool
    authz: AuthzClient

    @property
    def path(self) -> str:
        """What the agency's own paths are appended to."""
        return urlsplit(self.agency_settings.url).path


def _jose(parts: Parts) -> Connector:
    return JoseAgency(parts.pool, path=parts.path, transfer_timeout_s=parts.settings.transfer_timeout_s)


def _plain(parts: Parts) -> Connector:
    at = f"agencies.{parts.agency.id}"
    with of(f"{at}.api_key_file"):
        api_key = read_api_key(parts.agency_settings.api_key_file)
    with of(f"{at}.keys_file"):
        keys = jose.load_keys(parts.agency_settings.keys_file or parts.settings.keys_file)
        signing_key(keys)
        check_opening_key(keys)
    return PlainAgency(
        parts.pool,
        path=parts.path,
        api_key=api_key,
        agency_id=parts.agency.id,
        keys=keys,
        tickets=TicketReader(parts.authz, issuer=parts.settings.issuer, agency_id=parts.agency.id, keys=keys),
    )


REGISTRY: Mapping[str, Callable[[Parts], Connector]] = {
    "jose": _jose,  # the agency opens the ticket and encrypts the package; we can read neither
    "plain": _plain,  # the agency can't do JOSE: we do both for it
}
