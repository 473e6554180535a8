"""The streamed JWE: other libraries open it, whatever the pieces it was made of."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from joserfc import jwe as joserfc_jwe
from joserfc.jwk import import_key
from jwcrypto import jwe, jwk

from authz_server.core import jose
from authz_server.core.jose.sealing import seal

KEYS = {alg: jose.generate_key(alg) for alg in ("ECDH-ES", "ECDH-ES+A256KW", "RSA-OAEP-256")}
P384 = {**json.loads(jwk.JWK.generate(kty="EC", crv="P-384").export_private()), "use": "enc"}
PRIVATE = ("d", "p", "q", "dp", "dq", "qi")


def public(key: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in key.items() if name not in PRIVATE}


def sealed(chunks: list[bytes], key: dict[str, Any], cty: str | None = None) -> str:
    return b"".join(seal(chunks, public(key), cty=cty)).decode()


def opened_by_jwcrypto(token: str, key: dict[str, Any]) -> bytes:
    box = jwe.JWE()
    box.deserialize(token, key=jwk.JWK(**key))
    return bytes(box.payload)


@pytest.mark.parametrize("key", [*KEYS.values(), P384], ids=[*KEYS, "P-384"])
def test_two_libraries_open_what_we_seal(key: dict[str, Any]) -> None:
    token = sealed([b"first ", b"", b"second"], key, cty="application/zip")
    assert opened_by_jwcrypto(token, key) == b"first second"
    opened = joserfc_jwe.decrypt_compact(token, import_key(key), algorithms=[*jose.KEY_MANAGEMENT, "A256GCM"])
    assert opened.plaintext == b"first second"
    assert jose.decrypt(token, jose.parse_private_keys({"keys": [key]})) == b"first second"


@settings(max_examples=200, deadline=None)
@given(chunks=st.lists(st.binary(max_size=50), max_size=12).filter(any))  # jwcrypto takes no empty content
def test_the_pieces_leave_no_trace_in_the_result(chunks: list[bytes]) -> None:
    token = sealed(chunks, KEYS["ECDH-ES"])
    assert "=" not in token
    assert token.count(".") == 4
    assert opened_by_jwcrypto(token, KEYS["ECDH-ES"]) == b"".join(chunks)


def test_the_header_names_key_content_and_nothing_more_than_needed() -> None:
    key = KEYS["ECDH-ES"]
    segment = sealed([b"x"], key, cty="application/zip").partition(".")[0]
    header = json.loads(jose.encoding.decode(segment.encode()))
    assert header.pop("epk").keys() == {"kty", "crv", "x", "y"}
    assert header == {"alg": "ECDH-ES", "enc": "A256GCM", "kid": key["kid"], "cty": "application/zip"}


def test_direct_agreement_has_an_empty_encrypted_key() -> None:
    assert sealed([b"x"], KEYS["ECDH-ES"]).split(".")[1] == ""


def test_no_two_envelopes_share_key_or_iv() -> None:
    tokens = [sealed([b"same"], KEYS["ECDH-ES"]) for _ in range(20)]
    for part in (0, 2, 3, 4):
        assert len({token.split(".")[part] for token in tokens}) == 20


def test_a_changed_octet_anywhere_does_not_open() -> None:
    token = sealed([b"content " * 10], KEYS["ECDH-ES"])
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
        seal([b"x"], public(key))


def test_a_private_key_is_refused() -> None:
    with pytest.raises(jose.BadKey):
        seal([b"x"], KEYS["ECDH-ES"])


def test_one_chunk_at_a_time_is_asked_for() -> None:
    asked: list[int] = []

    def chunks() -> Any:
        for number in range(5):
            asked.append(number)
            yield b"c" * 3000

    pieces = seal(chunks(), public(KEYS["ECDH-ES"]))
    next(pieces)
    assert asked == []
    next(pieces)
    assert asked == [0]
