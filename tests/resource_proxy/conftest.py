"""A proxy in this process, between an authorization server and two agencies on real sockets."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from authz_server.catalogue import loader
from authz_server.catalogue.model import Catalogue
from authz_server.core import jose
from resource_proxy.app import create_app
from resource_proxy.config import AgencySettings, ProxySettings
from tests.resource_proxy.people import PROXY_URL, Authz, Client
from tests.resource_proxy.wire import Peer
from tests.support.self_signed import self_signed


@pytest.fixture(scope="session")
def real_catalogue() -> Catalogue:
    return loader.load()


@pytest.fixture(scope="session")
def key_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the private keys of the proxy and of the agency that it speaks for."""
    folder = tmp_path_factory.mktemp("keys")
    for name, algorithms in {"proxy": ["ES256"], "nhi": ["ES256", "ECDH-ES"]}.items():
        path = folder / f"{name}.jwks"
        path.touch(mode=0o600)
        path.write_text(json.dumps({"keys": [jose.generate_key(alg) for alg in algorithms]}))
    (folder / "api-key").write_text("synthetic-api-key\n")
    (folder / "nonce-secret").write_bytes(bytes(range(32)))
    return folder


@pytest.fixture
def authz() -> Iterator[Authz]:
    server = Authz()
    yield server
    server.peer.stop()


@pytest.fixture
def agency() -> Iterator[Peer]:
    peer = Peer()
    yield peer
    peer.stop()


@pytest.fixture
def plain_agency() -> Iterator[Peer]:
    peer = Peer()
    yield peer
    peer.stop()


@pytest.fixture
def settings(authz: Authz, agency: Peer, plain_agency: Peer, key_files: Path) -> ProxySettings:
    return ProxySettings(
        url=PROXY_URL,
        issuer=authz.peer.url,
        client_id="resource-proxy",
        keys_file=key_files / "proxy.jwks",
        sandbox=True,
        # So long that none is over on a busy machine; `hasty` is for what happens then.
        connect_timeout_s=60,
        read_timeout_s=60,
        answer_timeout_s=60,
        transfer_timeout_s=60,
        breaker_failures=3,
        agencies={
            "ris": AgencySettings(url=agency.url, connector="jose"),
            "nhi": AgencySettings(
                url=plain_agency.url,
                connector="plain",
                api_key_file=key_files / "api-key",
                keys_file=key_files / "nhi.jwks",
            ),
        },
    )


@pytest.fixture
def app(settings: ProxySettings, real_catalogue: Catalogue) -> Flask:
    return create_app(settings, catalogue=real_catalogue)


@pytest.fixture
def http(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def hasty(settings: ProxySettings, real_catalogue: Catalogue) -> FlaskClient:
    """A proxy that waits for no agency for long."""
    of_little_patience = replace(settings, connect_timeout_s=1, read_timeout_s=3, answer_timeout_s=4)
    return create_app(of_little_patience, catalogue=real_catalogue).test_client()


@pytest.fixture
def http_with_nonce(settings: ProxySettings, real_catalogue: Catalogue, key_files: Path) -> FlaskClient:
    demanding = replace(settings, nonce_secret_file=key_files / "nonce-secret")
    return create_app(demanding, catalogue=real_catalogue).test_client()


@pytest.fixture
def client() -> Client:
    return Client()


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A self-signed certificate for 127.0.0.1, with its key in one file."""
    return self_signed(tmp_path, "127.0.0.1")
