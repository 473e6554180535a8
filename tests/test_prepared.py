"""Where a statement is its own transaction, and where it is not: what an outsider can see of the difference."""

import pytest

from tests.support.platform import Platform
from tests.support.protocol import refused

UNKNOWN = "mdt_" + "x" * 43


def test_a_refused_request_spends_its_assertion_on_postgresql_and_gets_it_back_on_sqlite(platform: Platform) -> None:
    """Both are safe: whoever sends the same request again is refused again."""
    assertion = platform.proxy.assertion()
    for expected in ("invalid_request", {"postgresql": "invalid_client", "sqlite": "invalid_request"}):
        answer = platform.proxy.exchange(UNKNOWN, "ris.personal", jkt="x" * 43, client_assertion=assertion)
        error = expected if isinstance(expected, str) else expected[platform.engine.dialect.name]
        refused(answer, {400, 401}, error)


@pytest.mark.parametrize("endpoint", ["introspect", "revoke"])
def test_an_answered_request_spends_its_assertion_on_both(platform: Platform, endpoint: str) -> None:
    peer = platform.bank if endpoint == "revoke" else platform.proxy
    form = {"token": UNKNOWN, "client_assertion": peer.assertion()}
    assert peer.post(f"/{endpoint}", form).status_code == 200
    refused(peer.post(f"/{endpoint}", form), 401, "invalid_client")
