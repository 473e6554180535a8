"""The sandbox's registry answers nobody but the platform, with yes or no and nothing else."""

import base64
import hashlib
import json
from typing import Any

import pytest
from joserfc.jwk import ECKey
from jwcrypto import jwe, jwk, jws
from werkzeug.test import TestResponse

from client_examples.demo_agency.keys import AgencyKeys
from client_examples.demo_agency.ticket import UsedTickets
from client_examples.registry.app import ASSURANCE, Registry, create_app
from client_examples.registry.books import documents_of
from client_examples.registry.question import MEMBERS, Reader
from tests.client_examples.agency_platform import ISSUER, JIA, NOW, YI, OfflinePlatform, new_enc

PLATFORM = jwk.JWK.generate(kty="EC", crv="P-256", kid="platform-1")
SAMPLES: tuple[Any, ...] = (None, [], ["x"], {}, True, 1.5)


class World:
    """A registry with fresh keys, and a platform that asks it by another library."""

    def __init__(self) -> None:
        self.keys = AgencyKeys(ECKey.generate_key("P-256", auto_kid=True), new_enc())
        platform = OfflinePlatform(
            {
                f"{ISSUER}/.well-known/oauth-authorization-server": {"issuer": ISSUER, "jwks_uri": f"{ISSUER}/jwks"},
                f"{ISSUER}/jwks": {"keys": [PLATFORM.export_public(as_dict=True)]},
            }
        )
        used = UsedTickets(started_at=NOW - 1000)
        reader = Reader("registry", ISSUER, self.keys.decryption, platform.signing_key, used)
        self.client = create_app(Registry(reader, self.keys.signing, now=lambda: NOW)).test_client()
        self._asked = 0

    def claims(self, check: str = "health_card", **changes: Any) -> dict[str, Any]:
        """The members of a good question about JIA, with changes."""
        self._asked += 1
        evidence = documents_of(JIA).evidence(check)
        claims = {"iss": ISSUER, "aud": "registry", "iat": NOW, "exp": NOW + 60, "jti": f"question-{self._asked}"}
        return claims | {"check": check, "evidence": evidence} | changes

    def signed(self, claims: Any, *, key: jwk.JWK = PLATFORM, **header: Any) -> str:
        """The inner JWS."""
        token = jws.JWS(json.dumps(claims))
        token.add_signature(key, None, json.dumps({"alg": "ES256", "typ": "registry-question+jwt"} | header))
        return str(token.serialize(compact=True))

    def sealed(self, content: str, *, to: ECKey | None = None, **header: Any) -> bytes:
        """The outer JWE."""
        public = (to or self.keys.decryption).as_dict(private=False)
        protected = {"alg": "ECDH-ES", "enc": "A256GCM", "cty": "JWT", "kid": public["kid"]} | header
        token = jwe.JWE(content.encode(), json.dumps(protected))
        token.add_recipient(jwk.JWK.from_json(json.dumps(public)))
        return str(token.serialize(compact=True)).encode()

    def send(self, body: bytes) -> TestResponse:
        return self.client.post("/verifications", data=body, content_type="application/jose")

    def ask(self, claims: Any, **header: Any) -> TestResponse:
        """Put a question as the platform does."""
        return self.send(self.sealed(self.signed(claims, kid="platform-1", **header)))

    def opened(self, answer: TestResponse) -> dict[str, Any]:
        """The claims of an answer, its signature verified."""
        assert (answer.status_code, answer.mimetype) == (200, "application/jwt")
        token = jws.JWS()
        token.deserialize(answer.text, jwk.JWK.from_json(json.dumps(self.keys.signing.as_dict(private=False))))
        assert token.jose_header["typ"] == "registry-answer+jwt"
        return dict(json.loads(token.payload))


@pytest.fixture
def world() -> World:
    """A registry of this test alone."""
    return World()


