"""Group T: the token endpoint."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import delete

from authz_server.audit.models import AuditEntry
from authz_server.clients.models import Agency
from authz_server.consent.models import AuthorizationCode
from authz_server.core import clock
from authz_server.core.secrets import digest
from tests.support.platform import TOKEN_EXCHANGE, Platform, new_key
from tests.support.protocol import PUBLIC_TEXT, dataset_token, entropy, refused, rows, userinfo, writing


@pytest.mark.row("T-01", "T-02", "T-03", "T-04", "T-14")
def test_the_answer_is_json_that_nobody_keeps(platform: Platform) -> None:
    answer = platform.bank.redeem(platform.code(platform.detail("ris.personal"), scope="openid email"))
    assert (answer.status_code, answer.mimetype) == (200, "application/json")
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Pragma"] == "no-cache"
    body = answer.get_json()
    assert body["token_type"] == "DPoP"
    assert body["scope"] == "openid email"
    (detail,) = body["authorization_details"]
    for given in (body, detail):
        assert given["access_token"].isascii()
        assert given["access_token"].isprintable()
        assert entropy(given["access_token"]) > 96
        assert isinstance(given["expires_in"], int)
        assert 60 <= given["expires_in"] <= 600
    assert "refresh_token" not in body


@pytest.mark.row("T-04")
def test_an_id_token_comes_exactly_with_openid(platform: Platform) -> None:
    body = platform.tokens(platform.detail("ris.personal"), scope="")
    assert "id_token" not in body
    assert "scope" not in body
    refused(userinfo(platform.bank, body["access_token"]), 403, "insufficient_scope")


@pytest.mark.row("T-01")
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS"])
def test_only_post_is_answered(platform: Platform, method: str) -> None:
    refused(platform.browser().open("/token", method=method), 405)


@pytest.mark.row("T-05", "T-06", "U-08")
@pytest.mark.parametrize("later_s", [0, 1, 30])
def test_a_code_is_good_once_and_a_replay_revokes_what_it_gave(platform: Platform, later_s: int) -> None:
    with clock.frozen(clock.now()):
        code = platform.code(platform.detail("ris.personal"))
        body = platform.bank.redeem(code).get_json()
        assert userinfo(platform.bank, body["access_token"]).status_code == 200
        clock.advance(timedelta(seconds=later_s))
        refused(platform.bank.redeem(code), 400, "invalid_grant")
        refused(userinfo(platform.bank, body["access_token"]), 401, "invalid_token")
        token = body["authorization_details"][0]["access_token"]
        jkt = platform.bank.dpop_key.thumbprint
        refused(platform.proxy.exchange(token, "ris.personal", jkt=jkt), 400, "invalid_request")


@pytest.mark.row("C-07", "T-06")
def test_a_request_that_is_sent_again_as_a_whole_ends_nothing(platform: Platform) -> None:
    bank, code = platform.bank, platform.code()
    assertion, headers = bank.assertion(), {"DPoP": bank.proof("POST", f"{bank.issuer}/token")}
    body = bank.redeem(code, client_assertion=assertion, headers=headers).get_json()
    refused(bank.redeem(code, client_assertion=assertion, headers=headers), 401, "invalid_client")
    assert userinfo(bank, body["access_token"]).status_code == 200
    assert [event for event, *_ in told_of(platform, code)] == ["code.redeemed"]


@pytest.mark.row("T-07")
def test_a_code_lives_for_a_minute(platform: Platform) -> None:
    with clock.frozen(clock.now()):
        in_time, late = platform.code(), platform.code()
        clock.advance(timedelta(seconds=59))
        assert platform.bank.redeem(in_time).status_code == 200
        clock.advance(timedelta(seconds=3))
        refused(platform.bank.redeem(late), 400, "invalid_grant")


def told_of(platform: Platform, code: str) -> list[tuple[str, bool, str, str]]:
    """What the record says of a code: event, success, who did it, whose code it was."""
    (row,) = rows(platform, AuthorizationCode, digest=digest(code))
    entries = rows(platform, AuditEntry, transaction_id=row.transaction_id)
    return [
        (entry.event, entry.success, entry.actor, entry.client_id)
        for entry in entries
        if entry.event.startswith("code.")
    ]


@pytest.mark.row("T-08", "T-19")
def test_a_code_in_another_clients_hands_is_refused_and_gone(platform: Platform) -> None:
    code = platform.code()
    refused(platform.other_bank.redeem(code, code_verifier=platform.bank.verifier), 400, "invalid_grant")
    refused(platform.bank.redeem(code), 400, "invalid_grant")
    assert told_of(platform, code) == [
        ("code.misused", False, "client:yi-bank", "jia-bank"),
        ("code.replayed", False, "client:jia-bank", "jia-bank"),
    ]


@pytest.mark.row("T-09")
def test_a_repeated_redirect_uri_must_be_the_same(platform: Platform) -> None:
    code = platform.code()
    refused(platform.bank.redeem(code, redirect_uri="https://bank.example/other"), 400, "invalid_grant")
    assert platform.bank.redeem(code, redirect_uri="https://bank.example/callback").status_code == 200


@pytest.mark.row("T-10", "T-11", "T-19")
@pytest.mark.parametrize("verifier", [None, "", "short", "x" * 43, "x" * 129, "é" * 43])
def test_without_the_verifier_a_code_is_refused_and_gone(platform: Platform, verifier: str | None) -> None:
    code = platform.code()
    refused(platform.bank.redeem(code, code_verifier=verifier), 400, "invalid_grant")
    refused(platform.bank.redeem(code), 400, "invalid_grant")
    assert [event for event, *_ in told_of(platform, code)] == ["code.misused", "code.replayed"]


@pytest.mark.row("T-12", "T-17")
@pytest.mark.parametrize(
    ("grant_type", "error"),
    [
        (None, "invalid_request"),
        ("client_credentials", "invalid_scope"),  # for Grant Management alone: a scope of it is missing
        ("refresh_token", "unsupported_grant_type"),
        ("password", "unsupported_grant_type"),
        ("測試", "unsupported_grant_type"),
        (TOKEN_EXCHANGE, "unauthorized_client"),
    ],
)
def test_no_other_grant(platform: Platform, grant_type: str | None, error: str) -> None:
    refused(platform.bank.redeem(platform.code(), grant_type=grant_type), 400, error)


@pytest.mark.row("T-12")
def test_a_resource_server_redeems_no_codes(platform: Platform) -> None:
    form = {"grant_type": "authorization_code", "code": platform.code(), "code_verifier": platform.bank.verifier}
    refused(platform.proxy.post("/token", form), 400, "unauthorized_client")


@pytest.mark.row("T-13")
def test_a_failed_authentication_is_401_and_names_the_scheme_that_was_tried(platform: Platform) -> None:
    plain = platform.bank.redeem("x", client_assertion="not a token")
    refused(plain, 401, "invalid_client")
    assert "WWW-Authenticate" not in plain.headers
    tried = platform.bank.redeem("x", headers={"Authorization": "Basic amlhOnNlY3JldA=="})
    refused(tried, 401, "invalid_client")
    assert tried.headers["WWW-Authenticate"].startswith("Basic ")


@pytest.mark.row("T-14")
@pytest.mark.parametrize("headers", [{}, {"DPoP": ""}, {"DPoP": "not.a.proof"}])
def test_without_a_proof_there_are_no_tokens(platform: Platform, headers: dict[str, str]) -> None:
    refused(platform.bank.redeem(platform.code(), headers=headers), 400, "invalid_dpop_proof")


@pytest.mark.row("T-15", "T-19")
def test_the_key_bound_at_par_is_demanded(platform: Platform) -> None:
    bank = platform.bank
    code = platform.code(dpop_jkt=bank.dpop_key.thumbprint)
    other = {"DPoP": bank.proof("POST", f"{bank.issuer}/token", key=new_key())}
    refused(bank.redeem(code, headers=other), 400, "invalid_dpop_proof")
    assert bank.redeem(code).status_code == 200


@pytest.mark.row("T-18")
def test_errors_say_what_in_plain_ascii(platform: Platform) -> None:
    body = refused(platform.bank.redeem("unknown"), 400, "invalid_grant")
    assert set(body) == {"error", "error_description"}
    assert PUBLIC_TEXT.fullmatch(body["error_description"])


@pytest.mark.row("T-19")
@pytest.mark.parametrize(
    "mistake",
    [
        {"client_assertion": "not.a.token"},
        {"headers": {}},
        {"headers": {"DPoP": "not.a.proof"}},
        {"client_id": "yi-bank"},
        {"grant_type": "client_credentials"},
    ],
    ids=["authentication", "no proof", "bad proof", "client_id", "grant"],
)
def test_an_honest_mistake_leaves_the_code_good(platform: Platform, mistake: dict[str, Any]) -> None:
    code = platform.code()
    refused(platform.bank.redeem(code, **mistake), {400, 401})
    assert platform.bank.redeem(code).status_code == 200


@pytest.mark.row("T-19", "DP-10")
def test_a_nonce_challenge_leaves_the_code_good(nonce_platform: Platform) -> None:
    bank, url = nonce_platform.bank, f"{nonce_platform.bank.issuer}/token"
    code = nonce_platform.code()
    challenged = bank.redeem(code)
    refused(challenged, 400, "use_dpop_nonce")
    (nonce,) = challenged.headers.getlist("DPoP-Nonce")
    assert bank.redeem(code, headers={"DPoP": bank.proof("POST", url, nonce=nonce)}).status_code == 200


@pytest.mark.row("T-12", "X-01", "X-03")
@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"subject_token_type": "urn:ietf:params:oauth:token-type:jwt"}, "invalid_request"),
        ({"subject_token_type": None}, "invalid_request"),
        ({"subject_token": "mdt_unknown"}, "invalid_request"),
        ({"resource": "https://elsewhere.example/data/ris.personal"}, "invalid_target"),
        ({"resource": "/data/ris.personal"}, "invalid_target"),
        ({"resource": "https://data.mydata.example/data/bli.enrolment"}, "invalid_request"),
        ({"resource": "https://data.mydata.example/data/unknown"}, "invalid_request"),
        ({"dpop_jkt": "x" * 43}, "invalid_request"),
        ({"dpop_jkt": "x"}, "invalid_request"),
        ({"dpop_jti": "x"}, "invalid_request"),
    ],
)
def test_an_exchange_that_is_refused_spends_nothing(platform: Platform, changes: dict[str, Any], error: str) -> None:
    fetch = dataset_token(platform)
    refused(fetch.exchange(**changes), 400, error)
    assert fetch.exchange().status_code == 200
    refused(fetch.exchange(), 400, "invalid_request")


@pytest.mark.row("X-03")
def test_no_attempt_is_spent_on_an_agency_that_is_not_registered(own_platform: Platform) -> None:
    fetch = dataset_token(own_platform)
    with writing(own_platform) as session:
        session.execute(delete(Agency).where(Agency.id == "ris"))
    refused(fetch.exchange(), 400, "invalid_request")
    assert rows(own_platform, AuditEntry, event="token.leased") == []
