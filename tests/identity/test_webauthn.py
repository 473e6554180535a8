"""The ceremonies of passkeys, against an authenticator that shares no line with the library that verifies."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authz_server.identity import webauthn
from authz_server.identity.webauthn import NotVerified, Passkey, Site, Use
from tests.support.authenticator import EDDSA, ES256, RS256, Authenticator, cbor, cose, decoded, encoded, new_key
from tests.support.authenticator import Passkey as Made

SITE = Site(rp_id="id.example", origin="https://id.example")
CHALLENGE = b"mdi_a-challenge-of-this-browser"
HANDLE = encoded(b"random handle of a citizen")
Json = dict[str, Any]


def creation_options(known: list[Passkey] | None = None) -> Json:
    return webauthn.creation_options(
        SITE,
        rp_name="MyData",
        user_name="測試市民甲",
        user_handle=HANDLE,
        challenge=CHALLENGE,
        known=known or [],
    )


def request_options(challenge: bytes = CHALLENGE) -> Json:
    return webauthn.request_options(SITE, challenge=challenge)


def verify_new(answer: Json) -> Passkey:
    return webauthn.verify_new(answer, site=SITE, challenge=CHALLENGE, user_handle=HANDLE)


def verify_use(answer: Json, passkey: Passkey) -> Use:
    return webauthn.verify_use(answer, passkey, site=SITE, challenge=CHALLENGE)


@pytest.fixture
def device() -> Authenticator:
    return Authenticator(SITE.origin)


def test_creation_asks_for_a_verified_discoverable_unattested_passkey() -> None:
    options = creation_options()
    assert options["rp"] == {"id": "id.example", "name": "MyData"}
    assert options["user"] == {"id": HANDLE, "name": "測試市民甲", "displayName": "測試市民甲"}
    assert options["attestation"] == "none"
    assert options["authenticatorSelection"]["userVerification"] == "required"
    assert options["authenticatorSelection"]["residentKey"] == "required"
    assert {item["alg"] for item in options["pubKeyCredParams"]} == {ES256, EDDSA, RS256}
    assert decoded(options["challenge"]) == CHALLENGE
    assert options["timeout"] == 300_000


def test_use_asks_for_a_verified_passkey_and_names_nobody() -> None:
    options = request_options()
    assert (options["rpId"], options["userVerification"]) == ("id.example", "required")
    assert not options.get("allowCredentials")


@pytest.mark.parametrize("algorithm", [ES256, EDDSA, RS256])
def test_a_passkey_of_each_algorithm_is_made_and_used(algorithm: int) -> None:
    device = Authenticator(SITE.origin, algorithm=algorithm)
    passkey = verify_new(device.create(creation_options()))
    assert (passkey.sign_count, passkey.backup_eligible, passkey.backed_up) == (1, False, False)
    assert (passkey.user_handle, passkey.transports) == (HANDLE, ["internal"])
    assert verify_use(device.get(request_options()), passkey) == Use(sign_count=2, backed_up=False)


def test_what_a_synced_passkey_says_of_its_backup_is_kept(device: Authenticator) -> None:
    device.eligible = True
    passkey = verify_new(device.create(creation_options()))
    assert (passkey.backup_eligible, passkey.backed_up) == (True, False)
    device.backed_up = True
    assert verify_use(device.get(request_options()), passkey).backed_up


def test_a_known_passkey_is_not_to_be_made_again(device: Authenticator) -> None:
    passkey = verify_new(device.create(creation_options()))
    (excluded,) = creation_options([passkey])["excludeCredentials"]
    assert excluded == {"type": "public-key", "id": passkey.credential_id, "transports": ["internal"]}


def test_self_attestation_which_browsers_let_pass_is_accepted(device: Authenticator) -> None:
    # A browser that is asked for none passes it on as it is (section 5.1.3, step 26).
    made = Made(id=b"0123456789abcdef", user_handle=b"", algorithm=EDDSA, key=new_key(EDDSA))
    device.algorithm = EDDSA
    answer = device.create(creation_options(), credential_id=made.id, public_key=cose(made))
    signed = _authenticator_data(answer) + _client_data_hash(answer)
    statement = {"fmt": "packed", "attStmt": {"alg": EDDSA, "sig": made.sign(signed)}}
    attestation = cbor(statement | {"authData": _authenticator_data(answer)})
    answer["response"]["attestationObject"] = encoded(attestation)
    assert verify_new(answer).credential_id == encoded(made.id)


MADE_WRONGLY: dict[str, Json] = {
    "without user verification": {"verified": False},
    "without user presence": {"present": False},
    "for another site": {"rp_id": "bank.example"},
    "by another origin": {"client": {"origin": "https://evil.example"}},
    "by another port": {"client": {"origin": "https://id.example:8443"}},
    "by http": {"client": {"origin": "http://id.example"}},
    "by a subdomain": {"client": {"origin": "https://www.id.example"}},
    "in a frame": {"client": {"crossOrigin": True}},
    "for another challenge": {"client": {"challenge": encoded(b"mdi_another-challenge-of-ours")}},
    "as a use": {"client": {"type": "webauthn.get"}},
    "backed up though it can't be": {"backed_up": True},
    "with octets left over": {"appended": b"\0"},
}


@pytest.mark.parametrize("changed", MADE_WRONGLY.values(), ids=MADE_WRONGLY.keys())
def test_a_passkey_is_refused_that_was_made(device: Authenticator, changed: Json) -> None:
    with pytest.raises(NotVerified):
        verify_new(device.create(creation_options(), **changed))


USED_WRONGLY = MADE_WRONGLY | {
    "as a creation": {"client": {"type": "webauthn.create"}},
    "by a synced copy of what can't be synced": {"eligible": True, "backed_up": True},
    "with another signature": {"signature": b"\x30\x06\x02\x01\x01\x02\x01\x01"},
    "by another citizen": {"user_handle": b"handle of another citizen"},
    "by nobody": {"user_handle": b""},
}
del USED_WRONGLY["as a use"]


@pytest.mark.parametrize("changed", USED_WRONGLY.values(), ids=USED_WRONGLY.keys())
def test_a_use_is_refused_that_came(device: Authenticator, changed: Json) -> None:
    passkey = verify_new(device.create(creation_options()))
    with pytest.raises(NotVerified):
        verify_use(device.get(request_options(), **changed), passkey)


def test_the_passkey_of_another_is_not_this_one(device: Authenticator) -> None:
    passkey = verify_new(device.create(creation_options()))
    other = Authenticator(SITE.origin)
    other.create(creation_options())
    with pytest.raises(NotVerified):
        verify_use(other.get(request_options()), passkey)
    renamed = other.get(request_options()) | {"id": passkey.credential_id, "rawId": passkey.credential_id}
    with pytest.raises(NotVerified):
        verify_use(renamed, passkey)


def test_a_use_without_a_user_handle_is_refused(device: Authenticator) -> None:
    passkey = verify_new(device.create(creation_options()))
    answer = device.get(request_options())
    del answer["response"]["userHandle"]
    with pytest.raises(NotVerified):
        verify_use(answer, passkey)


BAD_KEYS: dict[str, Callable[[], bytes]] = {
    "of an algorithm that was not asked for": lambda: cbor({1: 2, 3: -35, -1: 2, -2: bytes(48), -3: bytes(48)}),
    "not on its curve": lambda: cbor({1: 2, 3: ES256, -1: 1, -2: b"\1" * 32, -3: b"\1" * 32}),
    "of another curve than its algorithm": lambda: cbor({1: 2, 3: ES256, -1: 2, -2: b"\1" * 48, -3: b"\1" * 48}),
    "of another kind than its algorithm": lambda: cbor({1: 1, 3: ES256, -1: 6, -2: b"\1" * 32}),
    "of a short modulus": lambda: cbor({1: 3, 3: RS256, -1: b"\xff" * 128, -2: b"\x01\x00\x01"}),
    "of a huge modulus": lambda: cbor({1: 3, 3: RS256, -1: b"\xff" * 1024, -2: b"\x01\x00\x01"}),
    "without anything": lambda: cbor({}),
    "that is a text": lambda: cbor("key"),
    "that is no CBOR": lambda: b"\xff",
}


@pytest.mark.parametrize("key", BAD_KEYS.values(), ids=BAD_KEYS.keys())
def test_a_key_is_refused(device: Authenticator, key: Callable[[], bytes]) -> None:
    with pytest.raises(NotVerified):
        verify_new(device.create(creation_options(), public_key=key()))


def test_a_credential_id_beyond_the_limit_is_refused(device: Authenticator) -> None:
    longest = b"i" * 1023
    assert verify_new(device.create(creation_options(), credential_id=longest)).credential_id == encoded(longest)
    with pytest.raises(NotVerified):
        verify_new(device.create(creation_options(), credential_id=b"i" * 1024))


def test_an_id_beside_the_attested_one_is_refused(device: Authenticator) -> None:
    answer = device.create(creation_options())
    with pytest.raises(NotVerified):
        verify_new(answer | {"id": encoded(b"somebody else's"), "rawId": encoded(b"somebody else's")})


def test_what_an_answer_claims_can_be_read_before_it_is_verified(device: Authenticator) -> None:
    answer = device.create(creation_options())
    assert webauthn.unverified_challenge(answer) == CHALLENGE.decode()
    assert webauthn.unverified_id(answer) == answer["id"]
    for nothing in ({}, {"id": "\0", "response": None}, {"id": 7, "response": {"clientDataJSON": encoded(b"[")}}):
        assert (webauthn.unverified_challenge(nothing), webauthn.unverified_id(nothing)) == ("", "")


@pytest.mark.parametrize(
    ("issuer", "site"),
    [
        ("https://id.example", SITE),
        ("https://id.example:443", SITE),
        ("https://id.example/path", SITE),
        ("https://ID.example", SITE),
        ("https://id.example:8443", replace(SITE, origin="https://id.example:8443")),
        ("http://localhost:8000", Site(rp_id="localhost", origin="http://localhost:8000")),
        ("http://id.example", None),
        ("http://127.0.0.1:8000", None),
        ("https://192.0.2.1", None),
        ("https://[2001:db8::1]", None),
    ],
)
def test_the_site_is_that_of_the_issuer(issuer: str, site: Site | None) -> None:
    assert webauthn.site_of(issuer) == site


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@given(st.data())
def test_whatever_is_sent_instead_is_refused_and_nothing_else(data: st.DataObject) -> None:
    device = Authenticator(SITE.origin, algorithm=EDDSA)
    made = device.create(creation_options())
    passkey = verify_new(made)
    answer, verify = data.draw(
        st.sampled_from([(made, verify_new), (device.get(request_options()), lambda told: verify_use(told, passkey))])
    )
    response = dict(answer["response"])
    broken = answer | {"response": response}
    part = data.draw(st.sampled_from(sorted(response.keys() - {"transports"})))
    if data.draw(st.booleans()):
        response[part] = data.draw(json_values)
    else:
        octets = decoded(response[part])
        at = data.draw(st.integers(0, len(octets)))
        response[part] = encoded(octets[:at] + data.draw(st.binary(min_size=1, max_size=3)) + octets[at + 1 :])
    # Where the change made no difference (blanks in JSON, say) it is accepted; what must not be is another error.
    webauthn.unverified_challenge(broken)
    with suppress(NotVerified):
        assert isinstance(verify(broken), Passkey | Use)


def _authenticator_data(answer: Json) -> bytes:
    attestation = decoded(answer["response"]["attestationObject"])
    rp_id_hash = attestation.index(sha256(b"id.example").digest())
    return attestation[rp_id_hash:]


def _client_data_hash(answer: Json) -> bytes:
    return sha256(decoded(answer["response"]["clientDataJSON"])).digest()
