"""Rows of the requirements (tests/conformance/rows.py) that concern a protected resource, by name."""

import re
import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient
from jwcrypto import jwk

from authz_server.catalogue.model import Catalogue
from authz_server.core import clock
from resource_proxy.app import create_app
from resource_proxy.config import ProxySettings
from tests.resource_proxy.people import DATASET, PROXY_URL, TRACE_ID, Authz, Client, new_token, sealed
from tests.resource_proxy.wire import Peer, json_reply, reply

PATH = f"/data/{DATASET}"


@pytest.fixture(autouse=True)
def _agency_answers(agency: Peer) -> None:
    agency.answer = lambda _: reply(200, sealed(b"x"), content_type="application/jose")


def refused(answer: Any, error: str, authz: Authz) -> None:
    """DP-11: the challenge; DP-12: nobody was asked to spend anything."""
    assert (answer.status_code, answer.mimetype) == (401, "application/problem+json")
    challenge = answer.headers["WWW-Authenticate"]
    assert challenge.startswith(f'DPoP error="{error}", ')
    assert 'algs="PS256 ES256 EdDSA Ed25519"' in challenge
    assert f'resource_metadata="{PROXY_URL}/.well-known/oauth-protected-resource{PATH}"' in challenge
    assert re.fullmatch(r"[\x20-\x7e]+", challenge)
    assert authz.exchanges == []


def test_u03_a_token_in_the_query_is_noeven_with_a_good_proof(http: FlaskClient, authz: Authz, client: Client) -> None:
    token = new_token()
    refused(http.get(f"{PATH}?access_token={token}", headers=client.headers(token)), "invalid_token", authz)
    proof_only = {"DPoP": client.proof(token)}
    refused(http.get(f"{PATH}?access_token={token}", headers=proof_only), "invalid_token", authz)


def test_u03_other_query_parameters_change_nothing(http: FlaskClient, client: Client) -> None:
    assert http.get(f"{PATH}?utm=x", headers=client.headers(new_token())).status_code == 200


@pytest.mark.parametrize("sent", [TRACE_ID, TRACE_ID.upper(), None, "not-a-uuid", "", "x" * 9000])
def test_u10_the_interaction_id_is_echoed_or_new(http: FlaskClient, client: Client, sent: str | None) -> None:
    headers = client.headers(new_token())
    headers |= {"X-FAPI-Interaction-ID": sent} if sent is not None else {}
    if sent is None:
        del headers["X-FAPI-Interaction-ID"]
    answer = http.get(PATH, headers=headers)
    assert answer.status_code == 200
    echoed = answer.headers["X-FAPI-Interaction-ID"]
    assert str(uuid.UUID(echoed)) == echoed.lower()
    if sent and len(sent) == 36:
        assert echoed == sent


@pytest.mark.parametrize(
    "extra",
    [
        {"Accept": "application/json;charset=UTF-8"},
        {"Accept": "application/json, application/*+json, */*"},
        {"Accept-Charset": "UTF-8"},
        {"x-fapi-auth-date": "Tue, 11 Sep 2012 19:43:31 GMT"},
        {"x-fapi-customer-ip-address": "192.0.2.1"},
        {"x-fapi-customer-ip-address": "2001:db8::1893:25c8:1946"},
    ],
)
def test_u11_harmless_headers_never_cause_an_error(http: FlaskClient, client: Client, extra: dict[str, str]) -> None:
    assert http.get(PATH, headers=client.headers(new_token()) | extra).status_code == 200


def test_u12_a_token_with_another_clients_key_is_refused(http: FlaskClient, authz: Authz) -> None:
    # Which key a token is bound to is known where it is spent: the thumbprint goes there, the refusal comes back.
    owner, thief, token = Client(), Client(), new_token()
    bound = {token: owner.key.thumbprint()}
    authz.exchange_says = lambda _: (
        json_reply(200, authz.grant(DATASET))
        if bound[authz.exchanges[-1]["subject_token"]] == authz.exchanges[-1]["dpop_jkt"]
        else json_reply(400, {"error": "invalid_request"})
    )
    answer = http.get(PATH, headers=thief.headers(token))
    assert answer.status_code == 401
    assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]
    assert http.get(PATH, headers=owner.headers(token)).status_code == 200


def test_u13_personal_data_is_not_stored_and_not_shared_across_origins(http: FlaskClient, client: Client) -> None:
    answer = http.get(PATH, headers=client.headers(new_token()) | {"Origin": "https://elsewhere.example"})
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert not [name for name, _ in answer.headers if name.startswith("Access-Control-")]


