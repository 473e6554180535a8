"""What each request may cost, counted instead of timed: statements, commits, signatures, keys loaded, calls.

The statements are those of PERFORMANCE.md or fewer. SQLite runs as several what PostgreSQL runs as one, for it has no
INSERT or UPDATE inside WITH; there a statement costs no round trip.
"""

from collections.abc import Callable
from typing import Any, cast

import pytest
from flask.testing import FlaskClient
from sqlalchemy import Engine
from werkzeug.test import TestResponse

from authz_server.core import clock
from authz_server.database import db
from authz_server.single_use import buckets
from tests.bench.count import counting
from tests.support.platform import Peer, Platform, answer_of

# statements on PostgreSQL, on SQLite (BEGIN counts there), signatures made, signatures verified, and calls of Python
# functions on PostgreSQL, the test's client included: a tenth more than there are, so that only what costs is noticed
BUDGET = {
    "par": (1, 3, 0, 2, 1150),
    "authorize": (2, 4, 0, 0, 1030),
    "decision": (3, 9, 0, 0, 1280),
    "token": (2, 7, 1, 2, 1000),
    "exchange": (1, 4, 1, 1, 1150),
    "outcome": (1, 3, 0, 0, 790),
    "userinfo": (1, 3, 0, 1, 670),
    "introspection": (1, 3, 0, 1, 760),
    "revocation": (1, 4, 0, 1, 770),
    "sign_in_page": (0, 0, 0, 0, 8000),
    "discovery": (0, 0, 0, 0, 470),
    "jwks": (0, 0, 0, 0, 470),
    "catalogue": (0, 0, 0, 0, 550),
}


class Scene:
    """Prepares each request, so that only its sending is counted."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform
        self.citizen = platform.citizen()
        with platform.app.app_context():
            self.engine: Engine = db.engine

    def prepare(self, operation: str) -> Callable[[], TestResponse]:
        """What to call for one operation, everything before it done."""
        prepared: Callable[[], TestResponse] = getattr(self, operation)()
        return prepared

    def par(self) -> Callable[[], TestResponse]:
        bank = self.platform.bank
        form = {
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "client_assertion": bank.assertion(),
        } | bank.parameters(self.platform.detail("ris.personal"))
        headers = {"DPoP": bank.proof("POST", f"{bank.issuer}/par")}
        return lambda: bank.browser.post("/par", data=form, headers=headers)

    def authorize(self) -> Callable[[], TestResponse]:
        bank = self.platform.bank
        query = {"client_id": bank.client_id, "request_uri": bank.push(self.platform.detail("ris.personal"))}
        return lambda: self.citizen.client.get("/authorize", query_string=query)

    def decision(self) -> Callable[[], TestResponse]:
        page = self.authorize()()
        return lambda: self.citizen.decide(page)

    def token(self) -> Callable[[], TestResponse]:
        code = answer_of(self.decision()())["code"]
        return sending(self.platform.bank, lambda: self.platform.bank.redeem(code))

    def exchange(self) -> Callable[[], TestResponse]:
        granted = self.granted()
        jkt = self.platform.bank.dpop_key.thumbprint
        return sending(
            self.platform.proxy,
            lambda: self.platform.proxy.exchange(granted["access_token"], granted["dataset"], jkt=jkt),
        )

    def outcome(self) -> Callable[[], TestResponse]:
        lease = self.exchange()().get_json()["lease"]
        return lambda: self.platform.proxy.report(lease, "delivered")

    def userinfo(self) -> Callable[[], TestResponse]:
        bank = self.platform.bank
        token = self.token()().get_json()["access_token"]
        proof = bank.proof("GET", f"{bank.issuer}/userinfo", token=token)
        headers = {"Authorization": f"DPoP {token}", "DPoP": proof}
        return lambda: bank.browser.get("/userinfo", headers=headers)

    def introspection(self) -> Callable[[], TestResponse]:
        token = self.granted()["access_token"]
        return sending(self.platform.proxy, lambda: self.platform.proxy.post("/introspect", {"token": token}))

    def revocation(self) -> Callable[[], TestResponse]:
        token = self.granted()["access_token"]
        return sending(self.platform.bank, lambda: self.platform.bank.post("/revoke", {"token": token}))

    def sign_in_page(self) -> Callable[[], TestResponse]:
        return lambda: self.platform.browser().get("/sign-in")

    def discovery(self) -> Callable[[], TestResponse]:
        return lambda: self.platform.bank.browser.get("/.well-known/openid-configuration")

    def jwks(self) -> Callable[[], TestResponse]:
        return lambda: self.platform.bank.browser.get("/jwks")

    def catalogue(self) -> Callable[[], TestResponse]:
        return lambda: self.platform.bank.browser.get("/catalogue")

    def granted(self) -> dict[str, Any]:
        """A dataset token that nobody has used."""
        (granted,) = self.token()().get_json()["authorization_details"]
        found: dict[str, Any] = granted
        return found


class _Held(Exception):
    """A request was built, and not sent."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()
        self.request = (args, kwargs)


class _Holding:
    def post(self, *args: Any, **kwargs: Any) -> TestResponse:
        raise _Held(*args, **kwargs)


def sending(peer: Peer, act: Callable[[], TestResponse]) -> Callable[[], TestResponse]:
    """Let a peer sign and build its last request now, and send it later. `act` must send no other one."""
    browser = peer.browser
    peer.browser = cast(FlaskClient, _Holding())
    try:
        act()
    except _Held as held:
        args, kwargs = held.request
        return lambda: browser.post(*args, **kwargs)
    finally:
        peer.browser = browser
    raise AssertionError("nothing was sent")


@pytest.mark.parametrize("operation", BUDGET)
def test_a_request_keeps_to_its_budget(platform: Platform, operation: str) -> None:
    scene = Scene(platform)
    with clock.frozen(clock.now()):  # else the registry may look for news in the very request that is counted
        scene.prepare(operation)()  # fills caches, compiles statements
        send = scene.prepare(operation)
        with counting(scene.engine) as counts:
            response = send()
        tables = len(buckets.tables_of([clock.now(), clock.now() + buckets.LONGEST_LIFE]))
    assert response.status_code < 400, response.text
    on_postgresql, on_sqlite, signatures, verifications, calls = BUDGET[operation]
    on_sqlite += tables - 1  # one more when a half hour turns
    allowed = on_postgresql if scene.engine.dialect.name == "postgresql" else on_sqlite
    assert counts.statements <= allowed, counts.statement_texts
    assert (counts.signatures, counts.verifications) == (signatures, verifications)
    assert counts.key_loads == 0
    assert scene.engine.dialect.name == "sqlite" or counts.calls <= calls
    # On PostgreSQL each statement is a transaction of its own; on SQLite each decision, and what was read before it.
    assert counts.commits <= (0 if scene.engine.dialect.name == "postgresql" else on_postgresql)


def test_the_budgets_are_tight() -> None:
    assert sum(on_postgresql for on_postgresql, *_ in BUDGET.values()) == 13
