"""Signing in by somebody else's OpenID Provider, which is a real one: node-oidc-provider."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import requests
from werkzeug.test import TestResponse

from authz_server.catalogue.model import Text
from authz_server.config import Settings
from authz_server.neighbours import UpstreamSettings
from client_examples.sandbox.nodejs import node
from tests.support.platform import CitizenBrowser, Platform, hidden_fields
from tests.support.tree import ROOT

PROGRAM = ROOT / "tests" / "support" / "node_provider" / "server.js"
SET_UP = "/account/methods/provider"
SECRET = "s3cret:% of the bank's"
WAY_BACK = "/sign-in/provider/bank"


@contextmanager
def served(issuer: str, *, subject: str | None, acr: str) -> Iterator[str]:
    """The provider's issuer, while it serves. Args: issuer: ours; subject: whom it signs in."""
    document = {
        "client_id": "mydata",
        "client_secret": SECRET,
        "redirect_uri": f"{issuer}{WAY_BACK}",
        "subject": subject,
        "acr": acr,
    }
    program = subprocess.Popen([node(), PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert program.stdin is not None
        assert program.stdout is not None
        program.stdin.write(json.dumps(document))
        program.stdin.close()
        yield program.stdout.readline().strip()
    finally:
        program.kill()
        program.wait()
        assert program.stdout is not None
        program.stdout.close()


@pytest.fixture(params=[("5-subject", "high")])
def settings(request: pytest.FixtureRequest, settings: Settings, tmp_path: Path) -> Iterator[Settings]:
    """A server to which a bank vouches for people: its "high" is level 2, and 3 the best that any provider gets."""
    subject, acr = request.param
    (tmp_path / "bank.secret").write_text(SECRET)
    (tmp_path / "bank.secret").chmod(0o600)
    with served(settings.issuer, subject=subject, acr=acr) as issuer:
        bank = UpstreamSettings(
            name=Text(zh="甲銀行", en="Bank A"),
            issuer=issuer,
            client_id="mydata",
            acr={"high": 2},
            secret_file=tmp_path / "bank.secret",
            timeout_s=60,
        )
        levels = {**settings.method_levels, "upstream": 3}
        yield replace(settings, upstream={"bank": bank}, method_levels=levels)


def journey(browser: CitizenBrowser, page: TestResponse, path: str) -> TestResponse:
    """Press the provider's button, go there as a browser does, and come back with what it answers."""
    form = hidden_fields(page.text) | {"provider": "bank"}
    left = browser.client.post(path, data=form)
    assert left.status_code == 200, left.text
    there = requests.Session()
    url = left.headers["Refresh"].removeprefix("0; url=")
    for _ in range(10):
        answer = there.get(url, allow_redirects=False, timeout=60)
        assert answer.status_code == 303, answer.text
        url = requests.compat.urljoin(url, answer.headers["Location"])
        if WAY_BACK in url:
            break
    return browser.client.get(url[url.index(WAY_BACK) :])


def connect(platform: Platform) -> TestResponse:
    """Let citizen1, who has proved more, connect the account at the bank."""
    browser = platform.citizen()
    return journey(browser, browser.client.get(SET_UP), SET_UP)


def test_who_has_connected_it_reads_that_it_is_ready(own_platform: Platform) -> None:
    added, browser = connect(own_platform), own_platform.citizen()
    assert "The new way to sign in is ready." in browser.client.get(f"{added.location}&lang=en").text


def sign_in(browser: CitizenBrowser, location: str = "/sign-in?return_to=/account/methods") -> TestResponse:
    page = browser.client.get(f"{location}&method=upstream")
    return journey(browser, page, "/sign-in/provider")


def test_whoever_has_connected_it_signs_in_by_it(own_platform: Platform) -> None:
    added = connect(own_platform)
    assert (added.status_code, added.location) == (303, "/account/methods?added=1")
    stranger = own_platform.citizen(signed_in=False)
    answer = sign_in(stranger)
    assert (answer.status_code, answer.location) == (303, "/account/methods")
    page = stranger.client.get(answer.location)
    assert page.status_code == 200
    assert "Bank A" in page.text or "甲銀行" in page.text


def test_a_request_goes_on_when_they_come_back(own_platform: Platform) -> None:
    connect(own_platform)
    bank, browser = own_platform.bank, own_platform.citizen(signed_in=False)
    detail = own_platform.detail("nhi.premiums", period="2025-01/2025-06")  # level 3
    query = {"client_id": bank.client_id, "request_uri": bank.push(detail)}
    asked = browser.client.get("/authorize", query_string=query)
    answer = sign_in(browser, asked.location)
    assert answer.status_code == 303
    assert answer.location.startswith("/consent/")
    assert browser.client.get(answer.location).status_code == 200


def test_somebody_whom_nobody_has_connected_stays_outside(own_platform: Platform) -> None:
    browser = own_platform.citizen(signed_in=False)
    answer = sign_in(browser)
    assert answer.status_code == 400
    assert "尚未連結" in answer.text
    assert browser.client.get("/account/methods").location.startswith("/sign-in")


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (("5-subject", "lower"), ("does not count here", "本平臺不接受")),
        ((None, "high"), ("You cancelled there", "您在對方那裡取消了")),
    ],
    indirect=["settings"],
)
def test_an_answer_that_does_not_suffice_is_told_in_words(own_platform: Platform, told: tuple[str, str]) -> None:
    assert told[0] in connect(own_platform).text
    answer = sign_in(own_platform.citizen(signed_in=False))
    assert answer.status_code == 400
    assert told[1] in answer.text