def test_dp01_exactly_one_proof(http: FlaskClient, authz: Authz, client: Client) -> None:
    token = new_token()
    authorization = {"Authorization": f"DPoP {token}"}
    refused(http.get(PATH, headers=authorization), "invalid_dpop_proof", authz)
    proofs = [("DPoP", client.proof(token)), ("DPoP", client.proof(token))]
    refused(http.get(PATH, headers=[*authorization.items(), *proofs]), "invalid_dpop_proof", authz)
    joined = ",".join(proof for _, proof in proofs)
    refused(http.get(PATH, headers=authorization | {"DPoP": joined}), "invalid_dpop_proof", authz)
    lower_case = authorization | {"dpop": client.proof(token)}
    assert http.get(PATH, headers=lower_case).status_code == 200


@pytest.mark.parametrize(
    "changes",
    [
        {"header_typ": "JWT"},
        {"header_typ": "at+jwt"},
        {"header_alg": "RS256"},
        {"header_alg": "none"},
        {"jti": None},
        {"htm": None},
        {"htm": "POST"},
        {"htm": "get"},
        {"htu": None},
        {"htu": f"{PROXY_URL}/data/ris.household"},
        {"htu": "https://elsewhere.example/data/ris.personal"},
        {"htu": "not a url"},
        {"iat": None},
        {"iat": "now"},
        {"ath": None},
        {"ath": "A" * 43},
        {"ath": ""},
    ],
    ids=lambda changes: "-".join(f"{name}={value}" for name, value in changes.items()),
)
def test_dp02_dp03_dp04_a_proof_with_anything_wrong_is_refused(
    http: FlaskClient, authz: Authz, client: Client, changes: dict[str, Any]
) -> None:
    token = new_token()
    try:
        headers = client.headers(token, **changes)
    except Exception:  # jwcrypto does not sign what is too wrong: put the wrong header on a good proof
        headers = client.headers(token)
        good = headers["DPoP"].split(".")
        headers["DPoP"] = ".".join(["eyJhbGciOiJub25lIiwidHlwIjoiZHBvcCtqd3QifQ", *good[1:]])
    refused(http.get(PATH, headers=headers), "invalid_dpop_proof", authz)


def test_dp02_a_private_key_in_the_header_is_refused(http: FlaskClient, authz: Authz, client: Client) -> None:
    token = new_token()
    headers = client.headers(token, header_jwk=client.key.export_private(as_dict=True))
    refused(http.get(PATH, headers=headers), "invalid_dpop_proof", authz)


def test_dp02_a_signature_by_another_key_is_refused(http: FlaskClient, authz: Authz, client: Client) -> None:
    token = new_token()
    headers = client.headers(token, header_jwk=Client().key.export_public(as_dict=True))
    refused(http.get(PATH, headers=headers), "invalid_dpop_proof", authz)


@pytest.mark.parametrize("proof", ["", "a", "a.b", "a.b.c", "...", "é", "x" * 20_000, "a.b.c.d.e"])
def test_dp01_what_is_not_a_proof_is_refused(http: FlaskClient, authz: Authz, client: Client, proof: str) -> None:
    headers = client.headers(new_token()) | {"DPoP": proof}
    refused(http.get(PATH, headers=headers), "invalid_dpop_proof", authz)


def test_dp04_query_fragment_and_default_port_do_not_matter(
    settings: ProxySettings, real_catalogue: Catalogue, client: Client
) -> None:
    settings = replace(settings, url="https://proxy.example")
    http = create_app(settings, catalogue=real_catalogue).test_client()
    for htu in (
        f"https://proxy.example{PATH}?a=b#c",
        f"HTTPS://PROXY.example:443{PATH}",
        f"https://proxy.example{PATH}#",
    ):
        assert http.get(f"{PATH}?x=y", headers=client.headers(new_token(), htu=htu)).status_code == 200
    for htu in (
        f"https://proxy.example:444{PATH}",
        f"https://proxy.example/DATA/{DATASET}",
        f"http://proxy.example{PATH}",
    ):
        assert http.get(PATH, headers=client.headers(new_token(), htu=htu)).status_code == 401


def test_no_client_is_sent_elsewhere_least_of_all_by_the_host_header(http: FlaskClient) -> None:
    for path in (f"/data//{DATASET}", f"/data/{DATASET}/", "/.well-known//oauth-protected-resource"):
        answer = http.get(path, headers={"Host": "attacker.example"})
        assert (answer.status_code, answer.headers.get("Location")) == (404, None)


