"""JWS: what is signed here jwcrypto verifies, and the reverse; what is not exactly right is a BadToken.

Classes of vulnerability: 16 (claims that are no object), 20 (alg none, confusion, embedded keys), 34 (oversized).
"""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jwcrypto import jwk, jws

from authz_server.core import jose
from tests.core.keys import b64, foreign_key, foreign_keyset, foreign_sign, own_keys, public_jwk

CLAIMS = {"iss": "https://client.example", "sub": "市民甲", "iat": 1767225600, "ratio": 0.5, "list": [1, None, True]}
ALL = ("ES256", "ES384", "EdDSA", "Ed25519", "PS256", "RS256")


def verify(token: str, *algorithms: str, **options: Any) -> jose.Verified:
    chosen = algorithms or ("ES256",)
    return jose.verify(token, foreign_keyset(*chosen), algorithms=chosen, **options)


@pytest.mark.parametrize("alg", ALL)
def test_jwcrypto_verifies_what_we_sign(alg: str) -> None:
    keys = own_keys(alg)
    token = jws.JWS()
    token.deserialize(jose.sign(CLAIMS, keys.get(alg), typ="at+jwt"))
    token.allowed_algs = [alg]
    token.verify(jwk.JWK(**jose.public_jwks(keys)["keys"][0]))
    assert json.loads(token.payload) == CLAIMS
    assert token.jose_header == {"alg": alg, "kid": keys.get(alg).kid, "typ": "at+jwt"}


@pytest.mark.parametrize("alg", ALL)
def test_we_verify_what_jwcrypto_signs(alg: str) -> None:
    verified = verify(foreign_sign(CLAIMS, alg, typ="JWT"), alg)
    assert verified.claims == CLAIMS
    assert verified.header == {"alg": alg, "kid": f"foreign-{alg}", "typ": "JWT"}
    assert verified.key.kid == f"foreign-{alg}"


json_objects = st.dictionaries(
    st.text(max_size=10),
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=20) | st.lists(st.text(max_size=5)),
    max_size=5,
)


@given(json_objects)
def test_claims_come_back_as_they_were_signed(claims: dict[str, Any]) -> None:
    keys = own_keys("ES256")
    assert jose.verify(jose.sign(claims, keys.get("ES256")), keys, algorithms=["ES256"]).claims == claims


def test_what_is_signed_without_a_type_has_none() -> None:
    assert "typ" not in jose.unverified(jose.sign({}, own_keys("ES256").get("ES256"))).header


@pytest.mark.parametrize("key", [own_keys("ECDH-ES"), foreign_keyset("ES256")], ids=["encryption", "public"])
def test_only_a_private_signing_key_signs(key: jose.KeySet) -> None:
    with pytest.raises(jose.BadKey):
        jose.sign({}, *key)


# Which algorithm


def test_an_algorithm_that_is_not_on_the_list_is_refused() -> None:
    with pytest.raises(jose.BadToken, match="alg"):
        jose.verify(foreign_sign(CLAIMS, "RS256"), foreign_keyset("RS256"), algorithms=jose.SIGNING)


def test_the_list_for_fapi_2_has_no_rs256_no_hmac_no_none() -> None:
    assert set(jose.SIGNING) == {"PS256", "ES256", "EdDSA", "Ed25519"}


@pytest.mark.parametrize(
    "alg", ["none", "None", "NONE", "HS256", "HS512", "ES256K", "es256", "", None, 1, [], {"a": 1}]
)
def test_an_algorithm_we_do_not_have_is_refused_even_if_it_were_listed(alg: object) -> None:
    token = f"{b64({'alg': alg, 'kid': 'foreign-ES256'})}.{b64(CLAIMS)}.{b64(b'')}"
    listed = {alg} if isinstance(alg, str) else set()  # a set: what has no hash is not even looked for in it
    with pytest.raises(jose.BadToken):
        jose.verify(token, foreign_keyset("ES256"), algorithms=listed)


def test_a_public_key_is_no_hmac_secret() -> None:
    """The classic confusion: the attacker takes the published key for a shared secret."""
    public = json.dumps(foreign_key("RS256").export_public(as_dict=True))
    secret = jwk.JWK(kty="oct", k=b64(public.encode()))
    token = jws.JWS(b"{}")
    token.add_signature(secret, protected=json.dumps({"alg": "HS256", "kid": "foreign-RS256"}))
    with pytest.raises(jose.BadToken):
        jose.verify(token.serialize(compact=True), foreign_keyset("RS256"), algorithms=["RS256", "HS256"])


@pytest.mark.parametrize(
    ("signed", "named"), [("PS256", "RS256"), ("ES256", "PS256"), ("EdDSA", "ES256"), ("Ed25519", "ES256")]
)
def test_a_key_serves_no_algorithm_but_its_own(signed: str, named: str) -> None:
    token = foreign_sign(CLAIMS, signed, kid=f"foreign-{named}")
    with pytest.raises(jose.BadToken):
        verify(token, named, signed)


