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
        keys = jose.load_keys(settings.keys_file)
        # What is published has to say what it is for (OpenID Connect Discovery section 3), and what does not say it
        # would sign nothing: each token would fail, and nothing before.
        if any(key.use is None or key.alg is None for key in keys):
            raise jose.BadKey("every key must have use and alg")
        if not any(key.is_private and key.fits(jose.OWN_ALG) for key in keys):
            raise jose.BadKey(f"no private key for {jose.OWN_ALG}; mydata keys makes one")
        return keys
