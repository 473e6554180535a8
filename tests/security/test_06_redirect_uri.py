"""Class 6: a redirect URI that is almost a registered one.

Where it happened: authentik CVE-2024-52289, CVE-2026-41569; Keycloak CVE-2023-6291, CVE-2024-8883; fosite
CVE-2020-15233. Our rule: the very octets.
"""

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.support.platform import CALLBACK, Platform
from tests.support.protocol import pushed, refused

MUTANTS = [
    "https://bank.example/callback/",
    "https://bank.example/callbackx",
    "https://bank.example/callbac",
    "https://bank.example/",
    "https://bank.example",
    "https://bank.example/callback/../callback",
    "https://bank.example/x/../callback",
    "https://bank.example/./callback",
    "https://bank.example//callback",
    "https://bank.example/callback?",
    "https://bank.example/callback?x=1",
    "https://bank.example/callback?code=1",
    "https://bank.example/callback#",
    "https://bank.example/callback#x",
    "https://bank.example/callback;x=1",
    "https://bank.example/callback%00",
    "https://bank.example/callback%20",
    "https://bank.example/%63allback",
    "https://bank.example/callback%2f..",
    "https://bank.example/Callback",
    "https://BANK.example/callback",
    "HTTPS://bank.example/callback",
    "http://bank.example/callback",
    "https://bank.example:443/callback",
    "https://bank.example:8443/callback",
    "https://bank.example./callback",
    "https://user@bank.example/callback",
    "https://bank.example@attacker.example/callback",
    "https://bank.example:x@attacker.example/callback",
    "https://attacker.example/callback",
    "https://bank.example.attacker.example/callback",
    "https://attackerbank.example/callback",
    "https://sub.bank.example/callback",
    "https://bаnk.example/callback",
    "https://xn--bnk-5cd.example/callback",
    "https://bank.example\\callback",
    "https://bank.example\\@attacker.example/callback",
    "https:/bank.example/callback",
    "https:bank.example/callback",
    "//bank.example/callback",
    "/callback",
    "bank.example/callback",
    " https://bank.example/callback",
    "https://bank.example/callback ",
    "https://bank.example/callback\t",
    "https://bank.example/callback\n",
    "https://bank.example/*",
    "https://*/callback",
    "https://[::1]/callback",
    "https://127.0.0.1/callback",
    "javascript:alert(1)//https://bank.example/callback",
    "data:text/html,https://bank.example/callback",
    "bank.example:/callback",
    f"{CALLBACK} {CALLBACK}",
    f"{CALLBACK},{CALLBACK}",
]


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_mutant_is_refused(platform: Platform, mutant: str) -> None:
    refused(pushed(platform.bank, redirect_uri=mutant), 400, "invalid_request")


def test_the_registered_one_is_accepted(platform: Platform) -> None:
    assert pushed(platform.bank, redirect_uri=CALLBACK).status_code == 201


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, len(CALLBACK)), st.integers(0, 3), st.text(max_size=3))
@example(0, 0, "")
def test_any_edit_is_refused(platform: Platform, start: int, removed: int, added: str) -> None:
    edited = CALLBACK[:start] + added + CALLBACK[start + removed :]
    answer = pushed(platform.bank, redirect_uri=edited)
    assert answer.status_code == (201 if edited == CALLBACK else 400), edited


def test_a_uri_of_another_client_is_not_registered_for_this_one(platform: Platform) -> None:
    body = refused(pushed(platform.bank, redirect_uri="https://other.example/callback"), 400)
    assert body["error_description"] == "redirect_uri is not registered"
