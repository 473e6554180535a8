"""Group P: pushed authorization requests, from the form to the last use of the request_uri."""

import socket
from datetime import timedelta
from typing import Any

import pytest

from authz_server.consent.models import AuthorizationRequest
from authz_server.core import clock, dpop, jose
from authz_server.core.secrets import digest
from tests.support.platform import ASSERTION_TYPE, Platform, answer_of, new_key
from tests.support.protocol import entropy, error_page, opened, pushed, refused, rows, services_of

PREFIX = "urn:ietf:params:oauth:request_uri:"


@pytest.mark.row("P-01")
@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_only_post_pushes(platform: Platform, method: str) -> None:
    answer = platform.browser().open("/par", method=method)
    refused(answer, 405)
    assert answer.headers["Allow"] == "POST"


@pytest.mark.row("P-01")
def test_only_a_form_is_read(platform: Platform) -> None:
    parameters = platform.bank.parameters() | {"client_assertion_type": ASSERTION_TYPE}
    answer = platform.browser().post("/par", json=parameters | {"client_assertion": platform.bank.assertion()})
    refused(answer, 400, "invalid_request")


@pytest.mark.row("P-02", "P-03")
def test_an_accepted_request_gets_an_unguessable_uri_for_a_short_time(platform: Platform) -> None:
    answer = pushed(platform.bank)
    assert (answer.status_code, answer.mimetype) == (201, "application/json")
    assert answer.headers["Cache-Control"] == "no-store"
    body = answer.get_json()
    secret = body["request_uri"].removeprefix(PREFIX)
    assert body["request_uri"].startswith(PREFIX)
    assert len(secret) * 6 >= 256
    assert entropy(secret) > 96
    assert isinstance(body["expires_in"], int)
    assert 60 <= body["expires_in"] <= 90


@pytest.mark.row("P-04", "C-12")
def test_client_id_may_be_left_out_and_may_not_contradict(platform: Platform) -> None:
    assert pushed(platform.bank, client_id=platform.bank.client_id).status_code == 201
    refused(pushed(platform.bank, client_id=platform.other_bank.client_id), {400, 401}, "invalid_client")


@pytest.mark.row("P-05")
def test_who_does_not_authenticate_pushes_nothing(platform: Platform) -> None:
    answer = platform.browser().post("/par", data=platform.bank.parameters(client_id=platform.bank.client_id))
    refused(answer, 401, "invalid_client")


@pytest.mark.row("X-07")
def test_a_resource_server_pushes_nothing(platform: Platform) -> None:
    refused(platform.proxy.post("/par", platform.bank.parameters()), 400, "unauthorized_client")


@pytest.mark.row("P-06")
@pytest.mark.parametrize(
    "changes",
    [
        {"code_challenge": None},
        {"code_challenge_method": None},
        {"code_challenge_method": "plain"},
        {"code_challenge_method": "s256"},
        {"code_challenge": "short"},
        {"code_challenge": "!" * 43},
    ],
)
def test_pkce_is_demanded(platform: Platform, changes: dict[str, Any]) -> None:
    refused(pushed(platform.bank, **changes), 400, "invalid_request")


@pytest.mark.row("P-07")
@pytest.mark.parametrize("redirect_uri", [None, "https://attacker.example/callback"])
def test_the_redirect_uri_is_a_registered_one(platform: Platform, redirect_uri: str | None) -> None:
    refused(pushed(platform.bank, redirect_uri=redirect_uri), 400, "invalid_request")


@pytest.mark.row("P-08")
def test_a_request_uri_can_not_be_pushed(platform: Platform) -> None:
    refused(pushed(platform.bank, request_uri=f"{PREFIX}x"), 400, "invalid_request")


def test_a_request_object_is_refused_by_the_name_that_tells_a_client_to_do_without(platform: Platform) -> None:
    # OpenID Connect Core section 3.1.2.6, RFC 9101 section 7
    refused(pushed(platform.bank, request="e30.e30.e30"), 400, "request_not_supported")


@pytest.mark.row("P-09", "A-08")
@pytest.mark.parametrize("response_type", ["token", "code id_token", "id_token token", "none", "CODE"])
def test_no_other_response_type(platform: Platform, response_type: str) -> None:
    refused(pushed(platform.bank, response_type=response_type), 400, "unsupported_response_type")


@pytest.mark.row("A-08", "P-19")
def test_a_response_type_is_demanded(platform: Platform) -> None:
    refused(pushed(platform.bank, response_type=None), 400, "invalid_request")