def test_dp04_the_host_header_has_no_say(http: FlaskClient, authz: Authz, client: Client) -> None:
    token = new_token()
    elsewhere = {"Host": "evil.example", "X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https"}
    headers = client.headers(token, htu=f"https://evil.example{PATH}") | elsewhere
    refused(http.get(PATH, headers=headers), "invalid_dpop_proof", authz)
    assert http.get(PATH, headers=client.headers(token) | elsewhere).status_code == 200


@pytest.mark.parametrize(
    ("age_s", "status"), [(59, 200), (-14, 200), (10, 200), (-10, 200), (62, 401), (-17, 401), (3600, 401)]
)
def test_dp05_the_window_is_60_s_back_and_15_s_ahead(
    http: FlaskClient, client: Client, age_s: int, status: int
) -> None:
    at = datetime(2030, 1, 1, tzinfo=UTC)
    with clock.frozen(at):
        headers = client.headers(new_token(), iat=int(at.timestamp()) - age_s)
        assert http.get(PATH, headers=headers).status_code == status


def test_dp06_more_members_are_tolerated(http: FlaskClient, client: Client) -> None:
    now = int(clock.now().timestamp())
    headers = client.headers(new_token(), nbf=now, exp=now + 300, something={"else": 1})
    assert http.get(PATH, headers=headers).status_code == 200


def test_dp07_a_proof_used_before_is_nowhere_all_workers_share_the_store(
    http: FlaskClient, authz: Authz, client: Client
) -> None:
    seen: set[str] = set()

    def once(_request: object) -> bytes:
        jti = authz.exchanges[-1]["dpop_jti"]
        if jti in seen:
            return json_reply(400, {"error": "invalid_request"})
        seen.add(jti)
        return json_reply(200, authz.grant(DATASET))

    authz.exchange_says = once
    headers = client.headers(new_token())
    assert http.get(PATH, headers=headers).status_code == 200
    assert http.get(PATH, headers=headers).status_code == 401


def test_dp08_a_bound_token_as_bearer_or_without_proof_is_refused(
    http: FlaskClient, authz: Authz, client: Client
) -> None:
    token = new_token()
    headers = client.headers(token)
    refused(http.get(PATH, headers=headers | {"Authorization": f"Bearer {token}"}), "invalid_token", authz)
    refused(http.get(PATH, headers={"Authorization": f"Bearer {token}"}), "invalid_token", authz)
    refused(http.get(PATH, headers={"Authorization": f"DPoP {token}"}), "invalid_dpop_proof", authz)


@pytest.mark.parametrize("scheme", ["DPoP", "dpop", "dPOP", "DPOP"])
def test_dp09_the_scheme_is_compared_without_case(http: FlaskClient, client: Client, scheme: str) -> None:
    token = new_token()
    headers = client.headers(token) | {"Authorization": f"{scheme} {token}"}
    assert http.get(PATH, headers=headers).status_code == 200


def test_dp10_a_nonce_is_demanded_where_the_settings_say_so(
    http_with_nonce: FlaskClient, authz: Authz, client: Client
) -> None:
    token = new_token()
    challenged = http_with_nonce.get(PATH, headers=client.headers(token))
    refused(challenged, "use_dpop_nonce", authz)
    (nonce,) = challenged.headers.getlist("DPoP-Nonce")
    assert re.fullmatch(r"[\x21\x23-\x5b\x5d-\x7e]+", nonce)
    refused(http_with_nonce.get(PATH, headers=client.headers(token, nonce="wrong")), "use_dpop_nonce", authz)
    answer = http_with_nonce.get(PATH, headers=client.headers(token, nonce=nonce))
    assert answer.status_code == 200
    assert len(answer.headers.getlist("DPoP-Nonce")) == 1
    metadata = http_with_nonce.get("/.well-known/oauth-protected-resource")
    assert "DPoP-Nonce" not in metadata.headers, "that answer may be kept longer than a nonce is good"


def test_dp10_an_old_nonce_is_challenged_again(http_with_nonce: FlaskClient, client: Client) -> None:
    with clock.frozen(datetime(2030, 1, 1, tzinfo=UTC)):
        nonce = http_with_nonce.get(PATH, headers=client.headers(new_token())).headers["DPoP-Nonce"]
        clock.advance(timedelta(minutes=11))
        answer = http_with_nonce.get(PATH, headers=client.headers(new_token(), nonce=nonce))
        assert 'error="use_dpop_nonce"' in answer.headers["WWW-Authenticate"]
        assert answer.headers["DPoP-Nonce"] != nonce


