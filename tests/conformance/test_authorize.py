"""Group A: the authorization endpoint, as far as it is for every client or for those of FAPI 2.0."""

import re
from urllib.parse import parse_qsl, urlsplit

import pytest

from authz_server.core import jose
from tests.support.platform import PASSWORD, Platform, answer_of, hidden_fields
from tests.support.protocol import (
    PUBLIC_TEXT,
    entropy,
    error_page,
    new_bank,
    one_time_code,
    opened,
    pushed,
    refused,
)

STABLE_IDS = {
    "sign-in": ['id="login-submit"', 'id="login-cancel"', 'name="username"', 'name="password"'],
    "consent": ["consent-approve", "consent-deny"],
}


@pytest.mark.row("A-02")
def test_order_is_irrelevant_and_unknown_parameters_are_ignored_and_not_echoed(platform: Platform) -> None:
    bank, citizen = platform.bank, platform.citizen()
    parameters = bank.parameters(scope="email openid", unknown="ECHO", display="popup", login_hint="name@host")
    answer = bank.post("/par", dict(reversed(parameters.items())))
    page = opened(citizen, bank, answer.get_json()["request_uri"], unknown="ECHO")
    assert "ECHO" not in page.text
    decided = citizen.decide(page)
    assert "ECHO" not in decided.location
    assert set(bank.redeem(answer_of(decided)["code"]).get_json()["scope"].split()) == {"openid", "email"}
    refused(pushed(bank, scope="openid nonsense"), 400, "invalid_scope")


@pytest.mark.row("A-03")
def test_a_doubled_parameter_is_refused(platform: Platform) -> None:
    bank = platform.bank
    doubled = bank.browser.post("/par", data={**bank.parameters(), "state": ["one", "two"]})
    refused(doubled, 400, "invalid_request")
    client_id, request_uri = f"client_id={bank.client_id}", f"request_uri={bank.push()}"
    for query, told in (
        (f"{client_id}&{client_id}&{request_uri}", "client_id is unknown"),
        (f"{client_id}&{request_uri}&{request_uri}", "invalid_request_uri"),
    ):
        error_page(platform.citizen().client.get(f"/authorize?{query}"), told)


@pytest.mark.row("A-04")
@pytest.mark.parametrize("client_id", ["nobody", "", "jia-bank ", "JIA-BANK", "測試", "proxy"])
def test_an_unknown_client_is_an_error_page(platform: Platform, client_id: str) -> None:
    query = {"client_id": client_id, "request_uri": platform.bank.push(), "redirect_uri": "https://a.example/callback"}
    error_page(platform.citizen().client.get("/authorize", query_string=query))


@pytest.mark.row("A-04")
def test_without_a_client_id_it_says_so(platform: Platform) -> None:
    error_page(platform.citizen().client.get("/authorize"), "client_id is unknown")


@pytest.mark.row("A-05")
def test_an_unregistered_redirect_uri_never_gets_as_far_as_a_citizen(platform: Platform) -> None:
    body = refused(pushed(platform.bank, redirect_uri="https://bank.example/callback/"), 400, "invalid_request")
    assert body["error_description"] == "redirect_uri is not registered"


@pytest.mark.row("A-07")
@pytest.mark.parametrize("decision", ["approve", "deny"])
def test_the_query_of_a_registered_uri_stays_in_front(platform: Platform, decision: str) -> None:
    registered = "https://bank.example/callback?shop=1&lang=zh%2DTW"
    bank, citizen = new_bank(platform, redirect_uris=[registered]), platform.citizen()
    request_uri = pushed(bank, redirect_uri=registered).get_json()["request_uri"]
    location = citizen.decide(opened(citizen, bank, request_uri), decision).location
    assert location.startswith(f"{registered}&")
    assert {"state", "iss"} < {name for name, _ in parse_qsl(urlsplit(location).query)}


@pytest.mark.row("A-10", "I-04")
def test_without_a_nonce_the_id_token_has_none(platform: Platform) -> None:
    bank, citizen = platform.bank, platform.citizen()
    request_uri = pushed(bank, nonce=None).get_json()["request_uri"]
    code = answer_of(citizen.decide(opened(citizen, bank, request_uri)))["code"]
    assert "nonce" not in jose.unverified(bank.redeem(code).get_json()["id_token"]).claims


@pytest.mark.row("A-18", "A-19", "A-20", "A-21")
def test_the_sign_in_can_be_cancelled(platform: Platform) -> None:
    bank, citizen = platform.bank, platform.citizen(signed_in=False)
    location = opened(citizen, bank, bank.push(state="state kept / unchanged")).location
    page = citizen.client.get(location)
    cancelled = citizen.client.post("/sign-in", data=hidden_fields(page.text) | {"action": "cancel"})
    answer = answer_of(cancelled)
    assert set(answer) == {"error", "error_description", "state", "iss"}
    assert (answer["error"], answer["state"]) == ("access_denied", "state kept / unchanged")
    assert answer["iss"] == platform.settings.issuer
    assert PUBLIC_TEXT.fullmatch(answer["error_description"])


