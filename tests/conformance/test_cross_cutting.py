"""Group X: this project's own rules, where they are seen at the protocol's edge."""

import ast
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import LargeBinary, select
from sqlalchemy.orm import Session

from authz_server import retention
from authz_server.audit.models import AuditEntry
from authz_server.clients.policy import POLICIES
from authz_server.config import Limits, Settings
from authz_server.consent.models import Consent
from authz_server.core import clock, outbound_http, secrets
from authz_server.database import Base
from authz_server.single_use import buckets
from authz_server.tokens.models import DatasetToken
from tests.support.callers import ANYONE, OTHERS
from tests.support.platform import Platform
from tests.support.protocol import dataset_token, refused, rows, userinfo
from tests.support.tree import ROOT, python_files

BACK_CHANNEL = ["/par", "/token", "/introspect", "/revoke", "/outcomes", "/userinfo", "/jwks", "/catalogue"]


def introspect(platform: Platform, token: str) -> Any:
    answer = platform.proxy.post("/introspect", {"token": token})
    assert answer.status_code == 200, answer.text
    assert answer.headers["Cache-Control"] == "no-store"
    return answer.get_json()


@pytest.mark.row("X-01")
def test_a_dataset_token_is_redeemed_once(platform: Platform) -> None:
    fetch = dataset_token(platform)
    lease = fetch.exchange().get_json()["lease"]
    refused(fetch.exchange(), 400, "invalid_request")
    assert platform.proxy.report(lease, "delivered").status_code == 204
    refused(fetch.exchange(), 400, "invalid_request")


@pytest.mark.row("X-02", "X-03")
def test_introspection_tells_a_resource_server_about_usable_tokens_of_its_audience_only(platform: Platform) -> None:
    fetch = dataset_token(platform)
    usable = introspect(platform, fetch.token)
    assert usable["active"] is True
    assert usable["aud"] == platform.settings.proxy_url
    assert usable["cnf"] == {"jkt": platform.bank.dpop_key.thumbprint}
    assert "sub" not in usable
    fetch.exchange()
    for token in (fetch.token, platform.tokens()["access_token"], "unknown", "mdt_" + "x" * 43, "測試"):
        assert introspect(platform, token) == {"active": False}
    refused(platform.bank.post("/introspect", {"token": fetch.token}), 400, "unauthorized_client")
    refused(platform.proxy.post("/introspect", {}), 400, "invalid_request")


@pytest.mark.row("X-02")
def test_an_expired_token_is_inactive(platform: Platform) -> None:
    with clock.frozen(clock.now()):
        fetch = dataset_token(platform)
        clock.advance(timedelta(seconds=platform.settings.limits.dataset_token_ttl_s - 1))
        assert introspect(platform, fetch.token)["active"] is True
        clock.advance(timedelta(seconds=1))
        assert introspect(platform, fetch.token) == {"active": False}
        refused(fetch.exchange(), 400, "invalid_request")


@pytest.mark.row("X-02")
def test_revocation_is_for_ones_own_tokens_and_says_the_same_of_all(platform: Platform) -> None:
    bank, other = platform.bank, platform.other_bank
    fetch, access_token = dataset_token(platform), platform.tokens()["access_token"]
    for token in (fetch.token, access_token, "unknown"):
        answer = other.post("/revoke", {"token": token})
        assert (answer.status_code, answer.get_json()) == (200, {})
    assert introspect(platform, fetch.token)["active"] is True
    assert userinfo(bank, access_token).status_code == 200
    # RFC 7009: with a wrong hint the search goes on (section 2.1), and what is no hint at all is ignored (section 2.2).
    wrongly = ((fetch.token, "refresh_token"), (access_token, "refresh_token"), ("unknown", "dataset_token"))
    for token, hint in (*wrongly, ("unknown", "access_token")):
        answer = bank.post("/revoke", {"token": token, "token_type_hint": hint})
        assert (answer.status_code, answer.get_json()) == (200, {})
        assert answer.headers["Cache-Control"] == "no-store"
    assert introspect(platform, fetch.token) == {"active": False}
    refused(fetch.exchange(), 400)
    refused(userinfo(bank, access_token), 401, "invalid_token")
    hinted = bank.post("/revoke", {"token": "x", "token_type_hint": "refresh_token"})
    refused(hinted, 400, "unsupported_token_type")


