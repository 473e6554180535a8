"""Racers on the shared platform of each database."""

from collections.abc import Iterator

import pytest

from tests.races import team
from tests.races.arena import Arena
from tests.races.seeding import Seeds
from tests.support.platform import Platform


@pytest.fixture(scope="session")
def arena(platform: Platform) -> Iterator[Arena]:
    """Racers, and a journey after whose model they get what they fight for."""
    (granted,) = platform.tokens(platform.detail("ris.personal"))["authorization_details"]
    with team.started(platform.settings.database_url) as racers:
        yield Arena(platform, racers, Seeds(platform.engine, platform.catalogue, granted["transaction"]))
