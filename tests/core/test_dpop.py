"""DPoP proofs, RFC 9449 section 4.3 item by item. Proofs come from jwcrypto.

Classes of vulnerability: 16 (each claim dropped and altered), 18 (binding), 20 (embedded keys), 23 (htu is ours).
"""

import hashlib
import json
import string
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from authz_server.core import dpop, jose
from tests.core.keys import NOW, b64, foreign_key, foreign_sign, proof_of, public_jwk

URL = "https://op.example/token"
KEY = b"k" * 32
TOKEN = "mdt_" + "t" * 43
IAT = int(NOW.timestamp())


def verify(proof: str, *, url: str = URL, now: datetime = NOW, **options: Any) -> dpop.Proof:
    return dpop.verify_proof(proof, method="POST", url=url, now=now, **options)


def ath(token: str) -> str:
    return b64(hashlib.sha256(token.encode()).digest())


@pytest.mark.parametrize("alg", ["ES256", "EdDSA", "Ed25519", "PS256"])
def test_a_good_proof_tells_key_jti_and_time(alg: str) -> None:
    proof = verify(proof_of(alg, jti="j1"))
    assert proof == dpop.Proof(jkt=foreign_key(alg).thumbprint(), jti="j1", iat=IAT, nonce=None)


def test_a_proof_with_a_4096_bit_rsa_key_has_room() -> None:
    assert len(proof_of("PS256", header={"note": "x" * 2000})) > 3000
    verify(proof_of("PS256", header={"note": "x" * 2000}))


# The header


@pytest.mark.parametrize("alg", ["RS256", "ES384"])
def test_other_algorithms_are_refused(alg: str) -> None:
    with pytest.raises(dpop.BadProof):
        verify(proof_of(alg))


def test_a_caller_may_take_fewer_algorithms() -> None:
    with pytest.raises(dpop.BadProof, match="alg"):
        verify(proof_of("EdDSA"), algorithms=("ES256",))


def test_alg_none_is_refused() -> None:
    header = {"typ": "dpop+jwt", "alg": "none", "jwk": public_jwk(foreign_key("ES256"))}
    with pytest.raises(dpop.BadProof):
        verify(f"{b64(header)}.{b64({'jti': 'j', 'htm': 'POST', 'htu': URL, 'iat': IAT})}.")


@pytest.mark.parametrize("typ", [None, "JWT", "jwt", "dpop", "", 1])
def test_the_type_must_be_dpop_jwt(typ: object) -> None:
    with pytest.raises(dpop.BadProof, match="typ"):
        verify(proof_of(header={"typ": typ}))


@pytest.mark.parametrize("typ", ["DPoP+JWT", "application/dpop+jwt"])
def test_the_type_is_compared_like_a_media_type(typ: str) -> None:
    verify(proof_of(header={"typ": typ}))


def test_a_proof_that_carries_its_private_key_is_refused() -> None:
    private = foreign_key("ES256").export_private(as_dict=True)
    with pytest.raises(dpop.BadProof, match="private"):
        verify(proof_of(header={"jwk": private}))


@pytest.mark.parametrize("jwk", [None, [], "", {}, {"kty": "oct", "k": "AA"}, {"kty": "EC", "crv": "P-256", "x": "AA"}])
def test_a_proof_without_a_public_key_is_refused(jwk: object) -> None:
    with pytest.raises(dpop.BadProof, match="jwk"):
        verify(proof_of(header={"jwk": jwk}))


def test_a_proof_signed_by_another_key_than_it_carries_is_refused() -> None:
    with pytest.raises(dpop.BadProof, match="signature"):
        verify(
            proof_of(
                header={
                    "jwk": jose.parse_private_keys({"keys": [jose.generate_key("ES256")]}).get("ES256").public_jwk()
                }
            )
        )


def test_a_key_of_another_type_than_the_algorithm_is_refused() -> None:
    with pytest.raises(dpop.BadProof, match="alg"):
        verify(proof_of(header={"jwk": public_jwk(foreign_key("EdDSA"))}))


