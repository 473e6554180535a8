"""kill -9 of the authorization server around the answers that matter: decision, code, revocation, end of a lease.

Before the commit nothing has happened and the same request may be sent again; after it the record tells all of it,
although nobody was answered, and sending it again does not do it again.
"""

from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
import requests
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from authz_server.consent.models import AuthorizationCode, AuthorizationRequest
from authz_server.core import clock
from authz_server.core.secrets import digest
from authz_server.database import table_of
from client_examples.bank_web.client import Refused, client_assertion
from client_examples.sandbox.browser import Page
from client_examples.sandbox.checker import CLIENT_ID
from tests.crashes.world import SMALL, Token, World, tokens_of

pytestmark = pytest.mark.race
ASKED_AND_APPROVED = {"consent.requested": 1, "consent.approved": 1}


@dataclass(frozen=True)
class Pair:
    """Two of a kind: one request that the server never got, one that it answered to nobody."""

    unsent: Any
    unheard: Any


@dataclass(frozen=True)
class Crash:
    """What stood at an edge when the server was killed. How each request ended is what its sender saw."""

    pages: Pair  # consent pages whose button was pressed
    codes: Pair  # journeys, with what came back from the citizen
    revoked: Pair  # tokens that were given up
    no_record: Token
    refused: Token
    ended: dict[str, Any]


@pytest.fixture(scope="module")
def crash(world: World) -> Crash:
    """Lead requests of every kind to both sides of their commit, and kill the server once."""
    client, relay = world.sandbox.checker.client, world.relays["server"]
    codes = Pair(*[(asked, world.agree(page)) for asked, page in (world.ask(SMALL) for _ in range(2))])
    let_codes_be_good_for_long(world)
    no_record, refused, *given_up = (world.tokens(SMALL)[0] for _ in range(4))
    revoked = Pair(*given_up)
    pages = Pair(*(world.ask(SMALL) for _ in range(2)))
    holds = [
        relay.hold(b"POST " + path_of(pages.unsent[1]).encode(), at="request"),
        relay.hold(b"POST " + path_of(pages.unheard[1]).encode(), at="answer"),
        relay.hold(b"POST /token", codes.unsent[1]["code"].encode(), at="request"),
        relay.hold(b"POST /token", codes.unheard[1]["code"].encode(), at="answer"),
        relay.hold(b"POST /revoke", revoked.unsent.secret.encode(), at="request"),
        relay.hold(b"POST /revoke", revoked.unheard.secret.encode(), at="answer"),
    ]
    started: dict[str, Future[Any]] = {
        f"{kind} {which}": world.pool.submit(lead, *arguments)
        for which in ("unsent", "unheard")
        for kind, lead, arguments in (
            ("page", press, (world, getattr(pages, which)[1])),
            ("code", client.finish, getattr(codes, which)),
            ("revocation", revoke, (world, getattr(revoked, which))),
        )
    }
    for token, mode, outcome in ((no_record, "no-record", b"no_record"), (refused, "refuse", b"failed")):
        holds.append(relay.hold(token.mark, b"outcome=" + outcome, at="answer"))
        with misbehaving(world, mode):
            started[mode] = world.begin_fetch(token)
            holds[-1].wait_until_reached()
    for hold in holds:
        hold.wait_until_reached()
    world.sandbox.kill("server")
    for hold in holds:
        hold.release(drop=True)
    ended = {name: future.exception() or future.result() for name, future in started.items()}
    world.sandbox.restart("server")
    return Crash(pages, codes, revoked, no_record, refused, ended)


def test_whoever_waited_for_the_server_knows_nothing(crash: Crash) -> None:
    told = {name: end for name, end in crash.ended.items() if not isinstance(end, requests.RequestException)}
    assert told == {"no-record": 503, "refuse": 502}, "the proxy answers for itself"


