"""Random secrets, their digests, and what is derived from keys. Class of vulnerability: 14."""

import hashlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authz_server.core import secrets

KEY = b"k" * 32


@pytest.mark.parametrize("prefix", ["mdc_", "mda_", "mdt_", "mdl_", "mds_"])
def test_a_secret_is_its_prefix_and_43_url_safe_characters(prefix: str) -> None:
    assert re.fullmatch(prefix + r"[A-Za-z0-9_-]{43}", secrets.new_secret(prefix))


def test_secrets_differ() -> None:
    assert len({secrets.new_secret("mdt_") for _ in range(1000)}) == 1000


def test_the_digest_is_sha256() -> None:
    assert secrets.digest("mdt_abc") == hashlib.sha256(b"mdt_abc").digest()


@given(st.text())
def test_any_text_has_a_digest_lone_surrogates_too(text: str) -> None:
    assert len(secrets.digest(text + "\ud800")) == 32


def test_equal_compares_text_and_octets_alike() -> None:
    assert secrets.equal("é", "é".encode())
    assert not secrets.equal("a", "b")
    assert not secrets.equal("a", "")


def test_what_is_derived_depends_on_the_key() -> None:
    assert secrets.derive(KEY, "csrf", "x") == secrets.derive(KEY, "csrf", "x")
    assert secrets.derive(KEY, "csrf", "x") != secrets.derive(b"j" * 32, "csrf", "x")


def test_what_is_derived_is_43_url_safe_characters() -> None:
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}", secrets.derive(KEY, "csrf"))


@given(st.lists(st.text(max_size=5), max_size=4), st.lists(st.text(max_size=5), max_size=4))
def test_different_labels_never_derive_the_same(some: list[str], others: list[str]) -> None:
    assert (secrets.derive(KEY, *some) == secrets.derive(KEY, *others)) == (some == others)
