"""Grant Management: a client looks at its own grants and gives them up, and learns nothing about others."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from authz_server import worker
from authz_server.audit.models import AuditEntry
from authz_server.clients import service as clients
from authz_server.clients.models import Client
from authz_server.core import clock, jose
from authz_server.database import table_of
from authz_server.oauth import client_access
from tests.support.platform import Bank, Platform, new_key
from tests.support.protocol import Fetch, new_bank, pushed, refused, rows, userinfo, writing

BOTH = "grant_management_query grant_management_revoke"


def access(bank: Bank, scope: str | None = BOTH, **changes: Any) -> TestResponse:
    headers = {"DPoP": bank.proof("POST", f"{bank.issuer}/token")}
    return bank.post("/token", {"grant_type": "client_credentials", "scope": scope} | changes, headers)


def call(bank: Bank, method: str, grant_id: str, *, scope: str = BOTH, token: str | None = None, **more: Any) -> Any:
    token = token or access(bank, scope).get_json()["access_token"]
    proof = bank.proof(method, f"{bank.issuer}/grants/{grant_id}", token=token, **more)
    headers = {"Authorization": f"DPoP {token}", "DPoP": proof}
    return bank.browser.open(f"/grants/{grant_id}", method=method, headers=headers)


def test_a_grant_says_how_far_each_dataset_has_come(platform: Platform) -> None:
    body = platform.tokens(platform.detail("ris.personal"), platform.detail("bli.enrolment"))
    granted = body["authorization_details"]
    Fetch(platform, granted[0]["access_token"]).deliver()
    answer = call(platform.bank, "GET", body["grant_id"])
    assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "no-store")
    grant = answer.get_json()
    assert grant["scopes"] == [{"scope": "openid"}]
    assert [detail["state"] for detail in grant["authorization_details"]] == ["delivered", "open"]
    members = {"type", "dataset", "purpose", "fields", "parameters"}
    for shown, detail in zip(grant["authorization_details"], granted, strict=True):
        assert {name: shown[name] for name in members} == {name: detail[name] for name in members}
        assert set(shown) == members | {"state"}


def test_what_is_given_up_opens_nothing_is_on_record_as_the_clients_and_is_told(own_platform: Platform) -> None:
    bank, citizen = own_platform.bank, own_platform.citizen()
    body = own_platform.tokens(own_platform.detail("ris.personal"), own_platform.detail("bli.enrolment"))
    fetches = [Fetch(own_platform, each["access_token"], each["dataset"]) for each in body["authorization_details"]]
    lease = fetches[0].exchange().get_json()["lease"]
    assert own_platform.proxy.report(lease, "delivering").status_code == 204
    answer = call(bank, "DELETE", body["grant_id"])
    assert (answer.status_code, answer.data) == (204, b"")
    assert own_platform.proxy.report(lease, "continuing").status_code == 409
    assert fetches[1].exchange().status_code == 400
    assert userinfo(bank, body["access_token"]).status_code == 401
    (ended,) = rows(own_platform, AuditEntry, event="consent.withdrawn")
    assert (ended.actor, ended.reason) == (f"client:{bank.client_id}", "given_up")
    for method in ("GET", "DELETE"):
        refused(call(bank, method, body["grant_id"]), 404, "not_found")
    worker.tick(own_platform.engine, now=clock.now())
    assert "Ended by" in citizen.client.get(f"/messages/{ended.id}?lang=en").text
    page = citizen.client.get(f"/consents/{ended.transaction_id}?lang=en").text
    assert "Ended by the recipient" in page
    assert "The recipient ended it." in page
    receipt = citizen.client.get(f"/consent/{ended.transaction_id}/receipt.json").get_json()["receipt"]
    assert receipt["event"][1]["entity_id"] == bank.client_id


def test_a_client_gives_up_one_of_its_grants(platform: Platform) -> None:
    given_up, kept = (platform.tokens(platform.detail("ris.personal"))["grant_id"] for _ in range(2))
    assert call(platform.bank, "DELETE", given_up).status_code == 204
    assert [call(platform.bank, "GET", grant_id).status_code for grant_id in (given_up, kept)] == [404, 200]


def test_another_clients_grant_is_as_unknown_as_one_that_never_was(platform: Platform) -> None:
    grant_id = platform.tokens(platform.detail("ris.personal"))["grant_id"]
    for method in ("GET", "DELETE"):
        answers = [call(platform.other_bank, method, name) for name in (grant_id, "never", "n" * 41)]
        assert {answer.status_code for answer in answers} == {404}
        assert len({answer.data for answer in answers}) == 1
        assert call(platform.other_bank, method, "%00").status_code in {401, 404}
    assert call(platform.bank, "GET", grant_id).status_code == 200


def test_a_grant_whose_record_is_gone_is_over(own_platform: Platform) -> None:
    grant_id = own_platform.tokens(own_platform.detail("ris.personal"))["grant_id"]
    with writing(own_platform) as session:
        session.execute(table_of(AuditEntry).delete())
    refused(call(own_platform.bank, "GET", grant_id), 404, "not_found")


def test_a_client_that_was_suspended_a_moment_ago_gets_no_access(own_platform: Platform) -> None:
    """The registry's copy is up to a second old, so the table is asked as well."""
    assert access(own_platform.bank).status_code == 200
    with Session(own_platform.engine) as session, session.begin():  # of which the registry has not read yet
        of_client = Client.client_id == own_platform.bank.client_id
        session.execute(update(Client).where(of_client).values(suspended_at=clock.now()))
    refused(access(own_platform.bank), 401, "invalid_client")