def test_a_decision_counts_completely_or_not_at_all(world: World, crash: Crash) -> None:
    (asked, unsent), (_, unheard) = crash.pages.unsent, crash.pages.unheard
    assert world.events(transaction_of(world, unsent)) == {}
    assert world.events(transaction_of(world, unheard)) == ASKED_AND_APPROVED
    assert press(world, unheard) is None, "decided once and for all"
    assert world.events(transaction_of(world, unheard)) == ASKED_AND_APPROVED
    # Opened again, because the other decision changed what there is to say about this one.
    answer = press(world, world.browser.open(world.sandbox.issuer + path_of(unsent)))
    assert answer is not None
    world.sandbox.checker.client.finish(asked, answer)
    (token,) = tokens_of(asked)
    assert world.fetch(token) == 200


def test_a_code_is_redeemed_completely_or_not_at_all(world: World, crash: Crash) -> None:
    client = world.sandbox.checker.client
    client.finish(*crash.codes.unsent)
    (token,) = tokens_of(crash.codes.unsent[0])
    assert world.fetch(token) == 200
    with pytest.raises(Refused, match="invalid_grant"):
        client.finish(*crash.codes.unheard)
    known = table_of(AuthorizationCode).c
    with Session(world.engine) as session:
        of_code = select(known.transaction_id).where(known.digest == digest(crash.codes.unheard[1]["code"]))
        transaction = session.execute(of_code).scalar_one()
    once = {"code.redeemed": 1, "token.issued": 1, "code.replayed": 1, "token.revoked": 1}
    assert world.events(transaction) == ASKED_AND_APPROVED | once


def test_a_revocation_survives_that_nobody_was_told_of_it(world: World, crash: Crash) -> None:
    """Class 3 of published vulnerabilities: revocation lost at a restart."""
    assert world.fetch(crash.revoked.unheard) == 401
    assert world.record(crash.revoked.unheard) == {"issued": 1, "revoked": 1}
    assert revoke(world, crash.revoked.unsent) == 200
    assert world.fetch(crash.revoked.unsent) == 401


def test_what_an_agency_said_counts_although_the_proxy_was_not_answered(world: World, crash: Crash) -> None:
    assert world.record(crash.no_record) == {"issued": 1, "leased": 1, "no_record": 1}
    assert world.record(crash.refused) == {"issued": 1, "leased": 1, "failed": 1}
    assert [world.fetch(token) for token in (crash.no_record, crash.refused)] == [200, 200]


def let_codes_be_good_for_long(world: World) -> None:
    """A busy machine needs more than their minute to start a server again."""
    with Session(world.engine) as session, session.begin():
        session.execute(update(AuthorizationCode).values(expires_at=clock.now() + timedelta(hours=1)))


def press(world: World, page: Page) -> dict[str, str] | None:
    """Agree; the parameters that come back to the client, None if nothing does."""
    browser = copy(world.browser)  # the same cookies, an answer of its own
    browser.stopped_at = ""
    browser.submit(page, "consent-approve")
    return dict(parse_qsl(urlsplit(browser.stopped_at).query)) or None


def path_of(page: Page) -> str:
    """Where a consent page is."""
    return page.form_with("consent-approve").action


def transaction_of(world: World, page: Page) -> str:
    """The transaction of the request that a consent page asks about."""
    request = table_of(AuthorizationRequest).c
    with Session(world.engine) as session:
        found = select(request.transaction_id).where(request.id == path_of(page).rpartition("/")[2])
        return str(session.execute(found).scalar_one())


def revoke(world: World, token: Token) -> int:
    """Give up a token; the status of the answer."""
    client = world.sandbox.checker.client
    form = {"token": token.secret} | client_assertion(CLIENT_ID, client.issuer, client.signing_key)
    return requests.post(f"{client.issuer}/revoke", data=form, timeout=60).status_code


@contextmanager
def misbehaving(world: World, mode: str) -> Iterator[None]:
    """Let the agency of the small dataset answer like that for a while."""
    switch = f"{world.sandbox.agency_url}/admin/ris"
    requests.put(f"{switch}/{mode}", timeout=60).raise_for_status()
    try:
        yield
    finally:
        requests.put(f"{switch}/ok", timeout=60).raise_for_status()
