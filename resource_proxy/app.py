"""Wiring: settings -> application -> server. Everything that can be wrong with the settings is found here, at once."""

from functools import partial
from pathlib import Path

import orjson
from flask import Flask

from authz_server.catalogue import loader
from authz_server.catalogue.model import Catalogue
from authz_server.core import jose, logging
from authz_server.core.admission import Room
from authz_server.core.circuit import Circuit
from authz_server.core.serving import Served
from authz_server.core.serving import serve as listen
from authz_server.core.settings import SettingsError, of
from resource_proxy import busy, errors, routes
from resource_proxy.authz_client import AuthzClient
from resource_proxy.config import NONCE_SECRET_BYTES, AgencySettings, ProxySettings
from resource_proxy.connectors import REGISTRY, Parts
from resource_proxy.connectors.plain_agency import signing_key
from resource_proxy.http_pool import Pool
from resource_proxy.metadata import protected_resources
from resource_proxy.one_shot_fetch import AgencyDoor, Proxy

# The authorization server is near and quick; a client waits meanwhile.
AUTHZ_CONNECT_TIMEOUT_S = 5
AUTHZ_ANSWER_TIMEOUT_S = 10
LARGEST_REQUEST_BYTES = 16 * 1024


def create_app(settings: ProxySettings, *, catalogue: Catalogue | None = None) -> Flask:
    """The WSGI application.  Raises: SettingsError, CatalogueError.

    Args: catalogue: default: the one that comes with the authorization server.
    """
    catalogue = catalogue or loader.load()
    proxy = make_proxy(settings, catalogue)
    app = Flask("resource_proxy", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = LARGEST_REQUEST_BYTES
    app.config["PROVIDE_AUTOMATIC_OPTIONS"] = False  # but for the one that lets a page fetch: see `routes`
    app.url_map.merge_slashes = False  # no redirects of the router's own: they name the host that the request does
    documents = protected_resources(
        catalogue, url=settings.url, issuer=settings.issuer, agencies=frozenset(proxy.agencies)
    )
    metadata = {path: orjson.dumps(document) for path, document in documents.items()}
    errors.register(app, proxy, described=metadata.keys())
    routes.register(app, proxy, metadata=metadata, secure=settings.secure, origin=settings.allowed_origin)
    return app


def make_proxy(settings: ProxySettings, catalogue: Catalogue) -> Proxy:
    """Read keys and secrets and make what every fetch needs.  Raises: SettingsError, of the agencies all at once."""
    problems: list[str] = []
    with of("ca_file"):
        pool = Pool(
            settings.issuer,
            connect_timeout_s=AUTHZ_CONNECT_TIMEOUT_S,
            read_timeout_s=AUTHZ_ANSWER_TIMEOUT_S,
            answer_timeout_s=AUTHZ_ANSWER_TIMEOUT_S,
            size=settings.threads,
            ca_file=settings.ca_file,
        )
    with of("nonce_secret_file"):
        nonce_secret = _nonce_secret(settings.nonce_secret_file)
    with of("keys_file"):
        key = signing_key(jose.load_keys(settings.keys_file))
    authz = AuthzClient(pool, issuer=settings.issuer, client_id=settings.client_id, key=key)
    doors: dict[str, AgencyDoor] = {}
    for name, agency_settings in settings.agencies.items():
        try:
            doors[name] = open_door(name, agency_settings, settings=settings, catalogue=catalogue, authz=authz)
        except SettingsError as error:
            problems += error.problems
    if problems:
        raise SettingsError(problems)
    return Proxy(url=settings.url, catalogue=catalogue, authz=authz, agencies=doors, nonce_secret=nonce_secret)


def open_door(
    name: str, agency_settings: AgencySettings, *, settings: ProxySettings, catalogue: Catalogue, authz: AuthzClient
) -> AgencyDoor:
    """The way to one agency.  Raises: SettingsError."""
    agency = catalogue.find_agency(name)
    if agency is None:
        raise SettingsError([f"agencies.{name}: is not in the catalogue"])
    if agency_settings.connector not in REGISTRY:
        raise SettingsError([f"agencies.{name}.connector: must be one of {', '.join(REGISTRY)}"])
    with of("ca_file"):  # so far it was read only if the issuer has https
        pool = Pool(
            agency_settings.url,
            connect_timeout_s=settings.connect_timeout_s,
            read_timeout_s=settings.read_timeout_s,
            answer_timeout_s=settings.answer_timeout_s,
            size=agency_settings.max_concurrent,
            ca_file=settings.ca_file,
        )
    parts = Parts(agency=agency, agency_settings=agency_settings, settings=settings, pool=pool, authz=authz)
    circuit = Circuit(
        max_concurrent=agency_settings.max_concurrent,
        failures=settings.breaker_failures,
        cool_down_s=settings.breaker_cool_down_s,
    )
    return AgencyDoor(connector=REGISTRY[agency_settings.connector](parts), circuit=circuit)


def serve(settings: ProxySettings) -> None:
    """Serve until a signal says stop.  Raises: SettingsError, CatalogueError before anything listens."""
    make_proxy(settings, loader.load())
    listen(
        "resource_proxy",
        partial(_worker, settings),
        bind=settings.bind,
        workers=settings.workers,
        rooms=[Room(at_once=settings.threads, waiting=settings.queue, essential=busy.ESSENTIAL)],
        tls_cert=settings.tls_cert,
        tls_key=settings.tls_key,
        long_answers=True,
    )


def _worker(settings: ProxySettings) -> Served:
    logging.configure(settings.log_level, strict=settings.sandbox)
    app = create_app(settings)
    return Served(app, busy.refusal(app, origin=settings.allowed_origin))


def _nonce_secret(path: Path | None) -> bytes | None:
    if path is None:
        return None
    secret = path.read_bytes()
    if len(secret) < NONCE_SECRET_BYTES:
        raise ValueError(f"{path}: must hold {NONCE_SECRET_BYTES} random bytes")
    return secret
