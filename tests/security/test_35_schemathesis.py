"""Class 35: requests made from our own OpenAPI document, by Schemathesis, in process.

Every answer must be one that the document announces: status, media type, headers and schema; and never a server error.
"""

from typing import Any

import orjson
import pytest
import schemathesis
from flask import Flask
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from authz_server.catalogue.model import Catalogue
from authz_server.core import jose
from resource_proxy.app import create_app
from resource_proxy.config import AgencySettings, ProxySettings
from tests.support.platform import Platform
from tests.support.tree import ROOT

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
document = schemathesis.openapi.from_path(ROOT / "docs" / "openapi.yaml")
PROXY_PATHS = r"^/(data|health|\.well-known/oauth-protected-resource)"
authorization_server = document.exclude(path_regex=r"^/(data|\.well-known/oauth-protected-resource)")
resource_proxy = document.include(path_regex=PROXY_PATHS)
BOUNDED = settings(max_examples=12, suppress_health_check=list(HealthCheck), deadline=None)


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


@authorization_server.parametrize()
@BOUNDED
def test_the_authorization_server_answers_as_the_document_says(
    case: schemathesis.Case[Any], platform: Platform
) -> None:
    case.operation.schema.app = platform.app
    case.call_and_validate(checks=CHECKS, app=platform.app)


@resource_proxy.parametrize()
@BOUNDED
def test_the_proxy_answers_as_the_document_says(case: schemathesis.Case[Any], proxy_app: Flask) -> None:
    case.operation.schema.app = proxy_app
    case.call_and_validate(checks=CHECKS, app=proxy_app)
