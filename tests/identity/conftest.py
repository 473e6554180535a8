"""A sign-in without the rest of the server: requests are given, pages are replaced by what they were given."""

from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest
from flask import Flask
from flask.typing import ResponseReturnValue
from flask_babel import Babel
from jinja2 import DictLoader
from sqlalchemy import Engine

from authz_server import config
from authz_server.catalogue.model import Catalogue
from authz_server.clients.registry import Registry
from authz_server.config import Settings
from authz_server.core import clock
from authz_server.core.errors import DomainError
from authz_server.core.jose import KeySet
from authz_server.database import db, engine_options, prepare_engine
from authz_server.extensions import Services
from authz_server.identity import views
from authz_server.identity.guard import citizen_required
from authz_server.identity.sessions import SignedIn
from tests.identity.support import NOW, ORIGIN, SERVER_SECRET, Browser, KnownRequests


@pytest.fixture(autouse=True)
def time_stands_still() -> Iterator[None]:
    """It is `NOW`."""
    with clock.frozen(NOW):
        yield


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    """Settings of a server on https."""
    document = {
        "issuer": ORIGIN,
        "database_url": database_url,
        "keys_file": "keys.json",
        "secret_file": "secret",
        "proxy_url": "https://data.example",
    }
    return config.parse(document, base=tmp_path)


@pytest.fixture
def requests() -> KnownRequests:
    """The authorization requests that wait."""
    return KnownRequests()


@pytest.fixture
def app(engine: Engine, settings: Settings, requests: KnownRequests) -> Iterator[Flask]:
    """The routes of this room, and one page that demands a citizen."""
    app = Flask("identity-tests")
    pages = {"sign_in.html": "sign in", "sign_out.html": "sign out", "methods/passkey.html": "passkey"}
    app.jinja_loader = DictLoader(pages)
    url = settings.database_url
    app.config.update(SQLALCHEMY_DATABASE_URI=url, SQLALCHEMY_ENGINE_OPTIONS=engine_options(url))
    db.init_app(app)
    Babel(app)  # type: ignore[no-untyped-call]  # it has no annotations
    app.extensions["mydata"] = Services(
        settings=settings,
        catalogue=cast(Catalogue, None),
        registry=cast(Registry, None),
        keys=cast(KeySet, None),
        secret=SERVER_SECRET,
    )
    views.init_app(app, requests)

    @app.get("/mine")
    @citizen_required
    def mine(signed_in: SignedIn) -> ResponseReturnValue:
        return {"name": signed_in.name, "acr": signed_in.acr, "amr": list(signed_in.amr)}

    @app.route("/consent/<request_id>", methods=["GET", "POST"])
    @citizen_required
    def consent(signed_in: SignedIn, request_id: str) -> ResponseReturnValue:
        return {"request_id": request_id}

    @app.post("/act")
    @citizen_required
    def act(signed_in: SignedIn) -> ResponseReturnValue:
        return "", 204

    @app.errorhandler(DomainError)
    def refused(error: DomainError) -> ResponseReturnValue:
        return error.public, 400

    with app.app_context():
        prepare_engine(db.engine)
    yield app
    with app.app_context():
        db.engine.dispose()


@pytest.fixture
def browser(app: Flask) -> Browser:
    """A browser that has never been here."""
    return Browser(app)
