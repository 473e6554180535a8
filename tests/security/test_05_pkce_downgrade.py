"""Class 5: PKCE is left out, or weakened, on one of the two sides (authentik CVE-2023-48228, CVE-2024-23647)."""

import hashlib
from typing import Any

import pytest

from tests.support.platform import Platform, base64url
from tests.support.protocol import pushed, refused


@pytest.mark.parametrize(
    "changes",
    [
        {"code_challenge": None, "code_challenge_method": None},
        {"code_challenge": None},
        {"code_challenge": ""},
        {"code_challenge_method": None},
        {"code_challenge_method": ""},
        {"code_challenge_method": "plain"},
        {"code_challenge_method": "S512"},
        {"code_challenge_method": "S256 plain"},
    ],
)
def test_no_request_without_a_strong_challenge(platform: Platform, changes: dict[str, Any]) -> None:
    refused(pushed(platform.bank, **changes), 400, "invalid_request")


def test_no_redemption_without_the_verifier_of_this_request(platform: Platform) -> None:
    challenge = platform.bank.parameters()["code_challenge"]
    for verifier in (None, "", challenge, platform.bank.verifier + "x", platform.bank.verifier[:-1], "x" * 43):
        refused(platform.bank.redeem(platform.code(), code_verifier=verifier), 400, "invalid_grant")


@pytest.mark.parametrize("verifier", ["", "short", "x" * 42, "x" * 129, "é" * 43, "x" * 42 + " "])
def test_a_verifier_that_could_be_guessed_or_is_none_redeems_not_even_its_own_challenge(
    platform: Platform, verifier: str
) -> None:
    challenge = base64url(hashlib.sha256(verifier.encode()).digest())
    code = platform.code(code_challenge=challenge)
    refused(platform.bank.redeem(code, code_verifier=verifier), 400, "invalid_grant")