@pytest.mark.parametrize(("signed", "named"), [("EdDSA", "Ed25519"), ("Ed25519", "EdDSA")])
def test_a_key_that_was_named_before_or_after_rfc_9864_serves_both_names(signed: str, named: str) -> None:
    member = foreign_key(signed).export_public(as_dict=True) | {"use": "sig", "alg": named}
    keys, token = jose.parse_public_keys({"keys": [member]}), foreign_sign(CLAIMS, signed)
    assert jose.verify(token, keys, algorithms=[signed]).claims == CLAIMS


def test_a_key_for_encryption_verifies_nothing() -> None:
    member = foreign_key("ES256").export_public(as_dict=True) | {"use": "enc", "alg": "ECDH-ES"}
    with pytest.raises(jose.BadToken):
        jose.verify(foreign_sign({}, "ES256"), jose.parse_public_keys({"keys": [member]}), algorithms=["ES256"])


# Which key


def test_an_unknown_kid_is_told_apart_so_that_a_remote_set_can_be_fetched_again() -> None:
    with pytest.raises(jose.KeyNotFound):
        verify(foreign_sign(CLAIMS, "ES256", kid="rotated"))


@pytest.mark.parametrize("kid", [1, [], {}, True, ""])
def test_a_kid_that_is_no_name_of_a_key_is_refused(kid: object) -> None:
    token = f"{b64({'alg': 'ES256', 'kid': kid})}.{b64(CLAIMS)}.{b64(b'0' * 64)}"
    with pytest.raises(jose.BadToken):
        verify(token)


def test_without_kid_the_only_fitting_key_is_taken() -> None:
    token = foreign_sign(CLAIMS, "ES256", kid=None)
    assert jose.verify(token, foreign_keyset("EdDSA", "ES256"), algorithms=jose.SIGNING).key.kid == "foreign-ES256"


def test_without_kid_two_fitting_keys_are_one_too_many() -> None:
    other = jwk.JWK.generate(kty="EC", crv="P-256", kid="other").export_public(as_dict=True)
    keys = jose.parse_public_keys({"keys": [foreign_key("ES256").export_public(as_dict=True), other]})
    with pytest.raises(jose.BadToken, match="exactly one"):
        jose.verify(foreign_sign(CLAIMS, "ES256", kid=None), keys, algorithms=["ES256"])


def test_the_signature_of_another_key_under_our_kid_is_refused() -> None:
    other = jwk.JWK.generate(kty="EC", crv="P-256", kid="foreign-ES256").export_public(as_dict=True)
    with pytest.raises(jose.BadToken, match="signature"):
        jose.verify(foreign_sign(CLAIMS, "ES256"), jose.parse_public_keys({"keys": [other]}), algorithms=["ES256"])


@pytest.mark.parametrize(
    "member",
    [
        {"jwk": public_jwk(foreign_key("ES256"))},
        {"jku": "https://attacker.example/jwks"},
        {"x5u": "https://attacker.example/cert"},
        {"x5c": ["MIIB"]},
        {"crit": []},
        {"crit": ["exp"], "exp": 1},
        {"b64": True},
        {"zip": "DEF"},
    ],
    ids=lambda member: next(iter(member)),
)
def test_a_header_that_brings_its_own_key_or_rules_is_refused(member: dict[str, object]) -> None:
    with pytest.raises(jose.BadToken):
        verify(foreign_sign(CLAIMS, "ES256", **member))


# Which type


@pytest.mark.parametrize("typ", ["at+jwt", "AT+JWT", "application/at+jwt", "Application/At+Jwt"])
def test_a_type_is_compared_without_case_and_prefix(typ: str) -> None:
    verify(foreign_sign(CLAIMS, "ES256", typ=typ), typ="at+jwt")
    verify(foreign_sign(CLAIMS, "ES256", typ="at+jwt"), typ=typ)


@pytest.mark.parametrize("typ", [None, "JWT", "dpop+jwt", "", "text/at+jwt"])
def test_a_demanded_type_may_not_be_another_or_absent(typ: str | None) -> None:
    with pytest.raises(jose.BadToken, match="typ"):
        verify(foreign_sign(CLAIMS, "ES256", typ=typ), typ="at+jwt")


@pytest.mark.parametrize("typ", [None, "JWT", "jwt", "application/jwt"])
def test_an_untyped_jwt_is_taken_where_none_is_demanded(typ: str | None) -> None:
    verify(foreign_sign(CLAIMS, "ES256", typ=typ))


@pytest.mark.parametrize("typ", ["dpop+jwt", "at+jwt", "logout+jwt"])
def test_a_token_of_another_kind_is_not_taken_for_an_untyped_one(typ: str) -> None:
    with pytest.raises(jose.BadToken, match="typ"):
        verify(foreign_sign(CLAIMS, "ES256", typ=typ))


