"""Groups D and J: the metadata and the keys, and that both say the truth."""

import math
import re
from typing import Any
from urllib.parse import urlsplit

import pytest

from authz_server.core import jose
from authz_server.oauth.server import GRANTS
from tests.support.platform import Platform
from tests.support.protocol import pushed, refused, userinfo

WELL_KNOWN = ("/.well-known/openid-configuration", "/.well-known/oauth-authorization-server")
SIGNING = {"PS256", "ES256", "EdDSA", "Ed25519"}
SCOPE_TOKEN = re.compile(r"[\x21\x23-\x5B\x5D-\x7E]+")
# Grant Management for OAuth 2.0, section 7.1, which IANA has not registered yet.
GRANT_MANAGEMENT = {"grant_management_endpoint", "grant_management_actions_supported"}
OUR_OWN = {"barcode_announcement_endpoint", "copy_report_endpoint"}  # steps that no standard has
# IANA, "OAuth Authorization Server Metadata": the names that a server of this kind could use.
REGISTERED = frozenset(
    [
        "issuer",
        "authorization_endpoint",
        "token_endpoint",
        "jwks_uri",
        "registration_endpoint",
        "scopes_supported",
        "response_types_supported",
        "response_modes_supported",
        "grant_types_supported",
        "token_endpoint_auth_methods_supported",
        "token_endpoint_auth_signing_alg_values_supported",
        "service_documentation",
        "ui_locales_supported",
        "op_policy_uri",
        "op_tos_uri",
        "revocation_endpoint",
        "revocation_endpoint_auth_methods_supported",
        "revocation_endpoint_auth_signing_alg_values_supported",
        "introspection_endpoint",
        "introspection_endpoint_auth_methods_supported",
        "introspection_endpoint_auth_signing_alg_values_supported",
        "code_challenge_methods_supported",
        "signed_metadata",
        "tls_client_certificate_bound_access_tokens",
        "mtls_endpoint_aliases",
        "userinfo_endpoint",
        "acr_values_supported",
        "subject_types_supported",
        "id_token_signing_alg_values_supported",
        "userinfo_signing_alg_values_supported",
        "display_values_supported",
        "claim_types_supported",
        "claims_supported",
        "claims_locales_supported",
        "claims_parameter_supported",
        "request_parameter_supported",
        "request_uri_parameter_supported",
        "require_request_uri_registration",
        "require_signed_request_object",
        "pushed_authorization_request_endpoint",
        "require_pushed_authorization_requests",
        "authorization_response_iss_parameter_supported",
        "authorization_details_types_supported",
        "dpop_signing_alg_values_supported",
        "prompt_values_supported",
        "protected_resources",
    ]
)
BOOLEANS = {
    "claims_parameter_supported",
    "request_parameter_supported",
    "request_uri_parameter_supported",
    "require_request_uri_registration",
    "authorization_response_iss_parameter_supported",
}


@pytest.fixture
def metadata(platform: Platform) -> dict[str, Any]:
    document: dict[str, Any] = platform.browser().get(WELL_KNOWN[0]).get_json()
    return document


@pytest.fixture
def keys(platform: Platform) -> list[dict[str, Any]]:
    document: list[dict[str, Any]] = platform.browser().get("/jwks").get_json()["keys"]
    return document


@pytest.mark.row("D-01", "D-25")
def test_the_same_metadata_is_at_both_places_for_everybody(platform: Platform) -> None:
    answers = [platform.browser().get(path) for path in WELL_KNOWN]
    for answer in answers:
        assert (answer.status_code, answer.mimetype) == (200, "application/json")
    assert answers[0].get_json() == answers[1].get_json()


@pytest.mark.row("D-02")
def test_the_issuer_is_one_https_url_and_everything_is_signed_in_its_name(
    platform: Platform, metadata: dict[str, Any]
) -> None:
    issuer = urlsplit(metadata["issuer"])
    assert metadata["issuer"] == platform.settings.issuer
    assert issuer.scheme == "https"
    assert issuer.hostname
    assert (issuer.query, issuer.fragment, issuer.username, issuer.path) == ("", "", None, "")
    assert jose.unverified(platform.tokens()["id_token"]).claims["iss"] == metadata["issuer"]


