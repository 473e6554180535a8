"""Tokens of forms: for one browser and one action."""

import pytest

from authz_server.identity.csrf import check, csrf_token


def test_a_token_is_for_its_cookie_and_its_action() -> None:
    token = csrf_token("mds_one", "consent:r1")
    assert check("mds_one", "consent:r1", token)
    assert not check("mds_two", "consent:r1", token)
    assert not check("mds_one", "consent:r2", token)
    assert not check("mds_one", "sign-out", token)


def test_a_token_tells_nothing_about_the_cookie() -> None:
    assert "mds_one" not in csrf_token("mds_one", "sign-out")


@pytest.mark.parametrize(
    ("cookie", "token"), [(None, "x"), ("", "x"), ("mds_one", None), ("mds_one", ""), (None, None)]
)
def test_what_is_missing_never_matches(cookie: str | None, token: str | None) -> None:
    assert not check(cookie, "sign-out", token)


def test_no_cookie_is_not_the_empty_cookie() -> None:
    assert not check("", "sign-out", csrf_token("", "sign-out"))


@pytest.mark.parametrize("odd", ["é", "\udc80", "\0", "x" * 10_000])
def test_odd_input_is_just_wrong(odd: str) -> None:
    assert not check("mds_one", "sign-out", odd)
    assert not check(odd, "sign-out", "x")
