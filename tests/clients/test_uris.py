"""Redirect URIs that may be registered, and the tricks that may not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authz_server.clients.uris import redirect_uri_problem, url_problem

GOOD = [
    "https://bank.example/callback",
    "https://bank.example",
    "https://bank.example:8443/a/b?tenant=1&x=%20",
    f"https://{'b' * 63}.b-ank.example/callback",
    f"https://{'b.' * 122}b.example/callback",
    "https://xn--fiq228c.example/callback",
    "https://[2001:db8::1]/callback",
]
LOCAL = ["http://127.0.0.1:5000/callback", "http://localhost/callback", "http://[::1]:80/callback"]
BAD = [
    "",
    "callback",
    "/callback",
    "//bank.example/callback",
    "https:/bank.example",
    "https:///callback",
    "https://",
    "https://:443/",
    "http://bank.example/callback",
    "http://127.0.0.1.bank.example/callback",
    "http://localhost.bank.example/callback",
    "http://127.0.0.2/callback",
    "HTTPS://bank.example/callback",
    "https://Bank.example/callback",
    "https://bank.example./callback",
    "https://.bank.example/callback",
    "https://bank..example/callback",
    "https://-bank.example/callback",
    f"https://{'b' * 64}.example/callback",
    f"https://{'b.' * 123}example2/callback",
    "https://[::::]/callback",
    "https://[1]/callback",
    "https://bank.example:0/callback",
    "https://bank.example:/callback",
    "https://bank.example:99999/callback",
    "https://user@bank.example/callback",
    "https://user:password@bank.example/callback",
    "https://bank.example@evil.example/callback",
    "https://bank.example\\@evil.example/callback",
    "https://bank.example/callback#fragment",
    "https://bank.example/callback#",
    "https://bank.example/call back",
    "https://bank.example/call\tback",
    "https://bank.example/callback\n",
    "https://bank.example/\u202eback",
    "https://銀行.example/callback",
    "https://bank.example/a/../callback",
    "https://bank.example/a/%2e%2E/callback",
    "https://bank.example/./callback",
    "https://*.bank.example/callback",
    "https://bank.example/callback?code=1",
    "https://bank.example/callback?x=1&state=",
    "https://bank.example/callback?%63ode=1",
    "https://bank.example/callback?iss=x",
    "https://bank.example/callback?error=x",
    "https://bank.example/callback?response=x",
    "javascript:alert(1)",
    "javascript://bank.example/%0aalert(1)",
    "data:text/html,x",
    "vbscript:x",
    "file:///etc/passwd",
    "ftp://bank.example/callback",
    "bank.example:/callback",
    "urn:ietf:wg:oauth:2.0:oob",
    "https://bank.example/'x",
    'https://bank.example/"x',
    "https://bank.example/<x>",
    "https://[::1/callback",
    "https://[fe80::1%25eth0]/callback",
    "https://bank.example/" + "a" * 2000,
]


@pytest.mark.parametrize("uri", GOOD)
def test_a_plain_https_uri_is_accepted(uri: str) -> None:
    assert redirect_uri_problem(uri, sandbox=False) is None


@pytest.mark.parametrize("uri", LOCAL)
def test_http_is_for_loopback_in_the_sandbox_only(uri: str) -> None:
    assert redirect_uri_problem(uri, sandbox=True) is None
    assert redirect_uri_problem(uri, sandbox=False) is not None


@pytest.mark.parametrize("uri", BAD)
def test_anything_that_two_parsers_may_read_differently_is_refused(uri: str) -> None:
    assert redirect_uri_problem(uri, sandbox=True) is not None


@given(st.text(max_size=60) | st.from_regex(r"https://[ -~]{0,40}", fullmatch=True))
def test_any_text_gets_an_answer(url: str) -> None:
    for sandbox in (False, True):
        problem = url_problem(url, sandbox=sandbox)
        assert problem is None or problem.isascii()
