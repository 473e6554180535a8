"""Which keys we hold, and which we refuse."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jwcrypto import jwk

from authz_server.core import jose
from authz_server.core.jose.encoding import decode, encode
from tests.core.keys import foreign_key, foreign_keyset, own_keys, public_jwk

ALGORITHMS = ["ES256", "ES384", "EdDSA", "Ed25519", "PS256", "RS256", "ECDH-ES", "ECDH-ES+A256KW", "RSA-OAEP-256"]


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_a_generated_key_is_named_by_its_thumbprint_and_says_what_it_is_for(alg: str) -> None:
    member = jose.generate_key(alg)
    assert member["alg"] == alg
    assert member["use"] == ("sig" if alg[:2] in ("ES", "Ed", "PS", "RS") and "OAEP" not in alg else "enc")
    assert member["kid"] == jwk.JWK(**member).thumbprint()


def test_a_key_is_not_generated_for_an_algorithm_or_a_use_that_is_not_ours() -> None:
    with pytest.raises(ValueError, match="no key for"):
        jose.generate_key("HS256")
    with pytest.raises(ValueError, match="is not for use"):
        jose.generate_key("ES256", "enc")


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_the_thumbprint_is_the_one_that_jwcrypto_computes(alg: str) -> None:
    key = foreign_key(alg)
    assert jose.thumbprint(key.export_public(as_dict=True)) == key.thumbprint()
    assert jose.thumbprint(key.export_private(as_dict=True)) == key.thumbprint()


@given(st.dictionaries(st.sampled_from(["kid", "x5t", "ext", "note"]), st.text(max_size=8)))
def test_what_else_a_key_carries_does_not_change_its_thumbprint(extra: dict[str, str]) -> None:
    member = public_jwk(foreign_key("ES256"))
    assert jose.thumbprint(extra | member) == foreign_key("ES256").thumbprint()


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_what_is_published_has_kid_use_and_alg_and_nothing_private(alg: str) -> None:
    (member,) = jose.public_jwks(own_keys(alg))["keys"]
    assert {"kid", "use", "alg", "kty"} <= member.keys()
    assert not {"d", "p", "q", "dp", "dq", "qi", "oth", "k"} & member.keys()
    assert jwk.JWK(**member).thumbprint() == member["kid"]


def test_a_key_without_kid_goes_by_its_thumbprint() -> None:
    keys = jose.parse_public_keys({"keys": [public_jwk(foreign_key("ES256"))]})
    assert [key.kid for key in keys] == [foreign_key("ES256").thumbprint()]


def test_the_first_key_that_fits_is_the_one_in_force() -> None:
    old, new = jose.generate_key("ES256"), jose.generate_key("ES256")
    keys = jose.parse_private_keys({"keys": [jose.generate_key("ECDH-ES"), new, old]})
    assert keys.get("ES256").kid == new["kid"]
    with pytest.raises(jose.BadKey):
        keys.get("PS256")


def test_a_key_shows_nothing_private_in_its_repr() -> None:
    member = jose.generate_key("ES256")
    keys = jose.parse_private_keys({"keys": [member]})
    assert member["d"] not in repr(keys.get("ES256"))


def changed(alg: str, /, **members: object) -> dict[str, Any]:
    key = public_jwk(foreign_key(alg)) | members
    return {name: value for name, value in key.items() if value is not ...}


def _parted_elsewhere() -> dict[str, str]:
    """The same octets, of which one has gone from y to x: a second thumbprint for one key, if it were taken."""
    point = b"".join(decode(public_jwk(foreign_key("ES256"))[name].encode()) for name in ("x", "y"))
    return {"x": encode(point[:33]).decode(), "y": encode(point[33:]).decode()}


def _not_on_the_curve() -> str:
    y = bytearray(decode(public_jwk(foreign_key("ES256"))["y"].encode()))
    y[-1] ^= 1
    return encode(bytes(y)).decode()


REFUSED: dict[str, object] = {
    "not an object": ["EC"],
    "null": None,
    "a symmetric key": {"kty": "oct", "k": "c2VjcmV0"},
    "a symmetric key in disguise": changed("ES256", k="c2VjcmV0"),
    "no kty": changed("ES256", kty=...),
    "kty of the wrong type": changed("ES256", kty=["EC"]),
    "an unknown kty": changed("ES256", kty="AKP"),
    "a missing coordinate": changed("ES256", y=...),
    "a coordinate of the wrong type": changed("ES256", x=7),
    "a coordinate with padding": changed("ES256", x=public_jwk(foreign_key("ES256"))["x"] + "="),
    "a coordinate in the other alphabet": changed("ES256", x="+/" * 21 + "+"),
    "a coordinate that is not ASCII": changed("ES256", x="é" * 43),
    "a short coordinate": changed("ES256", x="AQ"),
    "a coordinate with leading zeros": changed("ES256", x="AAAA" + public_jwk(foreign_key("ES256"))["x"]),
    "a point whose coordinates are parted elsewhere": changed("ES256", **_parted_elsewhere()),
    "a point that is not on the curve": changed("ES256", y=_not_on_the_curve()),
    "the point of another curve": changed("ES384", crv="P-256"),
    "P-521": jwk.JWK.generate(kty="EC", crv="P-521").export_public(as_dict=True),
    "secp256k1": jwk.JWK.generate(kty="EC", crv="secp256k1").export_public(as_dict=True),
    "Ed448": jwk.JWK.generate(kty="OKP", crv="Ed448").export_public(as_dict=True),
    "X25519": jwk.JWK.generate(kty="OKP", crv="X25519").export_public(as_dict=True),
    "RSA with 1024 bits": jwk.JWK.generate(kty="RSA", size=1024).export_public(as_dict=True),
    "RSA with 2040 bits": changed("RS256", n=encode(b"\xff" * 255).decode()),
    "RSA with 8192 bits": changed("RS256", n=encode(b"\xff" * 1024).decode()),
    "RSA with leading zeros": changed("RS256", n="AAAA" + public_jwk(foreign_key("RS256"))["n"]),
    "RSA with leading zeros in its exponent": changed("RS256", e="AAEAAQ"),
    "RSA with exponent one": changed("RS256", e="AQ"),
    "RSA with exponent two": changed("RS256", e="Ag"),
    "RSA with an empty exponent": changed("RS256", e=""),
    "RSA with a huge exponent": changed("RS256", e=encode(b"\x01" * 64).decode()),
    "RSA with an empty modulus": changed("RS256", n=""),
    "kid of the wrong type": changed("ES256", kid=1),
    "an empty kid": changed("ES256", kid=""),
    "a kid of two lines": changed("ES256", kid="a\nb"),
    "a kid with a NUL": changed("ES256", kid="a\0"),
    "a kid that reads backwards": changed("ES256", kid="a\u202eb"),
    "use of the wrong type": changed("ES256", use=["sig"]),
    "an unknown use": changed("ES256", use="tls"),
    "alg of the wrong type": changed("ES256", alg={}),
}


@pytest.mark.parametrize("member", REFUSED.values(), ids=REFUSED.keys())
def test_a_key_is_refused_if_it_is(member: object) -> None:
    with pytest.raises(jose.BadKey):
        jose.parse_public_keys({"keys": [member]})


@pytest.mark.parametrize("alg", ["ES256", "EdDSA", "PS256"])
def test_a_private_key_is_refused_where_a_public_one_belongs(alg: str) -> None:
    with pytest.raises(jose.BadKey, match="private"):
        jose.parse_public_keys({"keys": [foreign_key(alg).export_private(as_dict=True)]})


def test_two_keys_with_one_kid_are_refused() -> None:
    members = [changed("ES256", kid="same"), changed("EdDSA", kid="same")]
    with pytest.raises(jose.BadKey, match="one kid"):
        jose.parse_public_keys({"keys": members})


@pytest.mark.parametrize("jwks", [None, [], "", 1, {}, {"keys": None}, {"keys": {}}, {"keys": []}, {"keys": [{}] * 33}])
def test_what_is_no_key_set_is_refused(jwks: object) -> None:
    with pytest.raises(jose.BadKey):
        jose.parse_public_keys(jwks)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(st.sampled_from(["ES256", "EdDSA", "PS256"]), st.data())
def test_a_member_of_any_json_value_gives_a_key_or_a_refusal(alg: str, data: st.DataObject) -> None:
    member = foreign_key(alg).export_private(as_dict=True)
    name = data.draw(st.sampled_from(sorted(member)))
    member[name] = data.draw(json_values)
    for parse in (jose.parse_private_keys, jose.parse_public_keys):
        with suppress(jose.BadKey):
            parse({"keys": [member]})


def test_our_keys_are_read_from_a_file_of_their_owner(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    member = jose.generate_key("ES256")
    path.touch(mode=0o600)
    path.write_text(json.dumps({"keys": [member]}))
    assert jose.load_keys(path).get("ES256").is_private


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_a_key_file_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "keys.json"
    path.write_text(json.dumps({"keys": [jose.generate_key("ES256")]}))
    path.chmod(mode)
    with pytest.raises(jose.BadKey, match="0600"):
        jose.load_keys(path)


@pytest.mark.parametrize("content", ["", "[]", '{"keys": []}', '{"keys": [{"kty": "EC"}]}', "\x00"])
def test_a_key_file_without_keys_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "keys.json"
    path.touch(mode=0o600)
    path.write_text(content)
    with pytest.raises(jose.BadKey):
        jose.load_keys(path)


def test_a_missing_key_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(jose.BadKey, match="No such file or directory"):
        jose.load_keys(tmp_path / "none.json")


def test_a_public_key_is_refused_where_our_own_belongs() -> None:
    with pytest.raises(jose.BadKey, match="not a private key"):
        jose.parse_private_keys({"keys": [public_jwk(foreign_key("ES256"))]})


def test_a_key_is_parsed_once() -> None:
    (first,), (second,) = foreign_keyset("ES256"), foreign_keyset("ES256")
    assert first is second


def test_a_point_has_one_spelling() -> None:
    prime = 2**256 - 2**224 + 2**192 + 2**96 - 1  # of P-256, FIPS 186-4 section D.1.2.3
    b = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
    for x in range(1, 100):
        square = (x**3 - 3 * x + b) % prime
        y = pow(square, (prime + 1) // 4, prime)
        if y * y % prime == square:
            break

    def spelled(value: int) -> dict[str, Any]:
        x, y_text = (jose.encoding.encode(part.to_bytes(32, "big")).decode() for part in (value, y))
        return {"kty": "EC", "crv": "P-256", "x": x, "y": y_text}

    assert not jose.parse_public_key(spelled(x)).is_private
    with pytest.raises(jose.BadKey):  # the same point for whoever reckons modulo the prime, with another thumbprint
        jose.parse_public_key(spelled(x + prime))


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_a_key_that_names_its_algorithm_fits_no_other(alg: str) -> None:
    (key,) = own_keys(alg)
    names = {"EdDSA", "Ed25519"} if key.kty == "OKP" else {alg}
    assert {other for other in ALGORITHMS if key.fits(other)} == names


@pytest.mark.parametrize(
    ("alg", "signs", "encrypts"),
    [
        ("ES256", {"ES256"}, {"ECDH-ES", "ECDH-ES+A256KW"}),
        ("ES384", {"ES384"}, {"ECDH-ES", "ECDH-ES+A256KW"}),
        ("EdDSA", {"EdDSA", "Ed25519"}, set()),
        ("PS256", {"PS256", "RS256"}, {"RSA-OAEP-256"}),
    ],
)
def test_a_key_that_names_none_fits_what_its_type_its_curve_and_its_use_allow(
    alg: str, signs: set[str], encrypts: set[str]
) -> None:
    member = public_jwk(foreign_key(alg))
    for labels, fitting in (({}, signs | encrypts), ({"use": "sig"}, signs), ({"use": "enc"}, encrypts)):
        key = jose.parse_public_key(member | labels)
        assert {other for other in ALGORITHMS if key.fits(other)} == fitting


@pytest.mark.parametrize("member", ["d", ["d"], 1, None])
def test_what_is_no_object_is_no_private_key(member: object) -> None:
    with pytest.raises(jose.BadKey, match="private"):
        jose.parse_private_keys({"keys": [member]})


def test_a_set_has_up_to_32_keys() -> None:
    member = public_jwk(foreign_key("ES256"))
    whole = [member | {"kid": str(number)} for number in range(33)]
    assert len(jose.parse_public_keys({"keys": whole[:32]})) == 32
    with pytest.raises(jose.BadKey, match="1 to 32"):
        jose.parse_public_keys({"keys": whole})
