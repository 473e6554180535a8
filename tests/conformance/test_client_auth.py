"""Group C: client authentication by private_key_jwt, the same at every endpoint that demands it."""

from collections.abc import Callable
from typing import Any

import pytest
from joserfc.jws import JWSRegistry

from authz_server.core import clock
from tests.support.platform import Bank, Platform, new_key, sign_with_header
from tests.support.protocol import new_bank, pushed, refused

PROFILE = "urn:ietf:params:oauth:client-assertion-type:"


def now() -> int:
    return int(clock.now().timestamp())


def signed(bank: Bank, header: dict[str, Any], **changes: Any) -> str:
    """An assertion with a header of one's own."""
    claims = {"iss": bank.client_id, "sub": bank.client_id, "aud": bank.issuer, "iat": now(), "exp": now() + 60}
    claims["jti"] = f"jti-{clock.now().timestamp()}-{id(header)}"
    return sign_with_header(claims | changes, bank.key, {"alg": bank.key.alg, "kid": bank.key.kid} | header)


def push(bank: Bank, assertion: str | None, **more: Any) -> Any:
    return pushed(bank, client_assertion=assertion, **more)


@pytest.mark.row("C-02")
@pytest.mark.parametrize("kind", ["", f"{PROFILE}saml2-bearer", f"{PROFILE}JWT-BEARER", "jwt-bearer"])
def test_the_type_of_the_assertion_is_exact(platform: Platform, kind: str) -> None:
    answer = push(platform.bank, platform.bank.assertion(), client_assertion_type=kind)
    refused(answer, {400, 401}, "invalid_client")


@pytest.mark.row("C-02", "C-05", "C-07")
@pytest.mark.parametrize("claim", ["iss", "sub", "aud", "exp", "jti"])
@pytest.mark.parametrize("value", [None, "another", 1, [], {}, True])
def test_every_claim_is_demanded_and_must_fit(platform: Platform, claim: str, value: Any) -> None:
    if (claim, value) == ("jti", "another"):
        return  # any text will do
    refused(push(platform.bank, platform.bank.assertion(**{claim: value})), 401, "invalid_client")


@pytest.mark.row("C-03")
@pytest.mark.parametrize(
    "audience",
    [
        lambda issuer: [issuer],
        lambda issuer: [issuer, "https://other.example"],
        lambda issuer: f"{issuer}/token",
        lambda issuer: f"{issuer}/par",
        lambda issuer: f"{issuer}/",
        lambda issuer: issuer.upper(),
        lambda _: "https://other.example",
    ],
    ids=["array", "two", "token endpoint", "par", "slash", "case", "other"],
)
def test_the_audience_is_the_issuer_as_one_string(platform: Platform, audience: Callable[[str], Any]) -> None:
    bank = platform.bank
    refused(push(bank, bank.assertion(aud=audience(bank.issuer))), 401, "invalid_client")


@pytest.mark.row("C-05")
@pytest.mark.parametrize(
    ("seconds", "good"), [(-300, False), (-11, False), (-9, True), (60, True), (300, True), (400, False), (1e10, False)]
)
def test_an_assertion_lives_for_minutes(platform: Platform, seconds: float, good: bool) -> None:
    answer = push(platform.bank, platform.bank.assertion(exp=now() + seconds))
    assert answer.status_code == (201 if good else 401)


@pytest.mark.row("C-06")
@pytest.mark.parametrize("claim", ["iat", "nbf"])
@pytest.mark.parametrize(("seconds", "good"), [(8, True), (11, False), (62, False), (-3000, True)])
def test_the_clock_of_a_client_may_be_a_little_fast(platform: Platform, claim: str, seconds: int, good: bool) -> None:
    with clock.frozen(clock.now()):
        answer = push(platform.bank, platform.bank.assertion(**{claim: now() + seconds}))
    assert answer.status_code == (201 if good else 401)


@pytest.mark.row("C-07")
def test_a_jti_is_good_once_per_client(platform: Platform) -> None:
    bank, other = platform.bank, platform.other_bank
    jti = f"same-{clock.now().timestamp()}"
    assert push(bank, bank.assertion(jti=jti)).status_code == 201
    refused(push(bank, bank.assertion(jti=jti)), 401, "invalid_client")
    assert push(other, other.assertion(jti=jti)).status_code == 201
    refused(push(bank, bank.assertion(jti="j" * 257)), 401, "invalid_client")