@pytest.mark.parametrize("member", [{"crit": ["x"], "x": 1}, {"jku": "https://a.example"}, {"x5c": ["A"]}], ids=repr)
def test_a_header_that_brings_other_rules_is_refused(member: dict[str, Any]) -> None:
    with pytest.raises(dpop.BadProof):
        verify(proof_of(header=member))


def test_kid_use_and_alg_beside_the_key_are_tolerated() -> None:
    labelled = public_jwk(foreign_key("ES256")) | {"kid": "k", "use": "sig", "alg": "ES256", "key_ops": ["verify"]}
    assert verify(proof_of(header={"jwk": labelled, "kid": "k"})).jkt == foreign_key("ES256").thumbprint()


def test_a_proof_over_8_kib_is_refused() -> None:
    with pytest.raises(dpop.BadProof, match="long"):
        verify(proof_of(jti="j" * 8192))


# The claims


@pytest.mark.parametrize("claim", ["jti", "htm", "htu", "iat"])
@pytest.mark.parametrize("value", [None, "", 0, [], {}, True, ["POST"]], ids=repr)
def test_each_claim_is_there_and_of_its_type(claim: str, value: Any) -> None:
    with pytest.raises(dpop.BadProof):
        verify(proof_of(**{claim: value}))


@pytest.mark.parametrize("payload", [b"[]", b"null", b'"x"', b"", b"\xff", b"1"])
def test_a_payload_that_is_no_object_is_refused(payload: bytes) -> None:
    jwk = public_jwk(foreign_key("ES256"))
    with pytest.raises(dpop.BadProof):
        verify(foreign_sign(payload, "ES256", typ="dpop+jwt", jwk=jwk, kid=None))


@pytest.mark.parametrize("method", ["post", "GET", "POST ", "Post"])
def test_the_method_is_compared_exactly(method: str) -> None:
    with pytest.raises(dpop.BadProof, match="htm"):
        verify(proof_of(htm=method))


def test_claims_of_other_specifications_are_tolerated() -> None:
    verify(proof_of(nbf=IAT, exp=IAT + 300, unknown={"a": [1]}))


@pytest.mark.parametrize("nonce", [1, [], {}, True])
def test_a_nonce_is_a_string(nonce: object) -> None:
    with pytest.raises(dpop.BadProof, match="nonce"):
        verify(proof_of(nonce=nonce))


def test_a_nonce_is_handed_to_the_caller() -> None:
    assert verify(proof_of(nonce="n1")).nonce == "n1"


# Time


@pytest.mark.parametrize("age_s", [-15, -10, 0, 10, 60])
def test_a_proof_is_taken_from_15_seconds_before_its_time_to_60_after(age_s: int) -> None:
    verify(proof_of(iat=IAT - age_s))


@pytest.mark.parametrize("age_s", [-3600, -16, 61, 3600])
def test_a_proof_outside_the_window_is_refused(age_s: int) -> None:
    with pytest.raises(dpop.BadProof, match="window"):
        verify(proof_of(iat=IAT - age_s))


@pytest.mark.parametrize(
    ("moved", "good"), [(60_000_000, True), (60_000_001, False), (-15_000_000, True), (-15_000_001, False)]
)
def test_the_edges_of_the_window_are_exact(moved: int, good: bool) -> None:
    now = NOW + timedelta(microseconds=moved)
    if good:
        verify(proof_of(), now=now)
    else:
        with pytest.raises(dpop.BadProof):
            verify(proof_of(), now=now)


@given(st.integers(-200, 200))
def test_the_window_holds_for_every_age(age_s: int) -> None:
    if -15 <= age_s <= 60:
        verify(proof_of(iat=IAT - age_s))
    else:
        with pytest.raises(dpop.BadProof):
            verify(proof_of(iat=IAT - age_s))


def test_a_time_with_a_fraction_is_a_time() -> None:
    assert verify(proof_of(iat=IAT + 0.5)).iat == IAT


