"""One world for each database, started once: tests use tokens of their own and leave all servers running."""

from collections.abc import Iterator

import pytest

from tests.crashes.world import World, open_world


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    """Everything, as real processes behind relays."""
    with open_world(request.param) as opened:
        yield opened