def test_a_client_is_not_told_that_its_own_token_were_revoked(platform: Platform) -> None:
    bank, other = platform.bank, platform.other_bank
    with clock.frozen(clock.now()):
        token = access(bank).get_json()["access_token"]
        # Nobody keeps these, so they can't be taken back: RFC 7009 section 2.2.1.
        refused(bank.post("/revoke", {"token": token}), 400, "unsupported_token_type")
        refused(call(bank, "GET", "any", token=token), 404, "not_found")  # it is still good
        # To anybody else it is as unknown as any, and so it is to all once it has run out.
        for asking, sent in ((other, token), (bank, token[:-9]), (bank, "a.b.c")):
            assert asking.post("/revoke", {"token": sent}).status_code == 200
        clock.advance(timedelta(seconds=client_access.TTL_S))
        assert bank.post("/revoke", {"token": token}).status_code == 200


def test_each_action_needs_its_scope_and_no_other_scope_is_given(platform: Platform) -> None:
    grant_id = platform.tokens(platform.detail("ris.personal"))["grant_id"]
    refused(call(platform.bank, "DELETE", grant_id, scope="grant_management_query"), 403, "insufficient_scope")
    refused(call(platform.bank, "GET", grant_id, scope="grant_management_revoke"), 403, "insufficient_scope")
    assert access(platform.bank, " ".join(client_access.SCOPES)).status_code == 200
    for scope in ("openid", f"{BOTH} ris.personal", None):  # none: RFC 6749 section 3.3
        refused(access(platform.bank, scope), 400, "invalid_scope")
    refused(platform.bank.post("/token", {"grant_type": "client_credentials", "scope": BOTH}), 400)
    refused(platform.proxy.post("/token", {"grant_type": "client_credentials", "scope": BOTH}), 400)


@pytest.mark.row("T-17")
def test_only_a_token_of_this_kind_with_its_own_key_in_its_time(platform: Platform) -> None:
    body = platform.tokens(platform.detail("ris.personal"))
    bank, grant_id = platform.bank, body["grant_id"]
    for other in (body["access_token"], body["id_token"], body["authorization_details"][0]["access_token"], "none"):
        refused(call(bank, "GET", grant_id, token=other), 401, "invalid_token")
    given = access(bank).get_json()
    assert given.keys() == {"access_token", "token_type", "expires_in", "scope"}  # nothing to refresh, and nobody's
    assert (given["token_type"], given["expires_in"], given["scope"]) == ("DPoP", 300, BOTH)
    token = given["access_token"]
    refused(call(bank, "GET", grant_id, token=token, key=new_key()), 401, "invalid_dpop_proof")
    refused(call(bank, "GET", grant_id, token=token[:-4] + "AAAA"), 401, "invalid_token")
    refused(userinfo(bank, token), 401, "invalid_token")
    proof = {"jti": "one-and-the-same-jti-of-this-test", "token": token}
    assert call(bank, "GET", grant_id, **proof).status_code == 200
    refused(call(bank, "GET", grant_id, **proof), 401, "invalid_dpop_proof")
    claims = jose.unverified(token).claims
    assert claims["exp"] - claims["iat"] == 300


def test_it_expires(platform: Platform) -> None:
    with clock.frozen(clock.now()):
        token = access(platform.bank).get_json()["access_token"]
        clock.advance(timedelta(seconds=300))
        refused(call(platform.bank, "GET", "any", token=token), 401, "invalid_token")


def test_a_suspended_client_looks_at_nothing(platform: Platform) -> None:
    bank = new_bank(platform)
    token = access(bank).get_json()["access_token"]
    with writing(platform) as session:
        clients.suspend(session, bank.client_id, now=clock.now())
    refused(call(bank, "GET", "any", token=token), 401, "invalid_token")
    refused(access(bank), 401, "invalid_client")


def test_a_grant_is_never_changed(platform: Platform) -> None:
    assert pushed(platform.bank, grant_management_action="create").status_code == 201
    for changes in ({"grant_management_action": "replace", "grant_id": "any"}, {"grant_id": "any"}):
        refused(pushed(platform.bank, **changes), 400, "invalid_request")
