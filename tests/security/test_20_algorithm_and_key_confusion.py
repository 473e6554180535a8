"""One corpus against every verifier. Class 20: alg none, confusion, embedded jwk.

Where it happened: Authlib CVE-2026-28802, CVE-2026-27962, CVE-2026-28498.

Each attack gets the claims and the type that its verifier wants, and the public key that everybody can read, so that
nothing but the attack itself is wrong with it.
"""

import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from jwcrypto import jwk, jws

from authz_server.core import dpop, jose
from tests.core.keys import NOW, b64, foreign_key, foreign_keyset, foreign_sign, proof_of, public_jwk

VICTIM = foreign_key("ES256")
VICTIM_RSA = foreign_key("PS256")
ATTACKER = jwk.JWK.generate(kty="EC", crv="P-256")
ATTACKER_JWK = public_jwk(ATTACKER)
CLAIMS = {"iss": "c", "sub": "c", "aud": "https://op.example", "exp": 1, "jti": "j"}
PROOF_CLAIMS = {"jti": "j", "htm": "POST", "htu": "https://op.example/token", "iat": int(NOW.timestamp())}


@dataclass(frozen=True)
class Kind:
    """A kind of token: what its header and claims are, and who verifies it."""

    header: Mapping[str, Any]
    claims: Mapping[str, Any]
    verify: Callable[[str], object]
    good: str


def _keys() -> jose.KeySet:
    return foreign_keyset("ES256", "PS256")


KINDS = {
    "assertion": Kind(
        {"kid": "foreign-ES256"},
        CLAIMS,
        lambda token: jose.verify(token, _keys(), algorithms=jose.SIGNING),
        foreign_sign(CLAIMS, "ES256"),
    ),
    "ticket": Kind(
        {"kid": "foreign-ES256", "typ": "at+jwt"},
        CLAIMS,
        lambda token: jose.verify(token, _keys(), algorithms=["ES256"], typ="at+jwt"),
        foreign_sign(CLAIMS, "ES256", typ="at+jwt"),
    ),
    "manifest": Kind(
        {"kid": "foreign-ES256", "typ": "mydata-manifest+jwt"},
        CLAIMS,
        lambda token: jose.verify(token, _keys(), algorithms=jose.SIGNING, typ="mydata-manifest+jwt"),
        foreign_sign(CLAIMS, "ES256", typ="mydata-manifest+jwt"),
    ),
    "proof": Kind(
        {"typ": "dpop+jwt", "jwk": public_jwk(VICTIM)},
        PROOF_CLAIMS,
        lambda token: dpop.verify_proof(token, method="POST", url="https://op.example/token", now=NOW),
        proof_of(),
    ),
}


def forged(kind: Kind, signature: Callable[[bytes], bytes], **header: Any) -> str:
    """Return the token with a header changed by the attack, and a signature that the attacker can make."""
    members = {name: value for name, value in (dict(kind.header) | header).items() if value is not None}
    signing_input = f"{b64(members)}.{b64(dict(kind.claims))}"
    return f"{signing_input}.{b64(signature(signing_input.encode()))}"


def nothing(_: bytes) -> bytes:
    return b""


def by_attacker(signing_input: bytes) -> bytes:
    octets: bytes = jws.JWSCore("ES256", ATTACKER, None, b"", algs=["ES256"]).engine.sign(ATTACKER, signing_input)
    return octets


def hmac_with(secret: bytes, digest: str = "sha256") -> Callable[[bytes], bytes]:
    return lambda signing_input: hmac.new(secret, signing_input, getattr(hashlib, digest)).digest()


def zeros(_: bytes) -> bytes:
    """CVE-2022-21449: r and s of nought."""
    return b"\0" * 64


PEM = VICTIM.export_to_pem()
RSA_PEM = VICTIM_RSA.export_to_pem()
PUBLIC_JSON = json.dumps(public_jwk(VICTIM)).encode()

