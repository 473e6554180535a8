"""Wiring: one application from one set of settings. Whatever can be wrong with them is found here, at the start."""

from logging import ERROR
from typing import TYPE_CHECKING

from flask import Flask, Response, request
from sqlalchemy.orm import Session
from werkzeug.middleware.proxy_fix import ProxyFix

from authz_server import extensions, installation, portal, schema
from authz_server.catalogue.model import Catalogue
from authz_server.catalogue.views import create_blueprint as catalogue_blueprint
from authz_server.config import Settings
from authz_server.consent.views import blueprint as consent_blueprint
from authz_server.consent.waiting import PushedRequests
from authz_server.core import identifiers
from authz_server.core.admission import LARGEST_BODY_BYTES
from authz_server.core.identifiers import TRACE_HEADER
from authz_server.core.logging import current_trace_id, event, set_trace_id
from authz_server.core.settings import SettingsError
from authz_server.database import close_session, db, engine_options, prepare_engine
from authz_server.flask_app import LeanFlask
from authz_server.identity import registry_client
from authz_server.identity import views as identity_views
from authz_server.loading import load_services
from authz_server.oauth import routes
from authz_server.portal.errors import unavailable

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

OTHER_SECRET_S = 60  # somebody has to put it right, and to start the server anew


def create_app(settings: Settings, *, catalogue: Catalogue | None = None, secret_held: bool = True) -> Flask:
    """The authorization server as a WSGI application.  Raises: SettingsError, CatalogueError.

    Args: catalogue: default: the one that comes with this package, read and checked now. secret_held: whether the
        secret was held against the database already, else that is done before anything is answered.
    """
    app = LeanFlask(__name__)
    app.config.update(
        SQLALCHEMY_DATABASE_URI=settings.database_url,
        SQLALCHEMY_ENGINE_OPTIONS=engine_options(settings.database_url),
        MAX_CONTENT_LENGTH=LARGEST_BODY_BYTES,
        MAX_FORM_MEMORY_SIZE=LARGEST_BODY_BYTES,
    )
    app.json.ensure_ascii = False  # type: ignore[attr-defined]  # Flask's own provider has it
    # The documented way to wrap it.
    app.wsgi_app = behind_proxies(app.wsgi_app, settings.trusted_hops)  # type: ignore[assignment, method-assign]
    app.url_map.merge_slashes = False  # no redirects of the router's own
    db.init_app(app)
    app.teardown_appcontext(close_session)  # before the extension does it: the last one that is named is the first
    with app.app_context():
        engine = db.engine
    prepare_engine(engine)
    app.extensions[extensions.NAME] = services = load_services(settings, engine, catalogue)
    _trace(app)
    if not secret_held:
        _hold_secret(app, services.secret)
    routes.init_app(app, services)
    identity_views.init_app(app, PushedRequests())
    registry_client.init_app(app, settings, services.keys)
    registry = services.registry
    app.register_blueprint(catalogue_blueprint(services.catalogue, registry.agency_jwks, registry.agency_state))
    app.register_blueprint(consent_blueprint)
    portal.init_app(app, services)
    return app


def behind_proxies(application: "WSGIApplication", hops: int) -> "WSGIApplication":
    """The application, which takes a request to come from where the outermost of so many proxies says.

    Only whom it comes from: scheme and host are the settings' affair.
    """
    return ProxyFix(application, x_for=hops, x_proto=0, x_host=0) if hops else application


def _hold_secret(app: Flask, secret: bytes) -> None:
    """Let requests be answered only once the database was found to be of this release, and the secret to be its own.

    From then on the step is gone, and no request pays for it.
    """

    def hold() -> Response | None:
        told = "database.of_another_release"
        try:
            with Session(db.engine) as session, session.begin():
                schema.check_version(session.connection())  # it was away when that was looked at
                told = "secret.of_another_database"
                installation.check_secret(session, secret)
        except SettingsError:
            event(told, level=ERROR)
            return unavailable(retry_after_s=OTHER_SECRET_S)
        steps = app.before_request_funcs
        steps[None] = [step for step in steps[None] if step is not hold]  # anew: others are going through the old list
        return None

    app.before_request(hold)


def _trace(app: Flask) -> None:
    """Give each request a trace id, taken from its header if that is a UUID, and echo it (FAPI 2.0)."""

    @app.before_request
    def begin() -> None:
        set_trace_id(identifiers.trace_id(request.headers.get(TRACE_HEADER)))

    @app.after_request
    def echo(response: Response) -> Response:
        response.headers[TRACE_HEADER] = current_trace_id() or ""
        return response
