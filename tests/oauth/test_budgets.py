"""What each request may cost, counted instead of timed: statements, commits, signatures, keys loaded, calls.

SQLite runs as several what PostgreSQL runs as one, for it has no INSERT or UPDATE inside WITH; there a statement costs
no round trip.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any, cast

import pytest
from flask.testing import FlaskClient
from sqlalchemy import Engine
from werkzeug.test import TestResponse

from authz_server.core import clock
from authz_server.database import db
from authz_server.prepared import Lone, lone_connection
from authz_server.single_use import buckets
from tests.bench.count import counting
from tests.support.platform import Peer, Platform, answer_of

# statements on PostgreSQL, on SQLite (BEGIN counts there), signatures made, signatures verified, and calls of Python
# functions on PostgreSQL, the test's client included: a tenth more than there are, so that only what costs is noticed;
# and records in PostgreSQL's log, one for each row, index and lock that is written: as many as there are and a few,
# for a page may be full
BUDGET = {
    "par": (1, 3, 0, 2, 1150, 13),
    "authorize": (2, 4, 0, 0, 1030, 4),
    "decision": (3, 9, 0, 0, 1280, 27),
    "token": (2, 7, 1, 2, 1000, 29),
    "exchange": (1, 4, 1, 1, 1040, 21),
    "outcome": (1, 3, 0, 0, 630, 14),
    "userinfo": (1, 3, 0, 1, 670, 6),
    "introspection": (1, 3, 0, 1, 760, 6),
    "revocation": (1, 4, 0, 1, 770, 16),
    "sign_in_page": (0, 0, 0, 0, 8800, 0),
    "discovery": (0, 0, 0, 0, 470, 0),
    "jwks": (0, 0, 0, 0, 470, 0),
    "catalogue": (0, 0, 0, 0, 550, 0),
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


def between_turns() -> datetime:
    """Now, or soon, when an identifier is put into one table: where a half hour turns, it would be put into two."""
    moment = clock.now()
    while len(buckets.tables_of([moment, moment + buckets.LONGEST_LIFE])) > 1:
        moment += buckets.LONGEST_LIFE
    return moment


def log_records(engine: Engine) -> int:
    """How many records PostgreSQL's process behind the next request has written to its log (WAL); 0 on SQLite."""
    with lone_connection(engine, read_only=True) as connection:
        if not isinstance(connection, Lone):
            return 0
        run = connection.connection.execute
        run("SELECT pg_stat_force_next_flush()")
        row = run("SELECT wal_records FROM pg_stat_get_backend_wal(pg_backend_pid())").fetchone()
    assert row is not None
    return int(row[0])


@pytest.mark.parametrize("operation", BUDGET)
def test_a_request_keeps_to_its_budget(platform: Platform, operation: str) -> None:
    scene = Scene(platform)
    with clock.frozen(between_turns()):  # else the registry may look for news in the very request that is counted
        scene.prepare(operation)()  # fills caches, compiles statements
        send = scene.prepare(operation)
        before = log_records(scene.engine)
        with counting(scene.engine) as counts:
            response = send()
        records = log_records(scene.engine) - before
        # Now and then a page is full and split, or what nobody sees any more is taken out of it, which is written as
        # well: not each time.
        for _ in range(5):
            if records <= BUDGET[operation][-1]:
                break
            send = scene.prepare(operation)
            before = log_records(scene.engine)
            send()
            records = log_records(scene.engine) - before
    assert response.status_code < 400, response.text
    on_postgresql, on_sqlite, signatures, verifications, calls, log = BUDGET[operation]
    allowed = on_postgresql if scene.engine.dialect.name == "postgresql" else on_sqlite
    assert counts.statements <= allowed, counts.statement_texts
    assert (counts.signatures, counts.verifications) == (signatures, verifications)
    assert counts.key_loads == 0
    assert scene.engine.dialect.name == "sqlite" or counts.calls <= calls
    assert records <= log
    # On PostgreSQL each statement is a transaction of its own; on SQLite each decision, and what was read before it.
    assert counts.commits <= (0 if scene.engine.dialect.name == "postgresql" else on_postgresql)


def test_the_budgets_are_tight() -> None:
    assert sum(on_postgresql for on_postgresql, *_ in BUDGET.values()) == 13