ATTACKS: dict[str, Callable[[Kind], str]] = {
    "alg none": lambda kind: forged(kind, nothing, alg="none"),
    "alg None": lambda kind: forged(kind, nothing, alg="None"),
    "alg none with a signature": lambda kind: forged(kind, by_attacker, alg="none"),
    "alg none in capitals": lambda kind: forged(kind, nothing, alg="NONE"),
    "no alg": lambda kind: forged(kind, nothing),
    "alg of the wrong type": lambda kind: forged(kind, by_attacker, alg=["ES256"]),
    "no signature": lambda kind: forged(kind, nothing, alg="ES256"),
    "zeros for a signature": lambda kind: forged(kind, zeros, alg="ES256"),
    "HS256 keyed with the public PEM": lambda kind: forged(kind, hmac_with(PEM), alg="HS256"),
    "HS512 keyed with the public PEM": lambda kind: forged(kind, hmac_with(PEM, "sha512"), alg="HS512"),
    "HS256 keyed with the RSA PEM": lambda kind: forged(kind, hmac_with(RSA_PEM), alg="HS256", kid="foreign-PS256"),
    "HS256 keyed with the public JWK": lambda kind: forged(kind, hmac_with(PUBLIC_JSON), alg="HS256"),
    "HS256 keyed with nothing": lambda kind: forged(kind, hmac_with(b""), alg="HS256"),
    "HS256 with its own secret": lambda kind: forged(
        kind, hmac_with(b"s"), alg="HS256", jwk={"kty": "oct", "k": b64(b"s")}, kid=None
    ),
    "signed by the attacker": lambda kind: forged(kind, by_attacker, alg="ES256"),
    "ES256 under the RSA key": lambda kind: forged(kind, by_attacker, alg="ES256", kid="foreign-PS256"),
    "PS256 under the EC key": lambda kind: forged(kind, by_attacker, alg="PS256"),
    "RS256 under the PS256 key": lambda kind: forged(kind, by_attacker, alg="RS256", kid="foreign-PS256"),
    "a jku": lambda kind: forged(kind, by_attacker, alg="ES256", jku="https://attacker.example/jwks"),
    "an x5u": lambda kind: forged(kind, by_attacker, alg="ES256", x5u="https://attacker.example/cert"),
    "an x5c": lambda kind: forged(kind, by_attacker, alg="ES256", x5c=["MIIB"]),
    "crit": lambda kind: forged(kind, by_attacker, alg="ES256", crit=["b64"], b64=False),
    "a kid that is a path": lambda kind: forged(kind, hmac_with(b""), alg="HS256", kid="../../dev/null"),
    "a kid that is SQL": lambda kind: forged(kind, by_attacker, alg="ES256", kid="' OR 1=1 --"),
}
every_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS.keys())


@every_kind
def test_the_token_that_is_attacked_is_good(kind: Kind) -> None:
    kind.verify(kind.good)


@every_kind
@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS.keys())
def test_refused_is(kind: Kind, attack: Callable[[Kind], str]) -> None:
    with pytest.raises((jose.BadToken, dpop.BadProof)):
        kind.verify(attack(kind))


@pytest.mark.parametrize("name", sorted(KINDS.keys() - {"proof"}))
def test_a_key_in_the_header_vouches_for_nothing_but_a_proof(name: str) -> None:
    for kid in ("foreign-ES256", None):
        with pytest.raises(jose.BadToken):
            KINDS[name].verify(forged(KINDS[name], by_attacker, alg="ES256", jwk=ATTACKER_JWK, kid=kid))


def test_a_proof_by_another_key_names_that_key_and_not_the_victims() -> None:
    """Possession is proven of the key in the header: the binding (`jkt`) is what keeps the attacker out."""
    token = forged(KINDS["proof"], by_attacker, alg="ES256", jwk=ATTACKER_JWK)
    proof = dpop.verify_proof(token, method="POST", url="https://op.example/token", now=NOW)
    assert proof.jkt == ATTACKER.thumbprint() != VICTIM.thumbprint()
