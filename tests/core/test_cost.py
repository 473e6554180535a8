"""What the hot operations may cost, counted and not timed: keys loaded, functions called.

The bounds are what was measured, and a tenth. A change that passes them by has to say what it is worth.
"""

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest
from joserfc import jwk

from authz_server.core import dpop, jose
from tests.core.keys import NOW, own_keys, proof_of

KEYS = own_keys("ES256")
CLAIMS = {"iss": "c", "sub": "c", "aud": "https://op.example", "exp": 1, "jti": "j"}
ASSERTION = jose.sign(CLAIMS, KEYS.get("ES256"))
PROOF = proof_of()


def sign() -> object:
    return jose.sign(CLAIMS, KEYS.get("ES256"))


def verify() -> object:
    return jose.verify(ASSERTION, KEYS, algorithms=jose.SIGNING)


def verify_proof() -> object:
    return dpop.verify_proof(PROOF, method="POST", url="https://op.example/token", now=NOW)


def encrypt() -> object:
    return jose.encrypt(b"ticket", own_keys("ECDH-ES").get("ECDH-ES"))


def calls(operation: Callable[[], object]) -> int:
    """Return how many Python and C functions `operation` calls, the second time it runs."""
    operation()
    count = 0

    def profile(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(profile)
    try:
        operation()
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize(("operation", "bound"), [(sign, 68), (verify, 82), (verify_proof, 124), (encrypt, 141)])
def test_the_functions_called_per_operation_stay_within(operation: Callable[[], object], bound: int) -> None:
    assert calls(operation) <= bound


@pytest.mark.parametrize("operation", [sign, verify, verify_proof, encrypt])
def test_no_key_is_loaded_twice(operation: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> None:
    operation()

    def never(*_: object, **__: object) -> None:
        raise AssertionError("a key was loaded")

    monkeypatch.setattr(jwk.JWKRegistry, "import_key", never)
    operation()
