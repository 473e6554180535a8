"""What a fetch may cost, counted and not timed."""

from flask import Flask
from werkzeug.datastructures import Headers
from werkzeug.test import EnvironBuilder

from tests.core.test_cost import calls
from tests.resource_proxy.people import DATASET, Authz, Client, looks_sealed, new_token
from tests.resource_proxy.wire import Peer, reply

# What was measured, and a tenth; urllib3 for the three requests of a fetch had made it 2862.
MOST_CALLS = 1270


def test_the_functions_called_per_fetch_stay_within(app: Flask, authz: Authz, agency: Peer, client: Client) -> None:
    agency.answer = lambda _: reply(200, looks_sealed(1024), content_type="application/jose")
    headers = [Headers(client.headers(new_token())) for _ in range(2)]
    requests = [EnvironBuilder(f"/data/{DATASET}", headers=each).get_environ() for each in headers]

    def fetch() -> None:
        assert sum(map(len, app(requests.pop(), lambda *_: lambda _: None))) == 1024

    assert calls(fetch) <= MOST_CALLS
    assert authz.said == ["delivered", "delivered"]