@pytest.mark.row("X-02")
def test_of_several_tokens_of_a_client_one_is_revoked(platform: Platform) -> None:
    first, second = (platform.tokens(platform.detail("ris.personal")) for _ in range(2))
    (of_first,), (of_second,) = (tokens["authorization_details"] for tokens in (first, second))
    for token in (first["access_token"], of_second["access_token"]):
        assert platform.bank.post("/revoke", {"token": token}).status_code == 200
    of_userinfo = [userinfo(platform.bank, tokens["access_token"]).status_code for tokens in (first, second)]
    of_data = [introspect(platform, detail["access_token"])["active"] for detail in (of_first, of_second)]
    assert (of_userinfo, of_data) == ([401, 200], [True, False])


@pytest.mark.row("X-02")
def test_what_was_delivered_is_not_revoked_any_more(platform: Platform) -> None:
    fetch = dataset_token(platform)
    fetch.deliver()
    (before,) = rows(platform, DatasetToken, digest=secrets.digest(fetch.token))
    assert platform.bank.post("/revoke", {"token": fetch.token}).status_code == 200
    assert rows(platform, DatasetToken, digest=secrets.digest(fetch.token)) == [before]
    assert not rows(platform, AuditEntry, transaction_id=before.transaction_id, event="token.revoked")


@pytest.mark.row("X-03")
def test_a_userinfo_token_opens_no_dataset(platform: Platform) -> None:
    body = platform.tokens(platform.detail("ris.personal"))
    jkt = platform.bank.dpop_key.thumbprint
    refused(platform.proxy.exchange(body["access_token"], "ris.personal", jkt=jkt), 400, "invalid_request")


@pytest.mark.row("X-04")
def test_consent_and_use_are_on_the_record_in_the_transaction_that_made_them(platform: Platform) -> None:
    fetch = dataset_token(platform)
    (token,) = rows(platform, DatasetToken, digest=secrets.digest(fetch.token))
    consent_id = token.consent_id
    fetch.exchange()
    entries = {entry.event for entry in rows(platform, AuditEntry, consent_id=consent_id)}
    assert entries == {"consent.approved", "code.redeemed", "token.issued", "token.leased"}
    (consent,) = rows(platform, Consent, id=consent_id)
    kept = f"{consent.notice} {consent.granted}"
    assert "A123456789" not in kept
    assert "測試市民甲" not in kept


@pytest.mark.row("X-05")
def test_dataset_consent_is_asked_for_each_time(platform: Platform) -> None:
    citizen = platform.citizen()
    for _ in range(2):
        request_uri = platform.bank.push(platform.detail("ris.personal"))
        page = citizen.authorize(platform.bank.client_id, request_uri)
        assert "consent-approve" in page.text
        citizen.decide(page)


@pytest.mark.row("X-06")
def test_no_table_holds_a_secret_that_could_be_used(platform: Platform) -> None:
    body = platform.tokens(platform.detail("ris.personal"))
    code = platform.code()
    request_uri = platform.bank.push()
    secrets = [body["access_token"], body["authorization_details"][0]["access_token"], code, request_uri]
    with Session(platform.engine) as session:
        for table in Base.metadata.sorted_tables:
            kept = str(session.execute(select(table)).all())
            assert not [secret for secret in secrets if secret in kept or secret[-43:] in kept], table.name
            if "digest" in table.c:
                assert isinstance(table.c.digest.type, LargeBinary)


@pytest.mark.row("X-06")
def test_identifiers_are_remembered_in_the_database_until_they_expire() -> None:
    seen_at = datetime(2026, 11, 27, 12, 29, 50, tzinfo=UTC)
    for life in (timedelta(0), timedelta(seconds=9), timedelta(seconds=11), buckets.LONGEST_LIFE):
        known_in = set(buckets.tables_of([seen_at + life]))
        for age in (timedelta(0), life / 2, life):
            assert not known_in & buckets.over(seen_at + age)
    assert {keep.ring for name, keep in retention.tables().items() if name.startswith("used_identifier")} == {0, 1, 2}


@pytest.mark.row("X-07")
def test_no_setting_weakens_a_fapi2_client() -> None:
    policy = POLICIES["fapi2"]
    assert policy.token_endpoint_auth_methods == ("private_key_jwt",)
    assert set(policy.signing_algorithms) == {"PS256", "ES256", "EdDSA", "Ed25519"}
    assert policy.pushed_requests
    names = {item.name for item in (*fields(Settings), *fields(Limits))}
    # The only protocol switch there is adds a demand.
    assert {name for name in names if any(word in name for word in ("pkce", "par", "dpop", "alg", "require"))} == {
        "dpop_nonce"
    }


