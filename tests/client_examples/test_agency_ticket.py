"""The demo agency hands out nothing without a ticket that is right in every member."""

import json
from base64 import urlsafe_b64encode
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from jwcrypto import jwk

from client_examples.demo_agency.ticket import MEMBERS, TooBusy, UsedTickets
from tests.client_examples.agency_platform import ISSUER, NOW, World

DATASET = "bli.enrolment"
SAMPLES: tuple[Any, ...] = (None, "", "text", [], ["x", 1], ["x", "x"], {}, {"zh": 1}, True, -1, 1.5)
# What the table of SAMPLES holds that these members may well be.
FINE = {("grant_id", -1), ("grant_id", "text"), ("auth_time", -1)}
ANY_TEXT = {"jti", "txn", "sub", "client_id", "purpose"}
P384 = jwk.JWK.generate(kty="EC", crv="P-384")
RSA_1024 = jwk.JWK.generate(kty="RSA", size=1024)


def is_fine(member: str, value: Any) -> bool:
    return (
        (member in ANY_TEXT and value == "text")
        or any(member == name and value is sample for name, sample in FINE)
        or (member == "parameters" and value == {})
    )


WRONG_TYPES = [(member, value) for member in sorted(MEMBERS) for value in SAMPLES if not is_fine(member, value)]


def test_a_good_ticket_is_answered_with_a_package(world: World) -> None:
    answer = world.fetch(DATASET)
    assert (answer.status_code, answer.mimetype) == (200, "application/jose")
    assert answer.headers["Cache-Control"] == "no-store"


def test_members_that_the_agency_does_not_know_are_fine(world: World) -> None:
    assert world.fetch(DATASET, cnf={"jkt": "x"}, something_new=True).status_code == 200


@pytest.mark.parametrize("member", sorted(MEMBERS))
def test_a_ticket_that_lacks_a_member_is_refused(world: World, member: str) -> None:
    claims = world.claims(DATASET)
    del claims[member]
    assert world.ask(DATASET, world.sealed(world.signed(claims), "bli")).status_code == 401


@pytest.mark.parametrize(("member", "value"), WRONG_TYPES)
def test_a_member_of_another_type_is_refused(world: World, member: str, value: Any) -> None:
    claims = world.claims(DATASET) | {member: value}
    assert world.ask(DATASET, world.sealed(world.signed(claims), "bli")).status_code == 401


ALTERED: dict[str, dict[str, Any]] = {
    "another platform": {"iss": "https://other.example"},
    "the platform with a slash": {"iss": f"{ISSUER}/"},
    "another agency": {"aud": "ris"},
    "several agencies": {"aud": ["bli", "ris"]},
    "another dataset": {"dataset": "bli.benefits"},
    "expired": {"iat": NOW - 60, "exp": NOW},
    "from the future": {"iat": NOW + 11, "exp": NOW + 71},
    "lives for an hour": {"exp": NOW + 3600},
    "ends before it begins": {"exp": NOW - 1},
    "from before the agency's start": {"iat": NOW - 1001, "exp": NOW + 1},
    "identified by less": {"acr": "urn:mydata:acr:level-3"},
    "identified somehow": {"acr": "level-1"},
    "a private key": {"recipient_jwk": jwk.JWK.generate(kty="EC", crv="P-256").export_private(as_dict=True)},
    "a key for signatures": {"recipient_jwk": jwk.JWK.generate(kty="EC", crv="P-256", use="sig").export_public(True)},
    "a key for an algorithm that is not ours": {
        "recipient_jwk": jwk.JWK.generate(kty="RSA", size=2048, alg="RSA-OAEP").export_public(as_dict=True)
    },
    "a key on another curve": {"recipient_jwk": P384.export_public(as_dict=True)},
    "a short RSA key": {"recipient_jwk": RSA_1024.export_public(as_dict=True)},
    "a shared secret": {"recipient_jwk": {"kty": "oct", "k": "c2VjcmV0"}},
    "a point that is not on the curve": {"recipient_jwk": {"kty": "EC", "crv": "P-256", "x": "AQ", "y": "AQ"}},
}


@pytest.mark.parametrize("changes", ALTERED.values(), ids=ALTERED)
def test_a_ticket_for_something_else_is_refused(world: World, changes: dict[str, Any]) -> None:
    claims = world.claims(DATASET) | changes
    assert world.ask(DATASET, world.sealed(world.signed(claims), "bli")).status_code == 401