@pytest.mark.parametrize("iat", [10**30, -(10**30), 1e300, "1767225600"])
def test_an_absurd_time_is_refused(iat: object) -> None:
    with pytest.raises(dpop.BadProof):
        verify(proof_of(iat=iat))


# The access token


def test_the_hash_of_the_presented_token_is_demanded() -> None:
    verify(proof_of(ath=ath(TOKEN)), access_token=TOKEN)


@pytest.mark.parametrize("value", [None, "", ath("mdt_other"), ath(TOKEN) + "=", ath(TOKEN)[:-1], 1, [ath(TOKEN)], "é"])
def test_a_wrong_or_missing_token_hash_is_refused(value: object) -> None:
    with pytest.raises(dpop.BadProof, match="ath"):
        verify(proof_of(ath=value), access_token=TOKEN)


def test_where_no_token_is_presented_its_hash_does_not_matter() -> None:
    verify(proof_of(ath=ath(TOKEN)))


# The URL


@pytest.mark.parametrize(
    "htu",
    ["https://op.example/token", "HTTPS://op.example/token", "https://OP.Example/token", "https://op.example:443/token",
     "https://op.example:/token", "https://op.example/token?a=b", "https://op.example/token#f", "https://op.example/token?#"],
)  # fmt: skip
def test_these_name_the_same_resource(htu: str) -> None:
    verify(proof_of(htu=htu))


@pytest.mark.parametrize(
    "htu",
    ["http://op.example/token", "https://op.example/", "https://op.example", "https://op.example/token/",
     "https://op.example/Token", "https://op.example//token", "https://op.example/./token", "https://op.example/a/../token",
     "https://op.example/%74oken", "https://op.example/token;a", "https://op.example:8443/token", "https://op.example:80/token",
     "https://op.example.evil.example/token", "https://evil.example/token", "https://op.example@evil.example/token",
     "https://user@op.example/token", "https://user:pass@op.example/token", "https://op.example./token",
     "https://op.example\\@evil.example/token", " https://op.example/token", "https://op.example/token ",
     "https://op.example/to\tken", "https://op.example/token\n", "//op.example/token", "/token", "op.example/token",
     "https:/op.example/token", "https:op.example/token", "https://", "https:///token", "https://op.example:x/token",
     "https://op.example:99999/token", "https://[op.example/token", "https://[::1/token", "ftp://op.example/token",
     "javascript:alert(1)", "https://\u043ep.example/token", "https://op\u3002example/token", "https://op.example/tok\u212aen"],
)  # fmt: skip
def test_these_do_not(htu: str) -> None:
    with pytest.raises(dpop.BadProof, match="htu"):
        verify(proof_of(htu=htu))


def test_our_own_url_may_have_a_port_of_its_own() -> None:
    verify(proof_of(htu="http://127.0.0.1:8000/token"), url="http://127.0.0.1:8000/token")
    with pytest.raises(dpop.BadProof):
        verify(proof_of(htu="http://127.0.0.1:8001/token"), url="http://127.0.0.1:8000/token")


def test_an_empty_path_is_the_root() -> None:
    verify(proof_of(htu="https://op.example"), url="https://op.example/")


hosts = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?(\.[a-z]{2,5}){1,2}", fullmatch=True)
paths = st.lists(st.text(string.ascii_letters + string.digits + "-._~%:@!$&'()*+,;=", max_size=6), max_size=4).map(
    lambda segments: "/" + "/".join(segments)
)
ports = st.none() | st.integers(1, 65535)


@given(st.sampled_from(["http", "https"]), hosts, ports, paths, st.data())
def test_case_of_scheme_and_host_default_port_query_and_fragment_never_matter(
    scheme: str, host: str, port: int | None, path: str, data: st.DataObject
) -> None:
    default = {"http": 80, "https": 443}[scheme]
    url = f"{scheme}://{host}{'' if port is None else f':{port}'}{path}"
    spelt_port = f":{port}" if port not in (None, default) else data.draw(st.sampled_from(["", f":{default}"]))
    flipped = "".join(data.draw(st.sampled_from([c.upper(), c.lower()])) for c in f"{scheme}://{host}")
    tail = data.draw(st.sampled_from(["", "?", "?a=b/c", "#", "#x?y", "?q#f"]))
    assert dpop.comparable_url(flipped + spelt_port + path + tail) == dpop.comparable_url(url)


