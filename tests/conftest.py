"""Fixtures that every room uses: a migrated database of each kind, settings, the application, a populated platform."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import orjson
import pytest
from flask import Flask
from hypothesis import settings as hypothesis_settings
from sqlalchemy.orm import Session

from authz_server import config
from authz_server.app import create_app
from authz_server.catalogue import loader
from authz_server.catalogue.model import Catalogue
from authz_server.cli import migrate_database
from authz_server.config import Settings
from authz_server.core import jose
from authz_server.database import db, new_engine
from tests.support import postgres
from tests.support.platform import Platform

ISSUER = "https://mydata.example"
PROXY_URL = "https://data.mydata.example"

# How long one example takes says more about the machine than about the code.
hypothesis_settings.register_profile("untimed", deadline=None)
hypothesis_settings.load_profile("untimed")


def pytest_configure(config: pytest.Config) -> None:
    """Let the workers of one run share one PostgreSQL: its owner is the process that was started by hand."""
    if not hasattr(config, "workerinput") and getattr(config.option, "numprocesses", None):
        postgres.start_for_workers()


@pytest.fixture(scope="session")
def catalogue() -> Catalogue:
    """The catalogue as shipped."""
    return loader.load()


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite database, to be copied."""
    path = tmp_path_factory.mktemp("template") / "template.sqlite3"
    migrate_database(f"sqlite:///{path}")
    return path


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path, sqlite_template: Path) -> Iterator[str]:
    """A fresh migrated database; every test that asks for it runs on both kinds."""
    with _database(request.param, tmp_path, sqlite_template) as url:
        yield url


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    """Settings of a server behind https, where a password with a one-time code is worth level 1 as in the sandbox."""
    return _settings(database_url, tmp_path)


@pytest.fixture
def app(settings: Settings, catalogue: Catalogue) -> Iterator[Flask]:
    """The authorization server, with an empty database."""
    app = create_app(settings, catalogue=catalogue)
    yield app
    with app.app_context():
        db.engine.dispose()


@pytest.fixture
def session(database_url: str) -> Iterator[Session]:
    """A session of its own, beside the application's."""
    engine = new_engine(database_url)
    with Session(engine) as session:
        yield session
    engine.dispose()


@pytest.fixture
def own_platform(app: Flask, settings: Settings, catalogue: Catalogue) -> Iterator[Platform]:
    """A platform of one test alone, for tests that suspend, lock or count what others would notice."""
    with Platform(app, settings, catalogue) as platform:
        yield platform


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def platform(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    sqlite_template: Path,
    catalogue: Catalogue,
) -> Iterator[Platform]:
    """A bank, the proxy, all agencies and citizens, shared: each test makes requests of its own."""
    folder = tmp_path_factory.mktemp("platform")
    with _database(request.param, folder, sqlite_template) as url:
        settings = _settings(url, folder)
        app = create_app(settings, catalogue=catalogue)
        with Platform(app, settings, catalogue) as platform:
            yield platform
        with app.app_context():
            db.engine.dispose()


@contextmanager
def _database(kind: str, folder: Path, sqlite_template: Path) -> Iterator[str]:
    if kind == "sqlite":
        yield f"sqlite:///{shutil.copy(sqlite_template, folder / 'mydata.sqlite3')}"
    else:
        with postgres.fresh_database(migrate_database) as url:
            yield url


def _settings(database_url: str, folder: Path) -> Settings:
    (folder / "keys.json").write_bytes(orjson.dumps({"keys": [jose.generate_key("ES256")]}))
    (folder / "keys.json").chmod(0o600)
    (folder / "secret").write_bytes(b"s" * 32)
    document = {
        "issuer": ISSUER,
        "database_url": database_url,
        "keys_file": "keys.json",
        "secret_file": "secret",
        "proxy_url": PROXY_URL,
        "sandbox": True,
        "method_levels": {"password_totp": 1, "passkey": 2},
    }
    return config.parse(document, base=folder)
