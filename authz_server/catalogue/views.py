"""GET /catalogue: what can be asked for, from whom, and the keys that the agencies sign with. Public, cacheable."""

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

import orjson
from flask import Blueprint, Response, request

from authz_server.catalogue import counties
from authz_server.catalogue.model import Agency, Catalogue, Dataset
from authz_server.core.identifiers import acr_of_level

# Shorter than the time for which an agency keeps an old key published beside the new one.
MAX_AGE_S = 300


def create_blueprint(
    catalogue: Catalogue,
    agency_jwks: Callable[[str], Mapping[str, Any]],
    agency_state: Callable[[Agency], Mapping[str, Any]] = lambda _: {},
) -> Blueprint:
    """The endpoint.

    Args: agency_jwks: by an agency's id, the JWKS of its public signing keys, empty if it has none; agency_state: what
        there is to add of how it is at present.
    """
    blueprint = Blueprint("catalogue", __name__)
    descriptions = [(agency, _agency(agency)) for agency in catalogue]
    places = [{"zh": name, "en": english} for name, english in counties.ENGLISH.items()]

    @blueprint.get("/catalogue")
    def show() -> Response:
        agencies = [
            {**description, "jwks": agency_jwks(agency.id), **agency_state(agency)}
            for agency, description in descriptions
        ]
        return for_everybody({"version": catalogue.version, "agencies": agencies, "counties": places})

    return blueprint


def for_everybody(value: Any) -> Response:
    """A JSON answer that is the same for all and may be kept for a while; to whoever has it, that it still is."""
    body = orjson.dumps(value)
    response = Response(body, mimetype="application/json")
    response.headers["Cache-Control"] = f"public, max-age={MAX_AGE_S}"
    response.set_etag(hashlib.sha256(body).hexdigest()[:32])
    response.make_conditional(request)
    return response


def _agency(agency: Agency) -> dict[str, Any]:
    return {
        "id": agency.id,
        "name": agency.name.to_json(),
        "phone": agency.phone,
        "url": agency.url,
        "datasets": [_dataset(dataset) for dataset in agency.datasets],
    }


def _dataset(dataset: Dataset) -> dict[str, Any]:
    return {
        "id": dataset.id,
        "name": dataset.name.to_json(),
        "description": dataset.description.to_json(),
        "level": dataset.level,
        "acr": acr_of_level(dataset.level),
        "typical_wait_s": dataset.typical_wait_s,
        "preparing_limit_s": dataset.preparing_limit_s,
        "large": dataset.large,
        "formats": dataset.formats,
        "parameters": [
            {"id": item.id, "type": item.type, "name": item.name.to_json(), "required": item.required}
            for item in dataset.parameters
        ],
        "fields": [
            {
                "id": item.id,
                "name": item.name.to_json(),
                "description": item.description.to_json(),
                "required": item.required,
                "sensitivity": item.sensitivity,
            }
            for item in dataset.fields
        ],
        "members": {name: text.to_json() for name, text in dataset.members.items()},
        "schema": dataset.schema,
    }
