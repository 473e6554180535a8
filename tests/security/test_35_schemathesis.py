"""Class 35: requests made from our own OpenAPI document, by Schemathesis, in process.

Every answer must be one that the document announces: status, media type, headers and schema; and never a server error.
"""

import re

import orjson
import pytest
from flask import Flask

from authz_server.catalogue.model import Catalogue
from authz_server.core import jose
from resource_proxy.app import create_app
from resource_proxy.config import AgencySettings, ProxySettings
from tests.support.openapi import operations
from tests.support.platform import Platform

AT_PROXY = re.compile(r"/(data|health|\.well-known/oauth-protected-resource)")
AT_PROXY_ALONE = re.compile(r"/(data|\.well-known/oauth-protected-resource)")


@pytest.fixture(scope="module")
def proxy_app(tmp_path_factory: pytest.TempPathFactory, catalogue: Catalogue) -> Flask:
    """A proxy that would know where to ask; nothing that is refused gets as far as that."""
    keys = tmp_path_factory.mktemp("proxy") / "keys.json"
    keys.touch(mode=0o600)
    keys.write_bytes(orjson.dumps({"keys": [jose.generate_key("ES256")]}))
    agencies = {"fia": AgencySettings(url="https://agency.example", connector="jose")}
    proxy = ProxySettings(
        url="https://data.example", issuer="https://as.example", client_id="proxy", keys_file=keys, agencies=agencies
    )
    return create_app(proxy, catalogue=catalogue)


@pytest.mark.parametrize(("method", "path"), [found for found in operations() if not AT_PROXY_ALONE.match(found[1])])
def test_the_authorization_server_answers_as_the_document_says(method: str, path: str, platform: Platform) -> None:
    check(method, path, platform.app)


@pytest.mark.parametrize(("method", "path"), [found for found in operations() if AT_PROXY.match(found[1])])
def test_the_proxy_answers_as_the_document_says(method: str, path: str, proxy_app: Flask) -> None:
    check(method, path, proxy_app)


def check(method: str, path: str, app: Flask) -> None:
    """Make all requests of one operation."""
    # Not above: to load Schemathesis and think up the cases takes each worker seconds, and one or two run these tests.
    from tests.security import from_the_document

    from_the_document.check(method, path, app)
