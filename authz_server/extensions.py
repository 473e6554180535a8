"""What every request may reach: the settings and the parsed, cached things that a request only reads."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from flask import current_app
from flask.sansio.app import App

from authz_server.catalogue.model import Catalogue
from authz_server.config import Settings
from authz_server.core.jose import KeySet

if TYPE_CHECKING:
    # The registry's own domain is above this module (setup.cfg, import-linter).
    from authz_server.clients.registry import Registry

NAME: Final = "mydata"


@dataclass(frozen=True, kw_only=True)
class Services:
    """One per application, made by `authz_server.app.create_app`."""

    settings: Settings
    catalogue: Catalogue
    registry: "Registry"
    keys: KeySet
    secret: bytes = field(repr=False)


def services() -> Services:
    """The services of the current application."""
    return services_of(current_app)


def services_of(app: App) -> Services:
    """The services of an application, in which `app.create_app` has put them."""
    found: Services = app.extensions[NAME]
    return found