@pytest.mark.row("P-10")
def test_a_proof_at_par_is_verified_and_binds_the_code(platform: Platform) -> None:
    bank, other = platform.bank, new_key()
    wrong = {"DPoP": bank.proof("GET", f"{bank.issuer}/par")}
    refused(bank.post("/par", bank.parameters(), wrong), 400, "invalid_dpop_proof")
    both = {"DPoP": bank.proof("POST", f"{bank.issuer}/par")}
    contradicting = bank.parameters(dpop_jkt=other.thumbprint)
    refused(bank.post("/par", contradicting, both), 400, "invalid_dpop_proof")
    refused(pushed(bank, dpop_jkt="no thumbprint"), 400, "invalid_request")

    for beside in (None, bank.dpop_key.thumbprint):
        headers = {"DPoP": bank.proof("POST", f"{bank.issuer}/par")}
        answer = bank.post("/par", bank.parameters(dpop_jkt=beside), headers)
        citizen = platform.citizen()
        code = answer_of(citizen.decide(citizen.authorize(bank.client_id, answer.get_json()["request_uri"])))["code"]
        by_other = {"DPoP": bank.proof("POST", f"{bank.issuer}/token", key=other)}
        refused(bank.redeem(code, headers=by_other), 400, "invalid_dpop_proof")
        assert bank.redeem(code).status_code == 200


@pytest.mark.row("P-11", "DP-10")
def test_a_nonce_is_demanded_where_the_settings_say_so_and_the_assertion_stays_good(nonce_platform: Platform) -> None:
    bank, assertion = nonce_platform.bank, nonce_platform.bank.assertion()
    url = f"{bank.issuer}/par"
    form = bank.parameters(client_assertion=assertion, client_assertion_type=ASSERTION_TYPE)
    challenged = bank.post("/par", form, {"DPoP": bank.proof("POST", url)})
    refused(challenged, 400, "use_dpop_nonce")
    (nonce,) = challenged.headers.getlist("DPoP-Nonce")
    again = bank.post("/par", form, {"DPoP": bank.proof("POST", url, nonce=nonce)})
    assert again.status_code == 201, again.text
    old = dpop.issue_nonce(services_of(nonce_platform).secret, clock.now() - timedelta(hours=1))
    refused(bank.post("/par", bank.parameters(), {"DPoP": bank.proof("POST", url, nonce=old)}), 400, "use_dpop_nonce")


@pytest.mark.row("P-12", "A-09")
def test_what_stands_beside_the_request_uri_is_ignored(platform: Platform) -> None:
    citizen, bank = platform.citizen(), platform.bank
    without_state = pushed(bank, state=None).get_json()["request_uri"]
    outside = {"state": ["outside", "again"], "nonce": "outside", "scope": "x", "redirect_uri": "https://a.example/"}
    answer = answer_of(citizen.decide(opened(citizen, bank, without_state, **outside)))
    assert set(answer) == {"code", "iss"}


@pytest.mark.row("P-13")
def test_another_clients_request_uri_is_an_error_page(platform: Platform) -> None:
    answer = opened(platform.citizen(), platform.other_bank, platform.bank.push())
    error_page(answer, "invalid_request_uri")


@pytest.mark.row("P-14")
def test_the_address_can_be_opened_again_until_the_decision(platform: Platform) -> None:
    citizen, bank = platform.citizen(signed_in=False), platform.bank
    request_uri = bank.push()
    for _ in range(3):
        assert opened(citizen, bank, request_uri).location.startswith("/sign-in")
    # A one-time code is good once: another session of the same person instead of a second sign-in.
    citizen = platform.citizen()
    for _ in range(2):
        page = opened(citizen, bank, request_uri)
        assert page.status_code == 200
    assert "code" in answer_of(citizen.decide(page))


@pytest.mark.row("P-15", "A-22")
@pytest.mark.parametrize("decision", ["approve", "deny"])
def test_after_the_decision_the_address_is_spent(platform: Platform, decision: str) -> None:
    citizen, bank = platform.citizen(), platform.bank
    request_uri = bank.push()
    page = opened(citizen, bank, request_uri)
    first = citizen.decide(page, decision)
    assert set(answer_of(first)) - {"error_description"} == {
        "code" if decision == "approve" else "error",
        "state",
        "iss",
    }
    assert "#" not in first.location
    error_page(opened(citizen, bank, request_uri), "invalid_request_uri")
    error_page(citizen.decide(page, decision), "invalid_request_uri")


