"""Class 33: a stored hash serves as a MAC key (django-oauth-toolkit #1737). There is nothing symmetric here.

Class 34: JOSE that is oversized or compressed (CVE-2025-61920, CVE-2025-62706).
Class 19: something encrypted whose inside is not signed (Keycloak CVE-2026-9793): nothing encrypted is taken at all.
"""

import base64
import json
import zlib
from typing import Any

import pytest
from jwcrypto import jwe, jwk

from authz_server.clients.document import RegistrationError
from authz_server.core import jose
from authz_server.oauth import metadata
from tests.support.platform import Platform, sign_with_header
from tests.support.protocol import new_bank, pushed, refused, services_of, userinfo


def test_no_symmetric_algorithm_or_key_is_taken_anywhere(platform: Platform) -> None:
    document = metadata.document(services_of(platform))
    listed = {alg for name, values in document.items() if "_alg_values_" in name for alg in values}
    assert not {alg for alg in listed if alg.startswith(("HS", "none", "dir", "A"))}
    assert not {
        alg for alg in (*jose.SIGNING, *jose.KEY_MANAGEMENT) if alg.startswith(("HS", "dir", "A1", "A2", "PBES"))
    }
    oct_key = {"kty": "oct", "k": base64.urlsafe_b64encode(b"k" * 32).decode().rstrip("="), "kid": "x", "use": "sig"}
    with pytest.raises(RegistrationError):
        new_bank(platform, jwks={"keys": [oct_key]})


@pytest.mark.parametrize("size", [17_000, 40_000])
@pytest.mark.parametrize("where", ["claims", "header", "kid"])
def test_an_oversized_assertion_is_refused(platform: Platform, where: str, size: int) -> None:
    bank, padding = platform.bank, "x" * size
    if where == "claims":
        assertion = bank.assertion(padding=padding)
    else:
        header: dict[str, Any] = {"alg": "ES256", "kid": bank.key.kid, where: padding}
        assertion = sign_with_header({"iss": bank.client_id, "sub": bank.client_id}, bank.key, header)
    refused(pushed(bank, client_assertion=assertion), 401, "invalid_client")


def test_an_oversized_proof_is_refused(platform: Platform) -> None:
    bank, token = platform.bank, platform.tokens()["access_token"]
    proof = bank.proof("GET", f"{bank.issuer}/userinfo", token=token, padding="x" * 9000)
    refused(userinfo(bank, token, proof=proof), 401, "invalid_dpop_proof")


def test_compressed_or_encrypted_tokens_are_refused(platform: Platform) -> None:
    bank = platform.bank
    key = jwk.JWK.generate(kty="EC", crv="P-256")
    claims = json.dumps({"iss": bank.client_id, "sub": bank.client_id, "aud": bank.issuer}).encode()
    compact = []
    for more in ({}, {"zip": "DEF"}):
        header = {"alg": "ECDH-ES", "enc": "A256GCM"} | more
        box = jwe.JWE(claims, json.dumps(header), recipient=key)
        compact.append(box.serialize(compact=True))
    head, _, signature = bank.assertion().split(".")
    bomb = base64.urlsafe_b64encode(zlib.compress(b"0" * 10_000_000)[:9000]).decode().rstrip("=")
    for assertion in (*compact, f"{head}.{bomb}.{signature}"):
        refused(pushed(bank, client_assertion=assertion), 401, "invalid_client")
    refused(pushed(bank, request=compact[0]), 400, "request_not_supported")
    refused(pushed(bank, id_token_hint=compact[0]), 400, "invalid_request")
