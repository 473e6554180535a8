"""The platform's catalogue as outsiders get it, and a demo agency that listens to nobody but the test."""

from collections.abc import Iterator
from typing import Any

import pytest

from client_examples.sandbox.sandbox import Sandbox
from tests.client_examples.agency_platform import World, catalogue_document


@pytest.fixture(scope="session")
def catalogue_json() -> dict[str, Any]:
    """What GET /catalogue answers."""
    return catalogue_document()


@pytest.fixture
def world(catalogue_json: dict[str, Any]) -> World:
    """A demo agency program with fresh keys."""
    return World(catalogue_json)


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Sandbox]:
    """All servers, agencies and banks as real processes, started once for the tests that need them."""
    with Sandbox(agency={"slow_s": "2"}, banks=("bank", "node-bank")) as started:
        yield started
