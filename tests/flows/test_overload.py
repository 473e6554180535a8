"""More at once than there is room for, over real sockets: whoever is refused has lost nothing, and may come again."""

import secrets
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
import requests
from flask import Flask

from authz_server.server import SIGN_INS, THREADS
from client_examples.bank_web.client import client_assertion
from client_examples.sandbox.checker import CLIENT_ID
from client_examples.sandbox.sandbox import Sandbox
from tests.support.waiting import wait_until

CROWD = 64


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(banks=(), server={"queue": 1}) as sandbox:
        yield sandbox


def test_whoever_is_refused_has_spent_nothing(sandbox: Sandbox) -> None:
    client = sandbox.checker.client
    forms = [
        {"token": secrets.token_urlsafe()} | client_assertion(CLIENT_ID, client.issuer, client.signing_key)
        for _ in range(CROWD)
    ]
    with ThreadPoolExecutor(CROWD) as pool:
        with closing(sqlite3.connect(sandbox.work / "server" / "mydata.sqlite3", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")  # whoever is let in now waits for this to end
            sent = [pool.submit(revoke, sandbox, form) for form in forms]
            wait_until(lambda: sum(each.done() for each in sent) == CROWD - THREADS, "all others are refused")
            other.execute("ROLLBACK")
        answers = [each.result() for each in sent]
    assert Counter(answer.status_code for answer in answers) == {200: THREADS, 503: CROWD - THREADS}
    for form, answer in zip(forms, answers, strict=True):
        if answer.status_code == 503:
            assert answer.json()["error"] == "temporarily_unavailable"
            assert int(answer.headers["Retry-After"]) >= 1
        # The very same assertion again: who was refused hasn't used it, who was let in has.
        assert revoke(sandbox, form).status_code == {503: 200, 200: 401}[answer.status_code]


def test_no_page_that_hashes_a_password_takes_turns_of_tokens(app: Flask) -> None:
    hashing = {"identity.submit_sign_in", "password_totp.change_password"}
    paths = {rule.endpoint: rule.rule for rule in app.url_map.iter_rules() if rule.endpoint in hashing}
    assert paths.keys() == hashing
    assert all(map(SIGN_INS.is_for, paths.values()))


def revoke(sandbox: Sandbox, form: Mapping[str, str]) -> requests.Response:
    return requests.post(f"{sandbox.issuer}/revoke", data=form, timeout=30)