def test_dp10_no_nonce_is_given_where_none_is_demanded(http: FlaskClient, client: Client) -> None:
    assert "DPoP-Nonce" not in http.get(PATH, headers=client.headers(new_token())).headers


def test_dp11_without_credentials_the_challenge_names_no_error(http: FlaskClient) -> None:
    answer = http.get(PATH)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith('DPoP algs="')


@pytest.mark.parametrize(
    "authorization",
    [
        "DPoP",
        "DPoP ",
        "DPoP  ",
        "",
        "mdt_x",
        "Basic dXNlcjpwYXNz",
        "DPoP mda_" + "a" * 43,
        "DPoP mdt_" + "a" * 42,
        "DPoP mdt_" + "a" * 44,
        "DPoP mdt_" + "a" * 43 + ",DPoP mdt_" + "b" * 43,
        "DPoP é",
        "DPoP mdt_" + "a" * 42 + "!",
        "DPoP " + "x" * 20_000,
    ],
)
def test_dp12_x01_what_is_not_a_dataset_token_is_nowithout_asking(
    http: FlaskClient, authz: Authz, client: Client, authorization: str
) -> None:
    headers = client.headers(new_token()) | {"Authorization": authorization}
    refused(http.get(PATH, headers=headers), "invalid_token", authz)


def test_x01_the_second_use_is_invalid_token(http: FlaskClient, authz: Authz, client: Client) -> None:
    spent: set[str] = set()

    def once(_request: object) -> bytes:
        token = authz.exchanges[-1]["subject_token"]
        if token in spent:
            return json_reply(400, {"error": "invalid_request"})
        spent.add(token)
        return json_reply(200, authz.grant(DATASET))

    authz.exchange_says = once
    token = new_token()
    assert http.get(PATH, headers=client.headers(token)).status_code == 200
    second = http.get(PATH, headers=client.headers(token))
    assert second.status_code == 401
    assert 'error="invalid_token"' in second.headers["WWW-Authenticate"]


@pytest.mark.parametrize("method", ["HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"])
def test_x08_only_get_fetches_and_the_refusal_is_a_problem(
    http: FlaskClient, authz: Authz, client: Client, method: str
) -> None:
    answer = http.open(PATH, method=method, headers=client.headers(new_token(), htm=method))
    assert (answer.status_code, answer.headers["Allow"]) == (405, "GET")
    assert answer.mimetype == "application/problem+json"
    assert authz.exchanges == []


@pytest.mark.parametrize(
    "path", ["/", "/data", "/data/", "/data/a/b", "/data/fia", "/data/fia.nothing", "/admin", "/data/%00"]
)
def test_x08_an_unknown_url_is_a_problem_with_a_trace_id(http: FlaskClient, client: Client, path: str) -> None:
    answer = http.get(path, headers=client.headers(new_token()))
    assert (answer.status_code, answer.mimetype) == (404, "application/problem+json")
    assert answer.json is not None
    assert answer.json["trace_id"] == TRACE_ID
    assert answer.json["status"] == 404


def test_x08_a_dataset_of_an_agency_that_is_not_in_the_settings_is_not_here(
    http: FlaskClient, authz: Authz, client: Client
) -> None:
    answer = http.get("/data/fia.income", headers=client.headers(new_token(), "fia.income"))
    assert answer.status_code == 404
    assert authz.exchanges == []


def test_s05_hsts_where_clients_come_by_https(settings: ProxySettings, real_catalogue: Catalogue) -> None:
    for url, expected in (("https://proxy.example", True), (PROXY_URL, False)):
        http = create_app(replace(settings, url=url), catalogue=real_catalogue).test_client()
        assert ("Strict-Transport-Security" in http.get("/health").headers) == expected


def test_the_metadata_of_rfc_9728_is_complete_and_true(http: FlaskClient, authz: Authz) -> None:
    answer = http.get("/.well-known/oauth-protected-resource")
    assert (answer.status_code, answer.mimetype) == (200, "application/json")
    document = answer.json
    assert document is not None
    assert document["resource"] == PROXY_URL
    assert document["authorization_servers"] == [authz.peer.url]
    assert document["dpop_bound_access_tokens_required"] is True
    assert document["dpop_signing_alg_values_supported"] == ["PS256", "ES256", "EdDSA", "Ed25519"]
    assert {scope.partition(".")[0] for scope in document["scopes_supported"]} == {"ris", "nhi"}
    assert "bearer_methods_supported" not in document
    assert all(value not in (None, [], "") for value in document.values())


