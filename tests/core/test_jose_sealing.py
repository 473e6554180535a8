"""What we encrypt: other libraries open it, and nobody else than its recipient."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from joserfc import jwe as joserfc_jwe
from joserfc.jwk import import_key
from jwcrypto import jwe, jwk

from authz_server.core import jose
from tests.core.keys import foreign_key

KEYS = {alg: jose.generate_key(alg) for alg in ("ECDH-ES", "ECDH-ES+A256KW", "RSA-OAEP-256")}
P384 = {**json.loads(jwk.JWK.generate(kty="EC", crv="P-384").export_private()), "use": "enc"}
PRIVATE = ("d", "p", "q", "dp", "dq", "qi")


def public(key: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in key.items() if name not in PRIVATE}


def sealed(plaintext: bytes, key: dict[str, Any], cty: str | None = None) -> str:
    return jose.encrypt(plaintext, public(key), cty=cty)


def opened_by_jwcrypto(token: str, key: dict[str, Any]) -> bytes:
    box = jwe.JWE()
    box.deserialize(token, key=jwk.JWK(**key))
    return bytes(box.payload)


@pytest.mark.parametrize("key", [*KEYS.values(), P384], ids=[*KEYS, "P-384"])
def test_two_libraries_open_what_we_seal(key: dict[str, Any]) -> None:
    token = sealed(b"first second", key, cty="application/zip")
    assert opened_by_jwcrypto(token, key) == b"first second"
    opened = joserfc_jwe.decrypt_compact(token, import_key(key), algorithms=[*jose.KEY_MANAGEMENT, "A256GCM"])
    assert opened.plaintext == b"first second"
    assert jose.decrypt(token, jose.parse_private_keys({"keys": [key]})) == b"first second"


@settings(max_examples=200, deadline=None)
@given(plaintext=st.binary(min_size=1, max_size=600))  # jwcrypto takes no empty content
def test_content_of_any_size_comes_back(plaintext: bytes) -> None:
    token = sealed(plaintext, KEYS["ECDH-ES"])
    assert "=" not in token
    assert token.count(".") == 4
    assert opened_by_jwcrypto(token, KEYS["ECDH-ES"]) == plaintext


def test_nothing_is_encrypted_to_something_as_well() -> None:
    assert jose.decrypt(sealed(b"", KEYS["ECDH-ES"]), jose.parse_private_keys({"keys": [KEYS["ECDH-ES"]]})) == b""


def test_the_header_names_key_content_and_nothing_more_than_needed() -> None:
    key = KEYS["ECDH-ES"]
    segment = sealed(b"x", key, cty="application/zip").partition(".")[0]
    header = json.loads(jose.encoding.decode(segment.encode()))
    assert header.pop("epk").keys() == {"kty", "crv", "x", "y"}
    assert header == {"alg": "ECDH-ES", "enc": "A256GCM", "kid": key["kid"], "cty": "application/zip"}


def test_direct_agreement_has_an_empty_encrypted_key() -> None:
    assert sealed(b"x", KEYS["ECDH-ES"]).split(".")[1] == ""


def test_no_two_envelopes_share_key_or_iv() -> None:
    tokens = [sealed(b"same", KEYS["ECDH-ES"]) for _ in range(20)]
    for part in (0, 2, 3, 4):
        assert len({token.split(".")[part] for token in tokens}) == 20


def test_a_changed_octet_anywhere_does_not_open() -> None:
    token = sealed(b"content " * 10, KEYS["ECDH-ES"])
    for place in range(0, len(token) - 1, 7):
        changed = token[:place] + ("A" if token[place] != "A" else "B") + token[place + 1 :]
        with pytest.raises(jose.BadToken):
            jose.decrypt(changed, jose.parse_private_keys({"keys": [KEYS["ECDH-ES"]]}))


@pytest.mark.parametrize(
    "key",
    [
        jose.generate_key("ES256"),
        {**KEYS["ECDH-ES"], "y": KEYS["ECDH-ES"]["x"]},
        {**KEYS["ECDH-ES"], "alg": "dir"},
        {**KEYS["ECDH-ES"], "crv": "P-521"},
        {"kty": "oct", "k": "AAAA"},
        {},
    ],
    ids=["signing-key", "not-on-the-curve", "alg", "curve", "symmetric", "empty"],
)
def test_a_key_that_is_not_for_encryption_is_refused_before_anything_is_written(key: dict[str, Any]) -> None:
    with pytest.raises((jose.BadKey, ValueError)):
        jose.encrypt(b"x", public(key))


def test_a_private_key_is_refused() -> None:
    with pytest.raises(jose.BadKey):
        jose.encrypt(b"x", KEYS["ECDH-ES"])


@pytest.mark.parametrize(
    ("kty", "shape", "alg"), [("EC", {"crv": "P-256"}, "ECDH-ES"), ("RSA", {"size": 2048}, "RSA-OAEP-256")]
)
def test_a_key_without_alg_gets_the_usual_one(kty: str, shape: dict[str, Any], alg: str) -> None:
    key = jwk.JWK.generate(kty=kty, **shape)
    token = jwe.JWE(algs=[alg, "A256GCM"])
    token.deserialize(jose.encrypt(b"package", key.export_public(as_dict=True)), key)
    assert token.payload == b"package"


@pytest.mark.parametrize("alg", ["ES256", "EdDSA", "PS256"])
def test_a_signing_key_encrypts_nothing(alg: str) -> None:
    with pytest.raises(jose.BadKey):
        jose.encrypt(b"", foreign_key(alg).export_public(as_dict=True))


def test_a_key_that_may_only_sign_by_its_use_encrypts_nothing() -> None:
    member = foreign_key("ECDH-ES").export_public(as_dict=True) | {"use": "sig"}
    with pytest.raises(jose.BadKey):
        jose.encrypt(b"", member)