@pytest.mark.parametrize("typ", [None, "JWT", "oauth-authz-req+jwt"])
def test_several_types_mean_one_of_them_or_none(typ: str | None) -> None:
    verify(foreign_sign(CLAIMS, "ES256", typ=typ), typ=("JWT", "oauth-authz-req+jwt"))


@pytest.mark.parametrize("typ", [1, [], {}, True])
def test_a_type_that_is_no_string_is_refused(typ: object) -> None:
    with pytest.raises(jose.BadToken):
        verify(foreign_sign(CLAIMS, "ES256", typ=typ))


# What is inside


@pytest.mark.parametrize(
    "payload",
    [b"", b"null", b"[]", b"1", b'"a"', b"{", b"{}{}", b"\xff\xfe", b'{"a": NaN}', b'{"a": "\\ud800"}', b"[" * 5000,
     b'{"a":' * 5000 + b"1" + b"}" * 5000],
    ids=repr,
)  # fmt: skip
def test_claims_that_are_no_json_object_are_refused_although_the_signature_is_good(payload: bytes) -> None:
    with pytest.raises(jose.BadToken, match="JSON"):
        verify(foreign_sign(payload, "ES256"), max_bytes=10**6)


def test_a_number_too_large_for_the_machine_is_no_crash() -> None:
    payload = b'{"exp": ' + b"9" * 400 + b"}"
    token = foreign_sign(payload, "ES256")
    with suppress(jose.BadToken):
        verify(token)


def test_a_longer_token_than_allowed_is_refused_before_it_is_read() -> None:
    token = foreign_sign(CLAIMS, "ES256")
    verify(token, max_bytes=len(token))
    with pytest.raises(jose.BadToken, match="long"):
        verify(token, max_bytes=len(token) - 1)


def test_a_header_over_4096_characters_is_refused() -> None:
    bare = len(json.dumps({"alg": "ES256", "kid": "foreign-ES256", "note": ""}))
    longest = "x" * (4096 * 3 // 4 - bare)
    assert verify(foreign_sign(CLAIMS, "ES256", note=longest)).claims == CLAIMS
    with pytest.raises(jose.BadToken, match="header"):
        verify(foreign_sign(CLAIMS, "ES256", note=f"{longest}x"))


@pytest.mark.parametrize(
    "token", ["", ".", "..", "...", "a.b", "a.b.c", "a.b.c.d", " ", "é.é.é", "\ud800", "x" * 10**6]
)
def test_what_is_no_jws_is_refused(token: str) -> None:
    with pytest.raises(jose.BadToken):
        verify(token)


@pytest.mark.parametrize("token", [None, 1, b"a.b.c", ["a"], {"payload": ""}])
def test_what_is_no_string_is_refused(token: Any) -> None:
    with pytest.raises(jose.BadToken):
        verify(token)


def test_the_json_serialisation_is_not_taken() -> None:
    token = jws.JWS(b"{}")
    token.add_signature(foreign_key("ES256"), protected=json.dumps({"alg": "ES256"}))
    with pytest.raises(jose.BadToken):
        verify(token.serialize())


@given(st.text(max_size=60) | st.from_regex(r"[A-Za-z0-9_-]{0,20}\.[A-Za-z0-9_-]{0,20}\.[A-Za-z0-9_-]{0,90}"))
def test_no_text_whatsoever_raises_anything_but_bad_token(text: str) -> None:
    for call in (verify, jose.unverified, lambda text: jose.unverified(text).claims):
        with suppress(jose.BadToken):
            call(text)


@pytest.mark.parametrize("token", ["e30.e30", "e30.e30.e30.e30", "e30.e30.e30.e30.e30"])
def test_what_has_not_three_parts_is_not_even_looked_at(token: str) -> None:
    with pytest.raises(jose.BadToken, match="three parts"):
        jose.unverified(token)


def test_unverified_parts_can_be_looked_at() -> None:
    token = foreign_sign(CLAIMS, "ES256")
    assert jose.unverified(token).header["kid"] == "foreign-ES256"
    assert jose.unverified(token).claims == CLAIMS


def test_what_is_handed_out_unverified_is_not_what_is_verified() -> None:
    token = jose.unverified(foreign_sign(CLAIMS, "ES256"))
    token.header["alg"] = "none"
    token.claims["sub"] = "somebody else"
    verified = token.verify(foreign_keyset("ES256"), algorithms=["ES256"])
    assert (verified.header["alg"], verified.claims) == ("ES256", CLAIMS)
    verified.header["alg"] = "none"
    assert token.verify(foreign_keyset("ES256"), algorithms=["ES256"]).header["alg"] == "ES256"


def test_changing_a_returned_header_changes_no_later_one() -> None:
    token = foreign_sign(CLAIMS, "ES256")
    verify(token).header["kid"] = "changed"
    assert verify(token).header["kid"] == "foreign-ES256"