def test_a_challenge_leads_to_the_metadata_of_the_very_resource(http: FlaskClient) -> None:
    """RFC 9728 section 3.3: `resource` is the URL that was asked, or the client must not use the document."""
    leads_to = http.get(PATH).headers["WWW-Authenticate"].rpartition('resource_metadata="')[2].rstrip('"')
    document = http.get(leads_to.removeprefix(PROXY_URL)).json
    assert document is not None
    assert document["resource"] == PROXY_URL + PATH
    assert document["scopes_supported"] == [DATASET]
    whole = http.get("/.well-known/oauth-protected-resource").json
    assert whole is not None
    own = {"resource", "scopes_supported"}
    assert {name: document[name] for name in document.keys() - own} == {
        name: whole[name] for name in whole.keys() - own
    }


@pytest.mark.parametrize("dataset", ["fia.income", "nobody.knows", "-"])
def test_what_is_not_served_has_no_metadata_and_a_challenge_names_the_proxys(http: FlaskClient, dataset: str) -> None:
    well_known = f"{PROXY_URL}/.well-known/oauth-protected-resource"
    assert http.get(f"/data/{dataset}").headers["WWW-Authenticate"].endswith(f'resource_metadata="{well_known}"')
    answer = http.get(f"/.well-known/oauth-protected-resource/data/{dataset}")
    assert (answer.status_code, answer.mimetype) == (404, "application/problem+json")


@pytest.mark.parametrize("path", ["/health", "/.well-known/oauth-protected-resource"])
@pytest.mark.parametrize("method", ["POST", "OPTIONS"])
def test_x08_what_is_for_everybody_to_read_is_only_read(http: FlaskClient, path: str, method: str) -> None:
    answer = http.open(path, method=method, headers={"Origin": "https://a.example"})
    assert (answer.status_code, answer.headers["Allow"]) == (405, "GET, HEAD")
    assert http.head(path).status_code == 200
    assert not [name for name, _ in answer.headers if name.startswith("Access-Control-")]


def test_health_says_ok_and_nothing_else(http: FlaskClient) -> None:
    assert http.get("/health").json == {"status": "ok"}


@pytest.mark.parametrize("alg", ["EdDSA", "Ed25519", "PS256"])
def test_dp02_every_advertised_algorithm_works(http: FlaskClient, alg: str) -> None:
    shape = {"kty": "RSA", "size": 2048} if alg == "PS256" else {"kty": "OKP", "crv": "Ed25519"}
    client = Client(key=jwk.JWK.generate(**shape))
    assert http.get(PATH, headers=client.headers(new_token(), header_alg=alg)).status_code == 200


def test_pages_of_the_authorization_server_alone_may_fetch_by_a_script(
    http: FlaskClient, authz: Authz, client: Client
) -> None:
    """Fetch Standard, section 3.2; no cookie is involved."""
    asked = {"Origin": authz.peer.url, "Access-Control-Request-Method": "GET"}
    allowed = http.options(PATH, headers=asked)
    assert (allowed.status_code, allowed.headers["Access-Control-Allow-Methods"]) == (204, "GET")
    assert allowed.headers["Access-Control-Allow-Origin"] == authz.peer.url
    assert "Content-Type" not in allowed.headers
    assert {"Authorization", "DPoP"} <= set(allowed.headers["Access-Control-Allow-Headers"].split(", "))
    assert http.options(PATH, headers={"Origin": authz.peer.url}).status_code == 405, "not a preflight"
    for strange in ("https://evil.example", "null", f"{authz.peer.url}.evil.example", f"{authz.peer.url}0"):
        no = http.options(PATH, headers=asked | {"Origin": strange})
        assert no.status_code == 405
        assert not [name for name, _ in no.headers if name.startswith("Access-Control-")]
    fetched = http.get(PATH, headers=client.headers(new_token()) | {"Origin": authz.peer.url})
    assert (fetched.status_code, fetched.headers["Access-Control-Allow-Origin"]) == (200, authz.peer.url)
    assert {"Retry-After", "DPoP-Nonce"} <= set(fetched.headers["Access-Control-Expose-Headers"].split(", "))
    assert "Access-Control-Allow-Credentials" not in fetched.headers
    assert "Access-Control-Allow-Origin" not in http.get("/health", headers=asked).headers