@pytest.mark.row("P-16")
def test_it_must_be_begun_in_time_and_may_be_finished_later(platform: Platform) -> None:
    bank = platform.bank
    with clock.frozen(clock.now()):
        late, begun, last, told = bank.push(), bank.push(), bank.push(), pushed(bank).get_json()["expires_in"]
        citizen = platform.citizen()
        page = opened(citizen, bank, begun)
        clock.advance(timedelta(seconds=told - 1))
        assert opened(citizen, bank, last).status_code == 200
        clock.advance(timedelta(seconds=1))
        error_page(opened(citizen, bank, late), "invalid_request_uri")
        assert opened(citizen, bank, begun).status_code == 200
        clock.advance(timedelta(minutes=9))
        assert "code" in answer_of(citizen.decide(page))


@pytest.mark.row("P-16")
def test_reading_has_an_end_too(platform: Platform) -> None:
    with clock.frozen(clock.now()):
        citizen, request_uri = platform.citizen(), platform.bank.push()
        page = opened(citizen, platform.bank, request_uri)
        clock.advance(timedelta(seconds=platform.settings.limits.transaction_ttl_s - 1))
        # The session went idle meanwhile; the same person is back with a new one.
        citizen = platform.citizen()
        clock.advance(timedelta(seconds=1))
        error_page(citizen.decide(page), "invalid_request_uri")
        error_page(opened(citizen, platform.bank, request_uri), "invalid_request_uri")


@pytest.mark.row("P-17")
@pytest.mark.parametrize(
    "request_uri",
    [f"{PREFIX}{'x' * 43}", PREFIX, "https://bank.example/request.jwt", "http://127.0.0.1:1/request", "", "urn:x"],
)
def test_an_unknown_request_uri_is_an_error_page_and_nothing_is_fetched(
    platform: Platform, request_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    reached: list[object] = []
    for owner, name in ((socket, "getaddrinfo"), (socket.socket, "connect")):
        monkeypatch.setattr(owner, name, lambda *args, **_: reached.append(args))
    error_page(opened(platform.citizen(), platform.bank, request_uri), "invalid_request_uri")
    assert reached == []


@pytest.mark.row("P-18", "A-09", "A-10")
@pytest.mark.parametrize("nonce_chars", [43, 64, 384])
def test_long_states_and_nonces_come_back_unchanged(platform: Platform, nonce_chars: int) -> None:
    state = "".join(map(chr, range(0x20, 0x7F))) * 10 + "x" * 50
    assert len(state) == 1000
    citizen, bank, nonce = platform.citizen(), platform.bank, "n" * nonce_chars
    answer = answer_of(citizen.decide(opened(citizen, bank, bank.push(state=state, nonce=nonce))))
    assert answer["state"] == state
    assert jose.unverified(bank.redeem(answer["code"]).get_json()["id_token"]).claims["nonce"] == nonce
    refused(pushed(bank, state="s" * 1001), 400, "invalid_request")
    refused(pushed(bank, ui_locales="en " * 167), 400, "invalid_request")


@pytest.mark.row("P-19")
@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("scope", "openid unknown", "invalid_scope"),
        ("scope", "profile", "invalid_scope"),
        ("prompt", "none login", "invalid_request"),
        ("prompt", "unknown", "invalid_request"),
        ("max_age", "-1", "invalid_request"),
        ("max_age", "1e3", "invalid_request"),
        ("claims", "{", "invalid_request"),
        ("claims", "[]", "invalid_request"),
        ("claims", '{"userinfo": []}', "invalid_request"),
        ("claims", '{"id_token": {"sub": {"value": "somebody"}}}', "invalid_request"),
        (
            "claims",
            '{"id_token": {"acr": {"essential": true, "value": "urn:mydata:acr:level-0"}}}',
            "invalid_request",
        ),
        ("id_token_hint", "not.a.token", "invalid_request"),
        ("response_mode", "fragment", "invalid_request"),
        ("response_mode", "form_post", "invalid_request"),
        ("authorization_details", "[]", "invalid_authorization_details"),
        ("state", "new\nline", "invalid_request"),
        ("nonce", "測試", "invalid_request"),
    ],
)
def test_mistakes_are_told_when_they_are_pushed(platform: Platform, name: str, value: str, error: str) -> None:
    refused(pushed(platform.bank, **{name: value}), 400, error)


@pytest.mark.row("X-06")
def test_a_request_uri_is_stored_as_its_hash(platform: Platform) -> None:
    request_uri = platform.bank.push()
    assert len(rows(platform, AuthorizationRequest, digest=digest(request_uri))) == 1