@pytest.mark.row("X-08")
@pytest.mark.parametrize("path", BACK_CHANNEL)
def test_a_wrong_method_is_answered_in_json(platform: Platform, path: str) -> None:
    for method in ("PUT", "DELETE", "TRACE", "PROPFIND"):
        refused(platform.browser().open(path, method=method, headers={"Accept": "text/html"}), 405, "invalid_request")


@pytest.mark.row("X-08")
@pytest.mark.parametrize("path", ["/par", "/token", "/introspect", "/revoke", "/outcomes"])
def test_too_much_is_answered_in_json(platform: Platform, path: str) -> None:
    refused(platform.browser().post(path, data={"token": "x" * 70_000}), 413, "invalid_request")


@pytest.mark.row("X-08")
@pytest.mark.parametrize("path", ["/token/", "/par/x", "/.well-known/unknown", "/data/ris.personal", "/nowhere"])
def test_what_does_not_exist_is_answered_in_json(platform: Platform, path: str) -> None:
    refused(platform.browser().get(path, headers={"Accept": "application/json"}), 404)


@pytest.mark.row("X-08")
@pytest.mark.parametrize("path", ["/par", "/token", "/userinfo"])
def test_a_bug_is_answered_in_json_without_a_trace(
    platform: Platform, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("SECRET-DETAIL")

    monkeypatch.setattr("authz_server.oauth.params.read_form", broken)
    monkeypatch.setattr("authz_server.oauth.userinfo.lone_connection", broken)
    bank = platform.bank
    proof = bank.proof("POST", f"{bank.issuer}/userinfo", token="x")
    answer = bank.browser.post(path, data={"a": "b"}, headers={"Authorization": "DPoP x", "DPoP": proof})
    refused(answer, 500, "server_error")
    assert "SECRET-DETAIL" not in answer.text
    assert "Traceback" not in answer.text


@pytest.mark.row("X-08")
def test_errors_never_repeat_what_was_sent(platform: Platform) -> None:
    secret = "mdc_" + "s" * 43
    for path in BACK_CHANNEL[:5]:
        form = {"code": secret, "token": secret, "lease": secret, "client_assertion": secret, "outcome": "delivered"}
        assert secret not in platform.browser().post(path, data=form).text


@pytest.mark.row("X-08", "U-13")
def test_no_answer_about_somebody_may_be_kept(app: Flask) -> None:
    public = {"oauth.discovery", "oauth.authorization_server_metadata", "oauth.jwks", "catalogue.show", "static"}
    public |= {"verify.recipients"}
    assert public <= set(OTHERS[ANYONE])
    for rule in app.url_map.iter_rules():
        if rule.endpoint in public:
            continue
        for method in (rule.methods or set()) & {"GET", "POST"}:
            path = rule.rule.replace("<request_id>", "x").replace("<transaction_id>", "x")
            answer = app.test_client().open(path, method=method)
            assert answer.headers["Cache-Control"] == "no-store", f"{method} {path}"


@pytest.mark.row("X-09")
def test_there_is_one_clock() -> None:
    found = []
    for path in python_files("authz_server", "resource_proxy"):
        if path.name == "clock.py":
            continue
        for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
            # Whatever the module is called where it is imported.
            if isinstance(node, ast.Call) and ".".join(ast.unparse(node.func).split(".")[-2:]) in {
                "datetime.now", "datetime.utcnow", "datetime.today", "date.today", "time.time",
            }:  # fmt: skip
                found.append(f"{path}:{node.lineno}")
            if isinstance(node, ast.ImportFrom) and node.module == "time" and {"time"} & {n.name for n in node.names}:
                found.append(f"{path}:{node.lineno}")
    assert not found


@pytest.mark.row("X-10")
def test_what_tests_need_is_configuration(platform: Platform) -> None:
    names = {item.name for item in fields(Settings)}
    assert "allowed_outbound_hosts" in names
    assert platform.settings.allowed_outbound_hosts == ()
    with pytest.raises(outbound_http.FetchRefused):
        outbound_http.fetch("http://127.0.0.1:1/jwks", allowed_hosts=frozenset())
    with pytest.raises(outbound_http.FetchFailed):
        outbound_http.fetch("http://127.0.0.1:1/jwks", allowed_hosts=frozenset({"127.0.0.1:1"}))