@pytest.mark.parametrize("fields", [["name", "salary"], ["name", "Name"], ["name"]])
def test_fields_that_the_dataset_does_not_have_or_cannot_do_without_are_refused(
    world: World, fields: list[str]
) -> None:
    assert world.fetch(DATASET, fields=fields).status_code == 400


def test_a_ticket_is_good_for_one_answer(world: World) -> None:
    ticket = world.ticket(world.claims(DATASET))
    assert [world.ask(DATASET, ticket).status_code for _ in range(3)] == [200, 401, 401]


def test_the_same_jti_in_another_ticket_is_refused(world: World) -> None:
    assert world.fetch(DATASET, jti="once").status_code == 200
    assert world.fetch("bli.pension", jti="once").status_code == 401


def test_a_refused_ticket_is_not_spent(world: World) -> None:
    ticket = world.ticket(world.claims(DATASET))
    assert world.ask("bli.pension", ticket).status_code == 401
    assert world.ask(DATASET, ticket).status_code == 200


def test_of_sixteen_uses_at_once_one_succeeds() -> None:
    used = UsedTickets(started_at=NOW)
    with ThreadPoolExecutor(16) as pool:
        won = list(pool.map(lambda _: used.use("jti", exp=NOW + 60, now=NOW), range(16)))
    assert won.count(True) == 1


def test_used_tickets_are_forgotten_only_after_they_expired() -> None:
    used = UsedTickets(started_at=NOW, limit=2)
    assert used.use("first", exp=NOW + 60, now=NOW)
    assert used.use("second", exp=NOW + 61, now=NOW)
    with pytest.raises(TooBusy):
        used.use("third", exp=NOW + 120, now=NOW + 60)
    assert used.use("third", exp=NOW + 131, now=NOW + 71)
    assert not used.use("third", exp=NOW + 131, now=NOW + 72)


def test_an_agency_that_can_remember_no_more_tickets_says_so(catalogue_json: dict[str, Any]) -> None:
    world = World(catalogue_json, remembered=1)
    assert world.fetch(DATASET).status_code == 200
    busy = world.fetch(DATASET)
    assert (busy.status_code, busy.headers["Retry-After"]) == (503, "5")


FORGED: dict[str, Callable[[World, dict[str, Any]], str]] = {
    "nothing": lambda world, claims: "",
    "no token": lambda world, claims: "....",
    "not encrypted": lambda world, claims: world.signed(claims),
    "not signed": lambda world, claims: world.sealed(json.dumps(claims), "bli"),
    "signed by somebody else": lambda world, claims: world.sealed(
        world.signed(claims, key=jwk.JWK.generate(kty="EC", crv="P-256")), "bli"
    ),
    "signed with the agency's own key": lambda world, claims: world.sealed(
        world.signed(claims, key=jwk.JWK(**world.keys["bli"].signing.as_dict(private=True))), "bli"
    ),
    "with the key inside": lambda world, claims: world.sealed(with_its_own_key(world, claims), "bli"),
    "of an unknown key id": lambda world, claims: world.sealed(world.signed(claims, kid="platform-9"), "bli"),
    "without key id": lambda world, claims: world.sealed(world.signed(claims, kid=None), "bli"),
    "without type": lambda world, claims: world.sealed(world.signed(claims, typ=None), "bli"),
    "of another type": lambda world, claims: world.sealed(world.signed(claims, typ="JWT"), "bli"),
    "of algorithm none": lambda world, claims: world.sealed(unsigned(world, claims), "bli"),
    "claims that are a list": lambda world, claims: world.sealed(world.signed(b"[1]"), "bli"),
    "claims that are not JSON": lambda world, claims: world.sealed(world.signed(b"\xff{"), "bli"),
    "encrypted twice": lambda world, claims: world.sealed(world.sealed(world.signed(claims), "bli"), "bli"),
    "encrypted to another agency": lambda world, claims: world.sealed(world.signed(claims), "ris"),
    "compressed": lambda world, claims: world.sealed(world.signed(claims), "bli", zip="DEF"),
    "with an algorithm of its own": lambda world, claims: world.sealed(
        world.signed(claims), "bli", alg="ECDH-ES+A128KW"
    ),
    "with another cipher": lambda world, claims: world.sealed(world.signed(claims), "bli", enc="A128CBC-HS256"),
    "too large": lambda world, claims: world.sealed(world.signed(claims | {"padding": "x" * 20_000}), "bli"),
}


