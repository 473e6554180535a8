"""What requests and the worker read, from one set of settings."""

from sqlalchemy import Engine

from authz_server import installation
from authz_server.catalogue import loader
from authz_server.catalogue.model import Catalogue
from authz_server.clients.document import Context
from authz_server.clients.registry import Registry
from authz_server.config import Settings
from authz_server.core import jose
from authz_server.core.settings import of
from authz_server.extensions import Services


def load_services(settings: Settings, engine: Engine, catalogue: Catalogue | None = None) -> Services:
    """Read and check it all.  Raises: SettingsError, CatalogueError.

    Args: catalogue: as of `app.create_app`.
    """
    catalogue = catalogue or loader.load()
    return Services(
        settings=settings,
        catalogue=catalogue,
        registry=Registry(
            engine,
            Context(catalogue, sandbox=settings.sandbox),
            allowed_hosts=frozenset(settings.allowed_outbound_hosts),
        ),
        keys=_own_keys(settings),
        secret=installation.read_secret(settings.secret_file),
    )


def _own_keys(settings: Settings) -> jose.KeySet:
    with of("keys_file"):
        return jose.load_keys(settings.keys_file)
