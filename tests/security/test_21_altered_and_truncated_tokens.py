"""Change any one character of a token, cut it anywhere: it must be refused. Classes of vulnerability: 16, 20, 21, 34.

Exhaustive over positions; what a character becomes is chosen so that the case that looks harmless (stray bits in the
last character of a part, one letter's case) is always among them.
"""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authz_server.core import dpop, jose
from tests.core.keys import NOW, foreign_keyset, foreign_sign, own_keys, proof_of

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
CLAIMS = {"iss": "c", "sub": "c", "aud": "https://op.example", "exp": 1, "jti": "j"}


def verify_assertion(token: str) -> None:
    jose.verify(token, foreign_keyset("ES256", "EdDSA", "PS256"), algorithms=jose.SIGNING)


def verify_ticket(token: str) -> None:
    jose.verify(
        jose.decrypt(token, own_keys("ECDH-ES")).decode(), own_keys("ES256"), algorithms=["ES256"], typ="at+jwt"
    )


def verify_proof(token: str) -> None:
    dpop.verify_proof(token, method="POST", url="https://op.example/token", now=NOW)


def ticket() -> str:
    """Return a ticket as an agency gets it: encrypted, and signed inside."""
    inner = jose.sign(CLAIMS, own_keys("ES256").get("ES256"), typ="at+jwt")
    return jose.encrypt(inner.encode(), own_keys("ECDH-ES").get("ECDH-ES"), cty="JWT")


Verifier = Callable[[str], None]
TOKENS: dict[str, tuple[str, Verifier]] = {
    "assertion ES256": (foreign_sign(CLAIMS, "ES256"), verify_assertion),
    "assertion EdDSA": (foreign_sign(CLAIMS, "EdDSA"), verify_assertion),
    "assertion PS256": (foreign_sign(CLAIMS, "PS256"), verify_assertion),
    "proof ES256": (proof_of("ES256"), verify_proof),
    "proof EdDSA": (proof_of("EdDSA"), verify_proof),
    "proof PS256": (proof_of("PS256"), verify_proof),
    "ticket": (ticket(), verify_ticket),
}
every_token = pytest.mark.parametrize(("token", "verify"), TOKENS.values(), ids=TOKENS.keys())
REFUSED = (jose.BadToken, dpop.BadProof)


@every_token
def test_the_token_itself_is_good(token: str, verify: Verifier) -> None:
    verify(token)


@every_token
def test_every_changed_character_is_noticed(token: str, verify: Verifier) -> None:
    for position, character in enumerate(token):
        at = ALPHABET.find(character)
        # The neighbour in the alphabet differs in the lowest bit only: the stray bit of a last character.
        for other in (ALPHABET[at ^ 1] if at >= 0 else "A", ".", "=", "é"):
            if other != character:
                with pytest.raises(REFUSED):
                    verify(token[:position] + other + token[position + 1 :])


@every_token
def test_every_truncation_is_noticed(token: str, verify: Verifier) -> None:
    for length in range(len(token)):
        with pytest.raises(REFUSED):
            verify(token[:length])
        with pytest.raises(REFUSED):
            verify(token[len(token) - length :])


@every_token
def test_every_addition_is_noticed(token: str, verify: Verifier) -> None:
    for position in range(0, len(token) + 1, 7):
        for extra in ("A", "=", ".", "\n", " "):
            with pytest.raises(REFUSED):
                verify(token[:position] + extra + token[position:])
    with pytest.raises(REFUSED):
        verify(token + "\n")


@every_token
def test_a_part_left_empty_or_taken_from_another_token_is_noticed(token: str, verify: Verifier) -> None:
    parts = token.split(".")
    for other, _ in TOKENS.values():
        for index, part in enumerate(other.split(".")[: len(parts)]):
            for replacement in {"", part} - {parts[index]}:
                with pytest.raises(REFUSED):
                    verify(".".join([*parts[:index], replacement, *parts[index + 1 :]]))


@given(st.sampled_from(sorted(TOKENS)), st.data())
def test_any_edit_is_noticed(name: str, data: st.DataObject) -> None:
    token, verify = TOKENS[name]
    start = data.draw(st.integers(0, len(token)))
    stop = data.draw(st.integers(start, len(token)))
    edited = token[:start] + data.draw(st.text(max_size=6)) + token[stop:]
    if edited != token:
        with pytest.raises(REFUSED):
            verify(edited)


@every_token
def test_no_verifier_takes_the_token_of_another_kind(token: str, verify: Verifier) -> None:
    for other, its_own in TOKENS.values():
        if its_own is not verify:
            with pytest.raises(REFUSED):
                verify(other)