@pytest.mark.row("C-08")
@pytest.mark.parametrize("alg", ["PS256", "EdDSA", "Ed25519", "ES256"])
def test_every_advertised_algorithm_authenticates(platform: Platform, alg: str) -> None:
    bank = new_bank(platform, new_key(alg))
    assert push(bank, bank.assertion()).status_code == 201


@pytest.mark.row("C-08")
def test_rs256_does_not(platform: Platform) -> None:
    key = new_key("PS256")
    # Without alg, the key itself does not rule it out.
    open_to_both = {name: value for name, value in key.public_jwk().items() if name != "alg"}
    bank = new_bank(platform, key, jwks={"keys": [open_to_both]})
    refused(push(bank, signed(bank, {"alg": "RS256"})), 401, "invalid_client")
    assert push(bank, signed(bank, {"alg": "PS256"})).status_code == 201


@pytest.mark.row("C-08")
def test_neither_does_none_or_a_mac(platform: Platform) -> None:
    head, payload, signature = platform.bank.assertion().split(".")
    none = "eyJhbGciOiJub25lIn0"
    mac = "eyJhbGciOiJIUzI1NiJ9"
    for assertion in (f"{none}.{payload}.", f"{none}.{payload}.{signature}", f"{mac}.{payload}.{signature}"):
        refused(push(platform.bank, assertion), 401, "invalid_client")
    refused(push(platform.bank, f"{head}.{payload}."), 401, "invalid_client")


@pytest.mark.row("C-09")
@pytest.mark.parametrize("path", ["/par", "/token", "/introspect", "/revoke"])
def test_a_client_id_alone_is_nobody(platform: Platform, path: str) -> None:
    form = {"client_id": platform.bank.client_id, "grant_type": "authorization_code", "token": "x", "code": "x"}
    refused(platform.browser().post(path, data=form), 401, "invalid_client")


@pytest.mark.row("C-10")
def test_another_clients_key_does_not_vouch(platform: Platform) -> None:
    bank, other = platform.bank, platform.other_bank
    refused(push(bank, other.assertion(iss=bank.client_id, sub=bank.client_id)), 401, "invalid_client")
    refused(push(bank, other.assertion(sub=bank.client_id)), 401, "invalid_client")


@pytest.mark.row("C-01", "C-12")
@pytest.mark.parametrize(
    "more",
    [{"client_id": "yi-bank"}, {"client_id": "nobody"}, {"client_secret": "secret"}],
)
def test_what_contradicts_the_assertion_is_refused(platform: Platform, more: dict[str, str]) -> None:
    refused(push(platform.bank, platform.bank.assertion(), **more), {400, 401}, "invalid_client")


@pytest.mark.row("C-13")
def test_failures_look_alike_whether_the_client_exists_or_not(platform: Platform) -> None:
    bank = platform.bank
    stranger = Bank("nobody", bank.issuer, bank.browser)
    answers = [
        push(stranger, stranger.assertion()),
        push(bank, bank.assertion(aud="x")),
        push(bank, bank.assertion(exp=1)),
        push(bank, stranger.assertion(iss=bank.client_id, sub=bank.client_id)),
    ]
    assert len({(answer.status_code, answer.data, tuple(sorted(answer.headers.keys()))) for answer in answers}) == 1


@pytest.mark.row("C-13")
def test_an_assertion_of_nobody_takes_a_verification_too(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    bank, verified = platform.bank, list[object]()
    algorithm = JWSRegistry.algorithms["ES256"]
    verify = algorithm.verify

    def counted(*args: Any) -> Any:
        verified.append(args)
        return verify(*args)

    monkeypatch.setattr(algorithm, "verify", counted)
    for client_id in (bank.client_id, "nobody"):
        claims = {"iss": client_id, "sub": client_id, "aud": bank.issuer, "exp": now() + 60, "jti": client_id}
        # A stranger who guesses does not know the kid.
        refused(push(bank, sign_with_header(claims, new_key(), {"alg": "ES256"})), 401, "invalid_client")
        assert len(verified) == 1
        verified.clear()


@pytest.mark.row("C-02")
@pytest.mark.parametrize(
    ("typ", "good"),
    [
        (None, True),
        ("JWT", True),
        ("jwt", True),
        ("client-authentication+jwt", True),
        ("application/client-authentication+jwt", True),
        ("dpop+jwt", False),
        ("at+jwt", False),
        ("", False),
        (1, False),
    ],
)
def test_the_type_in_the_header_is_none_jwt_or_its_own(platform: Platform, typ: Any, good: bool) -> None:
    answer = push(platform.bank, signed(platform.bank, {} if typ is None else {"typ": typ}))
    assert answer.status_code == (201 if good else 401), answer.text
