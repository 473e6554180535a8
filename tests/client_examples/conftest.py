"""The platform's catalogue as outsiders get it, and a demo agency that listens to nobody but the test."""

from typing import Any

import pytest

from tests.client_examples.agency_platform import World, catalogue_document


@pytest.fixture(scope="session")
def catalogue_json() -> dict[str, Any]:
    """What GET /catalogue answers."""
    return catalogue_document()


@pytest.fixture
def world(catalogue_json: dict[str, Any]) -> World:
    """A demo agency program with fresh keys."""
    return World(catalogue_json)