EPKS: tuple[Any, ...] = ("text", [], {}, 7, None)
EPK = {"kty": "EC", "crv": "P-256", "x": "AQ", "y": "AQ"}
HEADERS: list[Any] = [
    [],
    "text",
    {},
    {"alg": "ECDH-ES"},
    {"alg": ["ECDH-ES"], "enc": "A256GCM"},
    {"alg": "ECDH-ES", "enc": 1},
    {"alg": "ECDH-ES", "enc": "A256GCM"},
    *({"alg": "ECDH-ES", "enc": "A256GCM", "epk": epk} for epk in (*EPKS, EPK, EPK | {"x": 1})),
    {"alg": "ECDH-ES", "enc": "A256GCM", "epk": EPK, "crit": ["b64"]},
    {"alg": "none", "enc": "none"},
]


@pytest.mark.parametrize("header", HEADERS, ids=str)
def test_a_header_that_makes_no_sense_is_refused(world: World, header: Any) -> None:
    protected = urlsafe_b64encode(json.dumps(header).encode()).rstrip(b"=").decode()
    assert world.ask(DATASET, f"{protected}..AAAAAAAAAAAAAAAA.AAAA.AAAAAAAAAAAAAAAAAAAAAA").status_code == 401


def with_its_own_key(world: World, claims: dict[str, Any]) -> str:
    key = jwk.JWK.generate(kty="EC", crv="P-256")
    return world.signed(claims, key=key, jwk=key.export_public(as_dict=True))


def unsigned(world: World, claims: dict[str, Any]) -> str:
    _, payload, _ = world.signed(claims).split(".")
    return f"eyJhbGciOiJub25lIiwidHlwIjoiYXQrand0Iiwia2lkIjoicGxhdGZvcm0tMSJ9.{payload}."


@pytest.mark.parametrize("forge", FORGED.values(), ids=FORGED)
def test_a_forged_ticket_is_refused(world: World, forge: Callable[[World, dict[str, Any]], str]) -> None:
    answer = world.ask(DATASET, forge(world, world.claims(DATASET)))
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'


@pytest.mark.parametrize("header", ["", "Basic eDp5", "DPoP x", "Bearer"])
def test_without_a_ticket_there_is_nothing(world: World, header: str) -> None:
    answer = world.client.get(f"/bli/datasets/{DATASET}", headers={"Authorization": header} if header else {})
    assert answer.status_code == 401


def test_a_ticket_changed_in_any_place_is_refused(world: World) -> None:
    ticket = world.ticket(world.claims(DATASET))
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    for index in [*range(0, len(ticket), 9), len(ticket) - 1]:
        # The top bit of a character always counts; the low bits of a part's last one may be padding.
        other = alphabet[alphabet.index(ticket[index]) ^ 32] if ticket[index] != "." else "A"
        assert world.ask(DATASET, ticket[:index] + other + ticket[index + 1 :]).status_code == 401
        assert world.ask(DATASET, ticket[:index]).status_code == 401
    assert world.ask(DATASET, ticket + "A").status_code == 401
    assert world.ask(DATASET, ticket).status_code == 200


def test_a_refusal_says_nothing_of_the_ticket(world: World) -> None:
    answer = world.fetch(DATASET, aud="ris")
    assert answer.get_json() == {"type": "about:blank", "title": "the ticket was refused", "status": 401}


def test_keys_are_asked_for_once_and_again_when_a_new_one_is_named(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [1000.0]
    monkeypatch.setattr("client_examples.demo_agency.platform.time.monotonic", lambda: clock[0])
    assert [world.fetch(DATASET).status_code for _ in range(3)] == [200, 200, 200]
    assert world.platform.requested.count(f"{ISSUER}/jwks") == 1
    new = jwk.JWK.generate(kty="EC", crv="P-256", kid="platform-2")
    world.platform.documents[f"{ISSUER}/jwks"]["keys"].append(new.export_public(as_dict=True))
    signed = world.signed(world.claims(DATASET), key=new, kid="platform-2")
    assert world.ask(DATASET, world.sealed(signed, "bli")).status_code == 401, "not asked more often than every 10 s"
    clock[0] += 11
    assert world.ask(DATASET, world.sealed(signed, "bli")).status_code == 200
    assert world.platform.requested.count(f"{ISSUER}/jwks") == 2


def test_metadata_of_another_issuer_is_not_believed(world: World) -> None:
    world.platform.documents[f"{ISSUER}/.well-known/oauth-authorization-server"]["issuer"] = "https://other.example"
    assert world.fetch(DATASET).status_code == 503
