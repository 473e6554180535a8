"""Class 7: the server as somebody's open door (Authlib CVE-2026-44681, Duende CVE-2024-39694)."""

import pytest

from tests.support.platform import Platform, hidden_fields
from tests.support.protocol import error_page

RETURNS = [
    "https://attacker.example/",
    "//attacker.example/",
    "///attacker.example/",
    "/\\attacker.example/",
    "/\t/attacker.example/",
    "/%09/attacker.example",
    "/%2f/attacker.example",
    "\\\\attacker.example",
    "/@attacker.example",
    "@attacker.example",
    "/.//attacker.example",
    "/record@attacker.example",
    "javascript:alert(1)",
    "/ok\r\nLocation: https://attacker.example",
]
QUERIES = [
    {"redirect_uri": "https://attacker.example/"},
    {"client_id": "nobody", "redirect_uri": "https://attacker.example/"},
    {"client_id": "jia-bank", "redirect_uri": "https://attacker.example/", "response_type": "code"},
    {"client_id": "jia-bank", "request_uri": "https://attacker.example/", "redirect_uri": "https://attacker.example/"},
    {"client_id": "jia-bank", "request_uri": "urn:ietf:params:oauth:request_uri:x", "error": "x", "state": "x"},
    {"client_id": "jia-bank", "redirect_uri": "https://bank.example/callback", "prompt": "none"},
]


@pytest.mark.parametrize("query", QUERIES)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_before_client_and_uri_are_known_nobody_is_sent_anywhere(
    platform: Platform, query: dict[str, str], method: str
) -> None:
    client = platform.citizen().client
    answer = client.get("/authorize", query_string=query) if method == "GET" else client.post("/authorize", data=query)
    # The page's own address, in the link that changes its language, repeats the query in encoded form only.
    assert "//attacker.example" not in error_page(answer)


@pytest.mark.parametrize("path", RETURNS)
def test_a_return_address_is_a_path_of_ours_or_home(platform: Platform, path: str) -> None:
    signed_in = platform.citizen().client
    assert signed_in.get("/sign-in", query_string={"return_to": path}).location == "/"
    stranger = platform.browser()
    page = stranger.get("/sign-in", query_string={"return_to": path})
    assert hidden_fields(page.text).get("return_to", "/") == "/"
    form = hidden_fields(page.text) | {"return_to": path, "action": "cancel"}
    assert stranger.post("/sign-in", data=form).location == "/"