@pytest.mark.row("D-03", "D-17", "D-21")
def test_endpoints_are_absolute_https_urls_that_exist(platform: Platform, metadata: dict[str, Any]) -> None:
    endpoints = {name: url for name, url in metadata.items() if name.endswith("_endpoint") or name == "jwks_uri"}
    assert "pushed_authorization_request_endpoint" in endpoints
    # Of grants there is one resource each, below this address, and none at it.
    assert endpoints.pop("grant_management_endpoint") == f"{metadata['issuer']}/grants"
    for url in endpoints.values():
        assert url.startswith(f"{metadata['issuer']}/")
        assert platform.browser().get(urlsplit(url).path).status_code != 404
    assert not {"mtls_endpoint_aliases", "tls_client_certificate_bound_access_tokens"} & set(metadata)
    # Every profile that exists pushes its requests; a server-wide demand would bind those to come as well.
    assert metadata.get("require_pushed_authorization_requests", False) is False


@pytest.mark.row("D-04", "D-05")
def test_only_codes_are_issued_and_only_by_the_grants_that_exist(metadata: dict[str, Any]) -> None:
    assert metadata["response_types_supported"] == ["code"]
    assert metadata["grant_types_supported"] == [grant.GRANT_TYPE for grant in GRANTS]
    assert "refresh_token" not in metadata["grant_types_supported"]


@pytest.mark.row("D-06")
def test_subjects_are_pairwise_and_truly_so(platform: Platform, metadata: dict[str, Any]) -> None:
    assert metadata["subject_types_supported"] == ["pairwise"]
    mine = jose.unverified(platform.tokens()["id_token"]).claims["sub"]
    citizen, bank = platform.citizen(), platform.other_bank
    page = citizen.authorize(bank.client_id, bank.push())
    code = re.search(r"code=([^&]+)", citizen.decide(page).location)
    assert code is not None
    theirs = jose.unverified(bank.redeem(code[1]).get_json()["id_token"]).claims["sub"]
    assert mine != theirs


@pytest.mark.row("D-07", "D-08", "D-14", "D-15")
def test_only_strong_algorithms_are_listed(metadata: dict[str, Any]) -> None:
    lists = {name: value for name, value in metadata.items() if name.endswith("_signing_alg_values_supported")}
    # Left out, each would say something else: RS256, or that there are no proofs.
    for kind in ("id_token", "token_endpoint_auth", "dpop"):
        assert f"{kind}_signing_alg_values_supported" in lists
    for name, algorithms in lists.items():
        assert algorithms, name
        assert set(algorithms) <= SIGNING, name
    # UserInfo is not signed; RS256 is for a profile that does not exist here.
    assert "userinfo_signing_alg_values_supported" not in metadata


@pytest.mark.row("D-09")
def test_scopes_are_openid_the_standard_ones_and_every_dataset(platform: Platform, metadata: dict[str, Any]) -> None:
    scopes = metadata["scopes_supported"]
    assert {"openid", "profile", "email", "phone"} <= set(scopes)
    assert set(platform.catalogue.scopes) <= set(scopes)
    assert all(SCOPE_TOKEN.fullmatch(scope) for scope in scopes)


@pytest.mark.row("D-10", "I-09")
def test_the_claims_that_are_listed_can_be_had_and_the_parameter_works(
    platform: Platform, metadata: dict[str, Any]
) -> None:
    assert metadata["claims_parameter_supported"] is True
    body = platform.tokens(claims='{"userinfo": {"name": {"essential": true}}, "id_token": {"birthdate": null}}')
    assert userinfo(platform.bank, body["access_token"]).get_json()["name"] == "測試市民甲"
    claims = jose.unverified(body["id_token"]).claims
    assert claims["birthdate"] == "1980-01-02"
    assert {"acr", "amr", "auth_time", "sub", "name", "email", "phone_number"} <= set(metadata["claims_supported"])