@pytest.mark.row("A-18", "A-19", "A-20", "A-21")
def test_the_consent_can_be_refused(platform: Platform) -> None:
    bank, citizen = platform.bank, platform.citizen()
    answer = answer_of(citizen.decide(opened(citizen, bank, bank.push(state="state kept / unchanged")), "deny"))
    assert set(answer) == {"error", "error_description", "state", "iss"}
    assert (answer["error"], answer["state"]) == ("access_denied", "state kept / unchanged")
    assert answer["iss"] == platform.settings.issuer
    assert PUBLIC_TEXT.fullmatch(answer["error_description"])


@pytest.mark.row("A-15", "A-19", "A-21", "X-05")
@pytest.mark.parametrize(("signed_in", "error"), [(False, "login_required"), (True, "consent_required")])
def test_prompt_none_is_answered_without_any_page(platform: Platform, signed_in: bool, error: str) -> None:
    bank, citizen = platform.bank, platform.citizen(signed_in=signed_in)
    request_uri = bank.push(platform.detail("ris.personal"), prompt="none")
    answer = answer_of(opened(citizen, bank, request_uri))
    assert (answer["error"], answer["state"], answer["iss"]) == (error, "state-of-the-bank", bank.issuer)
    error_page(opened(citizen, bank, request_uri), "invalid_request_uri")


@pytest.mark.row("A-22", "A-23")
def test_codes_are_long_random_and_different(platform: Platform) -> None:
    codes = set()
    for _ in range(3):
        citizen = platform.citizen()
        response = citizen.decide(opened(citizen, platform.bank, platform.bank.push()))
        answer = answer_of(response)
        assert set(answer) == {"code", "state", "iss"}
        assert answer["iss"] == platform.settings.issuer
        assert "#" not in response.location
        codes.add(answer["code"])
    assert len(codes) == 3
    for code in codes:
        assert re.fullmatch(r"[A-Za-z0-9_-]{43,}", code)
        assert entropy(code) > 96


@pytest.mark.row("A-27")
def test_a_request_that_was_not_pushed_is_an_error_page(platform: Platform) -> None:
    query = platform.bank.parameters(client_id=platform.bank.client_id)
    client = platform.citizen().client
    for answer in (client.get("/authorize", query_string=query), client.post("/authorize", data=query)):
        text = error_page(answer, "invalid_request_uri")
        assert "It has to push its request to this platform first" in text
        assert "它必須先把要求推送到本平臺" in text
        assert "This request is over" not in text


@pytest.mark.row("A-28")
def test_pages_are_not_framed_cached_or_referred_to_and_redirects_are_303(platform: Platform) -> None:
    bank, stranger, citizen = platform.bank, platform.citizen(signed_in=False), platform.citizen()
    to_sign_in = opened(stranger, bank, bank.push())
    consent = opened(citizen, bank, bank.push())
    pages = [stranger.client.get(to_sign_in.location), consent, stranger.client.get("/authorize")]
    for page in pages:
        assert page.headers["X-Frame-Options"] == "DENY"
        assert "frame-ancestors 'none'" in page.headers["Content-Security-Policy"]
        assert page.headers["Cache-Control"] == "no-store"
        assert page.headers["Referrer-Policy"] == "no-referrer"
    for redirect in (to_sign_in, citizen.decide(consent)):
        assert redirect.status_code == 303
        assert redirect.headers["Cache-Control"] == "no-store"
        assert redirect.headers["Referrer-Policy"] == "no-referrer"


@pytest.mark.row("A-30", "A-01")
def test_the_whole_way_is_forms_with_stable_names_and_no_script(platform: Platform) -> None:
    bank, citizen = platform.bank, platform.citizen("citizen2", signed_in=False)
    # From another site, by POST as well as by GET: there is no token on this entrance.
    first = citizen.client.post("/authorize", data={"client_id": bank.client_id, "request_uri": bank.push()})
    sign_in = citizen.client.get(first.location)
    assert all(name in sign_in.text for name in STABLE_IDS["sign-in"])
    fields = hidden_fields(sign_in.text) | {"username": "citizen2", "password": PASSWORD, "action": "sign-in"}
    signed_in = citizen.client.post("/sign-in", data=fields | {"one_time_code": one_time_code(citizen)})
    assert signed_in.status_code == 303, signed_in.text
    consent = citizen.client.get(signed_in.location)
    assert all(f'id="{name}"' in consent.text for name in STABLE_IDS["consent"])
    for page in (sign_in, consent):
        assert "<script" not in page.text
        assert "script-src" not in page.headers["Content-Security-Policy"]
        assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    assert "code" in answer_of(citizen.decide(consent))
