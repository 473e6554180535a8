"""GET /catalogue."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import delete

from authz_server.catalogue.loader import load
from authz_server.catalogue.parameters import TYPES
from authz_server.catalogue.views import create_blueprint
from authz_server.clients.models import Agency
from tests.support.platform import Platform
from tests.support.protocol import services_of, writing

KEY = {"kty": "EC", "crv": "P-256", "x": "x", "y": "y", "use": "sig", "kid": "fia-1"}


@pytest.fixture
def keys() -> dict[str, Mapping[str, Any]]:
    return {"fia": {"keys": [KEY]}}


@pytest.fixture
def client(keys: dict[str, Mapping[str, Any]]) -> Iterator[FlaskClient]:
    app = Flask(__name__)
    app.register_blueprint(create_blueprint(load(), lambda agency_id: keys.get(agency_id, {"keys": []})))
    with app.test_client() as client:
        yield client


def test_it_describes_every_dataset_and_the_agencies_keys(client: FlaskClient) -> None:
    answer = client.get("/catalogue")
    assert answer.status_code == 200
    assert answer.mimetype == "application/json"
    assert answer.headers["Cache-Control"] == "public, max-age=300"
    agencies = {agency["id"]: agency for agency in answer.get_json()["agencies"]}
    assert agencies["fia"]["jwks"] == {"keys": [KEY]}
    assert agencies["nhi"]["jwks"] == {"keys": []}
    income = next(item for item in agencies["fia"]["datasets"] if item["id"] == "fia.income")
    assert income["acr"] == "urn:mydata:acr:level-2"
    assert income["parameters"] == [
        {"id": "tax_year", "type": "year", "name": {"zh": "所得年度", "en": "Tax year"}, "required": True}
    ]
    assert [field["id"] for field in income["fields"]] == list(income["schema"]["properties"])
    counties = answer.get_json()["counties"]
    assert {"zh": "臺北市", "en": "Taipei City"} in counties
    assert all(TYPES["county"].parse(one["zh"]) == one["zh"] for one in counties)


def test_an_unchanged_catalogue_is_not_sent_again(client: FlaskClient, keys: dict[str, Mapping[str, Any]]) -> None:
    etag = client.get("/catalogue").headers["ETag"]
    again = client.get("/catalogue", headers={"If-None-Match": etag})
    assert again.status_code == 304
    assert again.data == b""
    keys["nhi"] = {"keys": [KEY]}
    assert client.get("/catalogue", headers={"If-None-Match": etag}).status_code == 200


def test_an_agency_that_is_not_registered_yet_has_no_keys(own_platform: Platform) -> None:
    with writing(own_platform) as session:
        session.execute(delete(Agency).where(Agency.id == "ris"))
    services_of(own_platform).registry.reload()
    answer = own_platform.browser().get("/catalogue")
    assert answer.status_code == 200
    assert [agency["id"] for agency in answer.get_json()["agencies"] if not agency["jwks"]["keys"]] == ["ris"]