@given(hosts, paths, hosts, paths)
def test_another_host_or_path_always_matters(host: str, path: str, other_host: str, other_path: str) -> None:
    same = dpop.comparable_url(f"https://{host}{path}") == dpop.comparable_url(f"https://{other_host}{other_path}")
    assert same == ((host, path) == (other_host, other_path))


@given(st.text())
@example("https://[")
@example("https://[::1]:x")
@example("https://a:\u0661")
def test_no_text_whatsoever_raises_anything_but_value_error(text: str) -> None:
    for url in (text, f"https://{text}"):
        with suppress(ValueError):
            dpop.comparable_url(url)


@given(
    st.dictionaries(
        st.sampled_from(["jti", "htm", "htu", "iat", "ath", "nonce"]),
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(max_size=8)
        | st.lists(st.integers(), max_size=2),
        min_size=1,
    )
)
def test_claims_of_any_type_give_a_proof_or_a_refusal(claims: dict[str, Any]) -> None:
    with suppress(dpop.BadProof):
        verify(proof_of(**claims), access_token=TOKEN)


# Replay and nonces


def test_the_same_proof_has_the_same_replay_key() -> None:
    assert dpop.replay_key(verify(proof_of(jti="a"))) == dpop.replay_key(verify(proof_of(jti="a", iat=IAT + 1)))
    assert len(dpop.replay_key(verify(proof_of(jti="a")))) == 32


def test_another_jti_or_another_key_is_no_replay() -> None:
    proofs = [proof_of("ES256", jti="a"), proof_of("ES256", jti="b"), proof_of("EdDSA", jti="a")]
    assert len({dpop.replay_key(verify(proof)) for proof in proofs}) == 3


def test_a_jti_of_odd_characters_has_a_replay_key() -> None:
    assert dpop.replay_key(dpop.Proof(jkt="k", jti="\ud800", iat=0, nonce=None))


def test_a_nonce_is_good_for_its_five_minutes_and_the_next() -> None:
    nonce = dpop.issue_nonce(KEY, NOW)
    assert dpop.check_nonce(KEY, nonce, NOW)
    assert dpop.check_nonce(KEY, nonce, NOW + timedelta(seconds=599))
    assert not dpop.check_nonce(KEY, nonce, NOW + timedelta(seconds=600))
    assert not dpop.check_nonce(KEY, nonce, NOW - timedelta(seconds=1))


@given(st.integers(0, 300))
def test_a_nonce_is_good_for_at_least_five_minutes_whenever_it_was_issued(offset_s: int) -> None:
    issued = NOW + timedelta(seconds=offset_s)
    assert dpop.check_nonce(KEY, dpop.issue_nonce(KEY, issued), issued + timedelta(seconds=300))


@pytest.mark.parametrize("nonce", [None, "", "x", "é"])
def test_what_we_did_not_issue_is_no_nonce(nonce: str | None) -> None:
    assert not dpop.check_nonce(KEY, nonce, NOW)


def test_a_nonce_of_another_key_is_none_of_ours() -> None:
    assert not dpop.check_nonce(KEY, dpop.issue_nonce(b"j" * 32, NOW), NOW)


def test_a_nonce_has_only_characters_that_a_header_may_carry() -> None:
    assert all(c in string.ascii_letters + string.digits + "-_" for c in dpop.issue_nonce(KEY, NOW))


def test_a_refusal_never_quotes_the_proof() -> None:
    proof = proof_of(htu="https://elsewhere.example/x")
    with pytest.raises(dpop.BadProof) as caught:
        verify(proof)
    assert "elsewhere" not in json.dumps([caught.value.detail, caught.value.public])