@pytest.mark.row("D-11")
def test_languages_are_in_canonical_case(metadata: dict[str, Any]) -> None:
    assert metadata["ui_locales_supported"] == ["zh-TW", "en"]


@pytest.mark.row("D-12", "D-13")
def test_pkce_is_s256_and_clients_sign_assertions(metadata: dict[str, Any]) -> None:
    assert metadata["code_challenge_methods_supported"] == ["S256"]
    # Methods with a secret are for a profile that does not exist here.
    assert metadata["token_endpoint_auth_methods_supported"] == ["private_key_jwt"]


@pytest.mark.row("D-18", "D-20")
def test_switches_are_booleans_and_true_to_behaviour(platform: Platform, metadata: dict[str, Any]) -> None:
    assert metadata["authorization_response_iss_parameter_supported"] is True
    assert metadata["request_parameter_supported"] is False
    assert metadata["request_uri_parameter_supported"] is False
    assert metadata["require_request_uri_registration"] is False
    refused(pushed(platform.bank, request="eyJhbGciOiJub25lIn0..", response_type="code"), 400, "request_not_supported")


@pytest.mark.row("D-23")
def test_every_member_is_registered_with_iana(metadata: dict[str, Any]) -> None:
    assert set(metadata) - REGISTERED == GRANT_MANAGEMENT | OUR_OWN


@pytest.mark.row("D-24")
def test_every_member_has_its_type_and_nothing_is_empty(metadata: dict[str, Any]) -> None:
    for name, value in metadata.items():
        if name in BOOLEANS:
            assert isinstance(value, bool), name
        elif name.endswith("_supported") or name == "protected_resources":
            assert value, name
            assert isinstance(value, list), name
            assert all(isinstance(item, str) and item for item in value), name
            assert len(set(value)) == len(value), name
        else:
            assert isinstance(value, str), name
            assert urlsplit(value).scheme == "https", name


@pytest.mark.row("J-01", "J-07")
def test_the_jwks_is_json_that_may_be_cached_for_minutes(platform: Platform) -> None:
    answer = platform.browser().get("/jwks")
    assert (answer.status_code, answer.mimetype) == (200, "application/json")
    assert answer.get_json()["keys"]
    max_age = re.fullmatch(r"public, max-age=(\d+)", answer.headers["Cache-Control"])
    assert max_age is not None
    assert int(max_age[1]) <= 600


@pytest.mark.row("J-02", "J-03", "J-04")
def test_every_key_is_public_named_and_strong(keys: list[dict[str, Any]]) -> None:
    for key in keys:
        assert not set(key) & {"d", "p", "q", "dp", "dq", "qi", "oth", "k"}
        assert key["kty"] in {"EC", "OKP", "RSA"}
        assert key["kid"]
        assert key["use"] in {"sig", "enc"}
        assert key["alg"] in SIGNING | {"ECDH-ES"}
        for name in {"x", "y", "n", "e"} & set(key):
            assert re.fullmatch(r"[A-Za-z0-9_-]+", key[name])
        if key["kty"] == "EC":
            assert key["crv"] == "P-256"
        if key["kty"] == "RSA":
            assert len(key["n"]) >= math.ceil(2048 / 6)
    assert len({key["kid"] for key in keys}) == len(keys)


@pytest.mark.row("J-05", "I-03")
def test_exactly_one_key_verifies_what_is_signed(platform: Platform, keys: list[dict[str, Any]]) -> None:
    token = platform.tokens()["id_token"]
    header = jose.unverified(token).header
    fitting = [key for key in keys if (key["kid"], key["alg"]) == (header["kid"], header["alg"])]
    assert len(fitting) == 1
    jose.verify(token, jose.parse_public_keys({"keys": fitting}), algorithms=(header["alg"],))
    assert header["alg"] in platform.browser().get(WELL_KNOWN[0]).get_json()["id_token_signing_alg_values_supported"]