@pytest.mark.parametrize("check", sorted(ASSURANCE))
def test_a_yes_fits_one_question_and_one_platform_and_says_nothing_else(world: World, check: str) -> None:
    body = world.sealed(world.signed(world.claims(check), kid="platform-1"))
    answer = world.opened(world.send(body))
    assert answer.pop("jti")
    assert answer == {
        "iss": "registry",
        "aud": ISSUER,
        "iat": NOW,
        "exp": NOW + 60,
        "question_hash": base64.urlsafe_b64encode(hashlib.sha256(body).digest()).rstrip(b"=").decode(),
        "verified": True,
        "assurance": ASSURANCE[check],
    }


@pytest.mark.parametrize(
    ("check", "name"), [(check, name) for check in sorted(ASSURANCE) for name in documents_of(JIA).evidence(check)]
)
def test_one_wrong_or_missing_value_is_a_no(world: World, check: str, name: str) -> None:
    right = documents_of(JIA).evidence(check)
    others = documents_of(YI).evidence(check)
    for evidence in (right | {name: others[name]}, {key: value for key, value in right.items() if key != name}):
        assert world.opened(world.ask(world.claims(check, evidence=evidence)))["verified"] is False


def test_a_person_that_nobody_can_be_is_a_no_even_with_what_would_be_theirs(world: World) -> None:
    for nobody in ("A123456788", "", "x", "Ａ123456789"):
        evidence = documents_of(nobody).evidence("health_card")
        assert world.opened(world.ask(world.claims(evidence=evidence)))["verified"] is False


def test_a_value_too_many_is_a_no(world: World) -> None:
    evidence = documents_of(JIA).evidence("health_card") | {"birthdate": "1980-02-29"}
    assert world.opened(world.ask(world.claims(evidence=evidence)))["verified"] is False


REFUSED: dict[str, dict[str, Any]] = {
    "another platform": {"iss": "https://other.example"},
    "another registry": {"aud": "other"},
    "several registries": {"aud": ["registry"]},
    "expired": {"iat": NOW - 100, "exp": NOW - 1},
    "not yet": {"iat": NOW + 60, "exp": NOW + 90},
    "of endless life": {"exp": NOW + 3600},
    "from before the start": {"iat": NOW - 2000, "exp": NOW + 60},
    "another check": {"check": "face"},
    "a number in the evidence": {"evidence": {"national_id": 1}},
}


@pytest.mark.parametrize("changes", REFUSED.values(), ids=REFUSED)
def test_a_question_is_not_answered_if_it_is_of_or_for(world: World, changes: dict[str, Any]) -> None:
    assert world.ask(world.claims(**changes)).status_code == 400


@pytest.mark.parametrize("member", sorted(MEMBERS))
def test_a_question_that_lacks_a_member_or_has_it_of_another_type_is_not_answered(world: World, member: str) -> None:
    claims = world.claims()
    assert world.ask({name: value for name, value in claims.items() if name != member}).status_code == 400
    for sample in SAMPLES:
        if not (member == "evidence" and sample == {}):
            assert world.ask(claims | {member: sample}).status_code == 400


def test_a_question_is_answered_once(world: World) -> None:
    body = world.sealed(world.signed(world.claims(), kid="platform-1"))
    assert [world.send(body).status_code, world.send(body).status_code] == [200, 400]


def test_nobody_but_the_platform_is_answered(world: World) -> None:
    stranger = jwk.JWK.generate(kty="EC", crv="P-256")
    for token in (
        world.signed(world.claims(), key=stranger, kid="platform-1"),
        world.signed(world.claims(), key=stranger, kid="unknown"),
        world.signed(world.claims(), kid="platform-1", typ="at+jwt"),
        world.signed(world.claims(), kid="platform-1", typ="JWT"),
        json.dumps(world.claims()),
    ):
        assert world.send(world.sealed(token)).status_code == 400


def test_a_question_that_is_not_sealed_for_this_registry_is_not_answered(world: World) -> None:
    signed = world.signed(world.claims(), kid="platform-1")
    for body in (signed.encode(), world.sealed(signed, to=new_enc()), world.sealed(signed, zip="DEF"), b"", b"\x80"):
        assert world.send(body).status_code == 400


def test_too_large_a_question_is_not_answered(world: World) -> None:
    evidence = {"national_id": "A" * 9000}
    assert world.ask(world.claims(evidence=evidence)).status_code == 400
