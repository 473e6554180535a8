"""Class 5: PKCE is left out, or weakened, on one of the two sides (authentik CVE-2023-48228, CVE-2024-23647)."""

from typing import Any

import pytest

from tests.support.platform import Platform
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
