"""Fixtures that every room uses: a migrated database of each kind, settings, the application, a populated platform."""

import gc
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from flask import Flask
from hypothesis import settings as hypothesis_settings
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from authz_server.app import create_app
from authz_server.catalogue import loader
from authz_server.catalogue.model import Catalogue
from authz_server.config import Settings
from authz_server.core.serving import YOUNG_OBJECTS
from authz_server.database import db, new_engine
from client_examples.sandbox.processes import pass_by_proxies
from tests.support import postgres
from tests.support.compiled import CompiledPages, CompiledRule, CompiledStatements
from tests.support.dealing import dealt
from tests.support.memory import memory
from tests.support.platform import Platform, settings_for
from tests.support.templates import Templates
from tests.support.turns import by_turns

COMPILED_PAGES = CompiledPages()
Flask.url_rule_class = CompiledRule
CompiledStatements().serve()

# How long one example takes says more about the machine than about the code.
hypothesis_settings.register_profile("untimed", deadline=None)
hypothesis_settings.load_profile("untimed")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Which databases pages and protocol messages meet."""
    told = "both: every test meets SQLite and PostgreSQL; turns: those of pages and messages only one of them"
    parser.addoption("--databases", choices=["both", "turns"], default="both", help=told)


def pytest_configure(config: pytest.Config) -> None:
    """Let the workers of one run share one PostgreSQL: its owner is the process that was started by hand.

    And let tests talk to their servers alone, whatever proxy this machine's environment names.
    """
    pass_by_proxies()
    if place := memory():
        # To wait for a disk at each commit took a fifth of the time of SQLite's tests, none of which cuts the power.
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(place))
    if not hasattr(config, "workerinput") and (count := getattr(config.option, "numprocesses", None)):
        postgres.start_for_workers(count)
    else:
        gc.disable()  # until all tests are known: nothing of them goes


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Choose what meets which database, and deal the tests out to the workers of the run.

    After pytest has put those together that share a fixture's parameter.
    """
    if config.getoption("databases") == "turns":
        items[:], left = by_turns(items)
        config.hook.pytest_deselected(items=left)
    if count := os.environ.get("PYTEST_XDIST_WORKER_COUNT"):
        items[:] = dealt(items, workers=int(count))


def pytest_collection_finish() -> None:
    """Spare the garbage collector what stays for the whole run: thousands of tests and all modules.

    To walk through them again and again was a quarter of what the tests of pages cost.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS)
    gc.enable()


@pytest.fixture(scope="session")
def catalogue() -> Catalogue:
    """The catalogue as shipped."""
    return loader.load()


@pytest.fixture(scope="session")
def templates(tmp_path_factory: pytest.TempPathFactory, catalogue: Catalogue) -> Templates:
    """Databases to be copied."""
    return Templates(tmp_path_factory.mktemp("templates"), catalogue)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path, templates: Templates) -> Iterator[str]:
    """A fresh migrated database; every test that asks for it runs on both kinds.

    It is empty, unless the test has a platform of its own: its peers are there from the start.
    """
    with templates.copied(request.param, tmp_path, populated="own_platform" in request.fixturenames) as url:
        yield url


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    """Settings of a server behind https, where a password with a one-time code is worth level 1 as in the sandbox."""
    return settings_for(database_url, tmp_path)


@pytest.fixture
def app(settings: Settings, catalogue: Catalogue) -> Iterator[Flask]:
    """The authorization server, with an empty database."""
    app = _application(settings, catalogue)
    yield app
    with app.app_context():
        db.engine.dispose()


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """An engine of its own, beside the application's."""
    engine = new_engine(database_url)
    yield engine
    engine.dispose()


@pytest.fixture
def session(engine: Engine) -> Iterator[Session]:
    """A session of its own, beside the application's."""
    with Session(engine) as session:
        yield session


@pytest.fixture
def own_platform(
    request: pytest.FixtureRequest, app: Flask, settings: Settings, templates: Templates
) -> Iterator[Platform]:
    """A platform of one test alone, for tests that suspend, lock or count what others would notice."""
    kind = str(request.node.callspec.params["database_url"])
    with Platform(app, settings, templates.catalogue, templates.populated(kind)[1]) as platform:
        yield platform


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def platform(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    templates: Templates,
    catalogue: Catalogue,
) -> Iterator[Platform]:
    """A bank, the proxy, all agencies and citizens, shared: each test makes requests of its own."""
    folder = tmp_path_factory.mktemp("platform")
    with templates.copied(request.param, folder, populated=True) as url:
        settings = settings_for(url, folder)
        app = _application(settings, catalogue)
        with Platform(app, settings, catalogue, templates.populated(request.param)[1]) as platform:
            yield platform
        with app.app_context():
            db.engine.dispose()


@pytest.fixture(scope="session")
def nonce_platform(platform: Platform) -> Iterator[Platform]:
    """The peers of `platform` at a second server of the same database, where `dpop_nonce` is on."""
    settings = replace(platform.settings, dpop_nonce=True)
    app = _application(settings, platform.catalogue)
    second = Platform(app, settings, platform.catalogue)
    second.agency_keys, second.totp_secrets = platform.agency_keys, platform.totp_secrets
    for name in ("bank", "other_bank", "proxy"):
        setattr(second, name, replace(getattr(platform, name), browser=second.browser()))
    yield second
    second.engine.dispose()
    with app.app_context():
        db.engine.dispose()


def _application(settings: Settings, catalogue: Catalogue) -> Flask:
    app = create_app(settings, catalogue=catalogue)
    app.jinja_env.bytecode_cache = COMPILED_PAGES
    return app
