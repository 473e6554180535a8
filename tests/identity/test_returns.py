"""Class 7 of published vulnerabilities: no way out of this server through `return_to`."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authz_server.identity.returns import HOME, local_path

HOSTILE = (
    "",
    "record",
    "//evil.example",
    "///evil.example",
    "////evil.example/%2e%2e",
    "/\\evil.example",
    "\\\\evil.example",
    "/\\/evil.example",
    "\\/evil.example",
    "/\t/evil.example",
    "/\n/evil.example",
    "/\r\nLocation: https://evil.example",
    "\t//evil.example",
    " //evil.example",
    "\x00//evil.example",
    "https://evil.example",
    "https:evil.example",
    "HTTPS://evil.example",
    "http:\\\\evil.example",
    "javascript:alert(1)",
    "data:text/html,x",
    "mailto:a@evil.example",
    "/@evil.example",
    "@evil.example",
    "/record@evil.example",
    "https://id.example@evil.example",
    "https://id.example.evil.example",
    "/%2f/evil.example",
    "/%2fevil.example",
    "/%5cevil.example",
    "/%09/evil.example",
    "/%0d%0aLocation:%20https://evil.example",
    "/./evil.example",
    "/.//evil.example",
    "/..//evil.example",
    "/record/..//evil.example",
    "/record//evil.example",
    "/record#//evil.example",
    "/;//evil.example",
    "/record?next=https://evil.example",
    "/record?next=//evil.example",
    "/\u2215evil.example",
    "/\uff0f\uff0fevil.example",
    "/record\n",
    "/" + "a" * 5000,
)


@pytest.mark.parametrize("value", HOSTILE)
def test_hostile_values_lead_home(value: str) -> None:
    assert local_path(value) == HOME


@pytest.mark.parametrize(
    "value", ["/", "/record", "/record?before=17", "/consent/Ab-_9/outcome", "/a.b/c~d?x=1&y=", "/mine?"]
)
def test_pages_of_this_server_are_returned_to(value: str) -> None:
    assert local_path(value) == value


@given(st.text(alphabet=st.sampled_from("/\\.:@%?#&=\t\n aé09-"), max_size=12))
def test_what_is_accepted_is_a_plain_path(value: str) -> None:
    accepted = local_path(value)
    assert accepted in {HOME, value}
    assert accepted.startswith("/")
    assert not accepted.startswith(("//", "/\\"))
    assert not set(accepted) & set("\\:@%#\t\n ")
