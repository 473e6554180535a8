"""What others encrypt to us, and what is refused. Class of vulnerability: 34 (oversized, compressed)."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jwcrypto import jwe, jwk

from authz_server.core import jose
from tests.core.keys import b64, foreign_key, own_keys

ALL = ("ECDH-ES", "ECDH-ES+A256KW", "RSA-OAEP-256")


def foreign_encrypt(plaintext: bytes, alg: str = "ECDH-ES", **header: Any) -> str:
    """Return a compact JWE by jwcrypto to our own key for `alg`; a header of None is left out."""
    keys = own_keys(alg)
    members = {"alg": alg, "enc": "A256GCM", "kid": keys.get(alg).kid} | header
    kept = {name: value for name, value in members.items() if value is not None}
    token = jwe.JWE(plaintext, protected=json.dumps(kept), algs=[kept["alg"], kept["enc"]])
    token.add_recipient(jwk.JWK(**jose.public_jwks(keys)["keys"][0]))
    compact: str = token.serialize(compact=True)
    return compact


@pytest.mark.parametrize("alg", ALL)
def test_we_open_what_jwcrypto_encrypts(alg: str) -> None:
    assert jose.decrypt(foreign_encrypt(b"package", alg, cty="JWT"), own_keys(alg)) == b"package"


@given(st.binary(max_size=2000))
@settings(max_examples=30)
def test_the_plaintext_comes_back(plaintext: bytes) -> None:
    keys = own_keys("ECDH-ES")
    assert jose.decrypt(jose.encrypt(plaintext, keys.get("ECDH-ES")), keys) == plaintext


def test_an_unknown_kid_is_told_apart() -> None:
    with pytest.raises(jose.KeyNotFound):
        jose.decrypt(foreign_encrypt(b"", kid="other"), own_keys("ECDH-ES"))


def test_without_kid_the_only_fitting_key_is_taken() -> None:
    assert jose.decrypt(foreign_encrypt(b"package", kid=None), own_keys("ECDH-ES")) == b"package"


def test_without_kid_two_fitting_keys_are_one_too_many() -> None:
    keys = jose.parse_private_keys({"keys": [jose.generate_key("ECDH-ES")]})
    with pytest.raises(jose.BadToken, match="one key"):
        jose.decrypt(foreign_encrypt(b"", kid=None), jose.KeySet([*own_keys("ECDH-ES"), *keys]))


def test_a_named_key_serves_no_algorithm_but_its_own() -> None:
    signing = own_keys("ES256").get("ES256")
    with pytest.raises(jose.BadToken, match="one key"):
        jose.decrypt(foreign_encrypt(b"", kid=signing.kid), jose.KeySet([signing, *own_keys("ECDH-ES")]))


@pytest.mark.parametrize("kid", [1, [], {}])
def test_a_kid_that_is_no_string_is_refused(kid: object) -> None:
    with pytest.raises(jose.BadToken):
        jose.decrypt(foreign_encrypt(b"", kid=kid), own_keys("ECDH-ES"))


def test_a_compressed_token_is_refused() -> None:
    with pytest.raises(jose.BadToken, match="never"):
        jose.decrypt(foreign_encrypt(b"0" * 10**6, zip="DEF"), own_keys("ECDH-ES"))


@pytest.mark.parametrize(
    ("alg", "enc"), [("ECDH-ES+A128KW", "A256GCM"), ("ECDH-ES", "A128GCM"), ("ECDH-ES", "A256CBC-HS512")]
)
def test_other_algorithms_are_refused(alg: str, enc: str) -> None:
    member = own_keys("ECDH-ES").get("ECDH-ES").public_jwk() | {"alg": alg}
    token = jwe.JWE(b"package", protected=json.dumps({"alg": alg, "enc": enc}))
    token.add_recipient(jwk.JWK(**member))
    with pytest.raises(jose.BadToken, match="alg or enc"):
        jose.decrypt(token.serialize(compact=True), own_keys("ECDH-ES"))


def test_a_token_of_several_recipients_is_refused() -> None:
    token = jwe.JWE(b"", protected=json.dumps({"enc": "A256GCM"}))
    for _ in range(2):
        token.add_recipient(foreign_key("ECDH-ES+A256KW"), header=json.dumps({"alg": "ECDH-ES+A256KW"}))
    with pytest.raises(jose.BadToken):
        jose.decrypt(token.serialize(), own_keys("ECDH-ES"))


@pytest.mark.parametrize("size", [65535, 65536])
def test_up_to_64_kib_is_taken(size: int) -> None:
    assert len(jose.decrypt(foreign_encrypt(b"0" * size), own_keys("ECDH-ES"))) == size


def test_more_than_64_kib_is_refused_unless_the_caller_takes_more() -> None:
    token = foreign_encrypt(b"0" * 65537)
    with pytest.raises(jose.BadToken):
        jose.decrypt(token, own_keys("ECDH-ES"))
    assert len(jose.decrypt(token, own_keys("ECDH-ES"), max_bytes=10**5)) == 65537


@pytest.mark.parametrize("limit", [0, 1, 2, 3, 4, 1000])
def test_the_limit_is_exact(limit: int) -> None:
    keys = own_keys("ECDH-ES")
    assert jose.decrypt(foreign_encrypt(b"0" * limit), keys, max_bytes=limit) == b"0" * limit
    with pytest.raises(jose.BadToken):
        jose.decrypt(foreign_encrypt(b"0" * (limit + 1)), keys, max_bytes=limit)


def test_a_header_over_4096_characters_is_refused() -> None:
    bare = len(foreign_encrypt(b"", cty="").partition(".")[0]) * 3 // 4
    longest = "x" * (4096 * 3 // 4 - bare)
    assert jose.decrypt(foreign_encrypt(b"package", cty=longest), own_keys("ECDH-ES")) == b"package"
    with pytest.raises(jose.BadToken, match="header too long"):
        jose.decrypt(foreign_encrypt(b"package", cty=f"{longest}x"), own_keys("ECDH-ES"))


def epk(**members: object) -> dict[str, Any]:
    """Return the header members of a token whose ephemeral key is made up by the sender."""
    good = jwk.JWK.generate(kty="EC", crv="P-256").export_public(as_dict=True)
    return {name: value for name, value in (good | members).items() if value is not ...}


@pytest.mark.parametrize(
    "ephemeral",
    [None, "", 1, [], {}, epk(kty="oct", k="AA"), epk(crv="P-384"), epk(x="AQ"), epk(x=1), epk(y=...), epk(kty=...),
     epk(y="A" * 43), jwk.JWK.generate(kty="OKP", crv="X25519").export_public(as_dict=True)],
    ids=[str(number) for number in range(13)],  # the keys differ in each process; the names must not
)  # fmt: skip
def test_a_made_up_ephemeral_key_is_a_bad_token(ephemeral: object) -> None:
    header = {"alg": "ECDH-ES", "enc": "A256GCM", "kid": own_keys("ECDH-ES").get("ECDH-ES").kid, "epk": ephemeral}
    with pytest.raises(jose.BadToken):
        jose.decrypt(f"{b64(header)}..{b64(b'0' * 12)}.{b64(b'0')}.{b64(b'0' * 16)}", own_keys("ECDH-ES"))


@pytest.mark.parametrize("token", ["", "....", ".....", "a.b.c.d.e", "e30....", "é....", "\ud800", "x" * 10**6])
def test_what_is_no_jwe_is_refused(token: str) -> None:
    with pytest.raises(jose.BadToken):
        jose.decrypt(token, own_keys("ECDH-ES"))


@pytest.mark.parametrize("token", [None, 1, b"a.b.c.d.e", []])
def test_what_is_no_string_is_refused(token: Any) -> None:
    with pytest.raises(jose.BadToken):
        jose.decrypt(token, own_keys("ECDH-ES"))


def test_what_went_wrong_inside_is_not_quoted() -> None:
    token = foreign_encrypt(b"secret")
    whole, _, tag = token.rpartition(".")
    another = ("A" if tag[0] != "A" else "B") + tag[1:]  # never by chance the tag that it had
    with pytest.raises(jose.BadToken) as caught:
        jose.decrypt(f"{whole}.{another}", own_keys("ECDH-ES"))
    assert caught.value.__suppress_context__
    assert token[:20] not in caught.value.detail
