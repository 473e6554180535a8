"""More at once than there is room for, over real sockets: whoever is refused has lost nothing, and may come again."""

import os
import secrets
import sqlite3
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
import requests
from flask import Flask

from authz_server.config import Settings
from authz_server.server import SIGN_INS, THREADS
from client_examples.sandbox.processes import Process
from tests.support.commands import settings_file
from tests.support.platform import ASSERTION_TYPE, Platform
from tests.support.ports import free_port
from tests.support.waiting import wait_until

CROWD = 64


@pytest.fixture
def server(own_platform: Platform, settings: Settings, tmp_path: Path) -> Iterator[str]:
    """Where it is, in a process of its own and with room for one who waits."""
    bind = f"127.0.0.1:{free_port()}"
    process = Process(
        name="server",
        command=[Path(sys.executable).with_name("mydata"), "serve"],
        folder=tmp_path,
        log_file=tmp_path / "log",
        environment=os.environ
        | {"MYDATA_SETTINGS": str(settings_file(settings, tmp_path)), "MYDATA_BIND": bind, "MYDATA_QUEUE": "1"},
        health_url=f"http://{bind}/health",
    )
    process.start()
    try:
        process.wait_until_healthy()
        yield f"http://{bind}"
    finally:
        process.stop()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_whoever_is_refused_has_spent_nothing(own_platform: Platform, server: str, tmp_path: Path) -> None:
    bank = own_platform.bank
    forms = [
        {
            "token": secrets.token_urlsafe(),
            "client_assertion_type": ASSERTION_TYPE,
            "client_assertion": bank.assertion(),
        }
        for _ in range(CROWD)
    ]
    with ThreadPoolExecutor(CROWD) as pool:
        with closing(sqlite3.connect(tmp_path / "mydata.sqlite3", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")  # whoever is let in now waits for this to end
            sent = [pool.submit(revoke, server, form) for form in forms]
            wait_until(lambda: sum(each.done() for each in sent) == CROWD - THREADS, "all others are refused")
            other.execute("ROLLBACK")
        answers = [each.result() for each in sent]
    assert Counter(answer.status_code for answer in answers) == {200: THREADS, 503: CROWD - THREADS}
    for form, answer in zip(forms, answers, strict=True):
        if answer.status_code == 503:
            assert answer.json()["error"] == "temporarily_unavailable"
            assert int(answer.headers["Retry-After"]) >= 1
        # The very same assertion again: who was refused hasn't used it, who was let in has.
        assert revoke(server, form).status_code == {503: 200, 200: 401}[answer.status_code]


def test_no_page_that_hashes_a_password_takes_turns_of_tokens(app: Flask) -> None:
    hashing = {"identity.submit_sign_in", "password_totp.change_password"}
    paths = {rule.endpoint: rule.rule for rule in app.url_map.iter_rules() if rule.endpoint in hashing}
    assert paths.keys() == hashing
    assert all(map(SIGN_INS.is_for, paths.values()))


def revoke(server: str, form: Mapping[str, str]) -> requests.Response:
    return requests.post(f"{server}/revoke", data=form, timeout=30)
