"""Class 2 of published vulnerabilities, over real sockets: sixteen at once at servers of two processes, one wins."""

import secrets
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from copy import copy
from functools import partial
from typing import Any

import pytest
import requests

from client_examples.bank_web.client import Journey, client_assertion, dpop_proof
from client_examples.sandbox.browser import Page
from client_examples.sandbox.checker import CLIENT_ID
from tests.crashes.world import SMALL, World
from tests.races.arena import rounds
from tests.support.waiting import wait_until

pytestmark = pytest.mark.race
RACERS = 16
LOSERS = RACERS - 1
BUSY = 503
ROUNDS = rounds(5)

Send = Callable[[], int | None]  # the status of the answer, None if there was none


def race(world: World, sends: Sequence[Send]) -> Counter[int | None]:
    """Send all at once; how often which status came back."""
    start = threading.Barrier(len(sends))

    def run(send: Send) -> int | None:
        start.wait()
        return once_admitted(send)

    return Counter(world.pool.map(run, sends))


def once_admitted(send: Send) -> int | None:
    """The status of the answer. Where a disk is slow, some are told to come back (503); nothing was changed by them."""
    statuses: list[int | None] = []

    def is_answered() -> bool:
        statuses.append(send())
        return statuses[-1] != BUSY

    wait_until(is_answered, "an answer by a server that has room")
    return statuses[-1]


def server(world: World, path: str) -> str:
    """An address of the authorization server behind its relay, so that nothing slows the racers down."""
    return f"http://127.0.0.1:{world.ports['server']}{path}"


def test_a_dataset_token_is_fetched_once(world: World) -> None:
    for _ in range(ROUNDS):
        (token,) = world.tokens(SMALL)
        assert race(world, [partial(world.fetch, token)] * RACERS) == {200: 1, 401: LOSERS}
        assert token.complete == 1
        assert world.record(token) == {"issued": 1, "leased": 1, "delivered": 1}


def test_a_code_is_redeemed_once(world: World) -> None:
    for _ in range(ROUNDS):
        asked, page = world.ask(SMALL)
        code = world.agree(page)["code"]
        assert race(world, [status(partial(redeem, world, asked, code))] * RACERS) == {200: 1, 400: LOSERS}


def test_a_client_assertion_is_taken_once(world: World) -> None:
    client = world.sandbox.checker.client
    for _ in range(ROUNDS):
        form = {"token": secrets.token_urlsafe()} | client_assertion(CLIENT_ID, client.issuer, client.signing_key)
        assert race(world, [post(server(world, "/revoke"), data=form)] * RACERS) == {200: 1, 401: LOSERS}


def test_a_dpop_proof_is_taken_once(world: World) -> None:
    asked, page = world.ask(SMALL)
    access_token = redeem(world, asked, world.agree(page)["code"]).json()["access_token"]
    for _ in range(ROUNDS):
        proof = dpop_proof(asked.dpop_key, "GET", f"{world.sandbox.issuer}/userinfo", access_token=access_token)
        headers = {"Authorization": f"DPoP {access_token}", "DPoP": proof}
        assert race(world, [get(server(world, "/userinfo"), headers=headers)] * RACERS) == {200: 1, 401: LOSERS}


def test_a_proof_for_the_proxy_is_taken_once(world: World) -> None:
    for _ in range(ROUNDS):
        (token,) = world.tokens(SMALL)
        proof = dpop_proof(token.journey.dpop_key, "GET", token.url, access_token=token.secret)
        headers = {"Authorization": f"DPoP {token.secret}", "DPoP": proof}
        assert race(world, [get(token.url, headers=headers)] * RACERS) == {200: 1, 401: LOSERS}


@pytest.mark.parametrize("second", ["consent-approve", "consent-deny"])
def test_a_request_is_decided_once(world: World, second: str) -> None:
    for _ in range(ROUNDS):
        _, page = world.ask(SMALL)
        start = threading.Barrier(RACERS)

        def press(button: str, page: Page = page, start: threading.Barrier = start) -> str:
            browser = copy(world.browser)  # the same cookies, an answer of its own
            browser.stopped_at = ""
            start.wait()
            status = once_admitted(lambda: browser.submit(page, button).status)
            return "decided" if browser.stopped_at else str(status)

        ended = Counter(world.pool.map(press, ["consent-approve", second] * (RACERS // 2)))
        assert ended == {"decided": 1, "400": LOSERS}


def redeem(world: World, asked: Journey, code: str) -> requests.Response:
    """Present a code at the token endpoint, with an assertion and a proof of its own."""
    client = world.sandbox.checker.client
    form = {"grant_type": "authorization_code", "code": code, "code_verifier": asked.verifier}
    return requests.post(
        server(world, "/token"),
        data=form | client_assertion(CLIENT_ID, client.issuer, client.signing_key),
        headers={"DPoP": dpop_proof(asked.dpop_key, "POST", f"{client.issuer}/token")},
        timeout=60,
    )


def post(url: str, **more: Any) -> Send:
    return status(partial(requests.post, url, allow_redirects=False, timeout=60, **more))


def get(url: str, **more: Any) -> Send:
    return status(partial(requests.get, url, allow_redirects=False, timeout=60, **more))


def status(send: Callable[[], requests.Response]) -> Send:
    return lambda: send().status_code
