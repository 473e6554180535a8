"""The whole way, from the pushed request to the agency ticket, as each peer sees it."""

import json
from dataclasses import replace
from unittest.mock import Mock

import orjson
import pytest

from authz_server.audit.models import AuditEntry
from authz_server.core import clock, jose
from authz_server.core.identifiers import AgencyId
from authz_server.oauth import agency_ticket
from authz_server.tokens.errors import TokenNotUsable
from tests.support.platform import Platform, answer_of
from tests.support.protocol import Fetch, dataset_token, refused, rows


def test_a_bank_gets_a_token_for_each_dataset_that_the_citizen_agreed_to(platform: Platform) -> None:
    body = platform.tokens(platform.detail("ris.personal"), platform.detail("fia.property", tax_year="113"))
    assert body["token_type"] == "DPoP"
    assert [detail["dataset"] for detail in body["authorization_details"]] == ["ris.personal", "fia.property"]
    for detail in body["authorization_details"]:
        assert detail["locations"] == [f"https://data.mydata.example/data/{detail['dataset']}"]
        assert detail["access_token"].startswith("mdt_")
    claims = jose.unverified(body["id_token"]).claims
    assert claims["iss"] == platform.settings.issuer
    assert claims["nonce"] == "nonce-of-the-bank"


def test_the_proxy_swaps_a_dataset_token_for_a_ticket_that_only_the_agency_can_read(platform: Platform) -> None:
    (granted,) = platform.tokens(platform.detail("ris.personal"))["authorization_details"]
    answer = platform.proxy.exchange(granted["access_token"], "ris.personal", jkt=platform.bank.dpop_key.thumbprint)
    assert answer.status_code == 200, answer.text
    agency_key = platform.agency_keys[AgencyId("ris")][1]
    signed = jose.decrypt(answer.get_json()["access_token"], agency_key).decode()
    keys = jose.parse_public_keys(orjson.loads(platform.browser().get("/jwks").data))
    ticket = jose.verify(signed, keys, algorithms=("ES256",), typ="at+jwt").claims
    assert ticket["aud"] == "ris"
    assert ticket["sub"] == "A123456789"
    assert ticket["exp"] - ticket["iat"] == 60
    assert ticket["fields"] == granted["fields"]
    told = platform.proxy.report(answer.get_json()["lease"], "delivered")
    assert (told.status_code, told.data, told.headers.get("Content-Type")) == (204, b"", None)
    assert "Content-Security-Policy" not in told.headers, "it is no page"


@pytest.mark.parametrize("gone", ["agency", "client"])
def test_for_an_agency_or_a_client_that_has_gone_there_is_no_ticket(gone: str) -> None:
    registry = {name: Mock(return_value=None if name == gone else Mock()) for name in ("agency", "client")}
    here, lease = Mock(registry=Mock(**registry)), Mock(detail={})
    with pytest.raises(TokenNotUsable):
        agency_ticket.issue(here, lease, now=clock.now())


def test_a_dataset_token_is_delivered_once(platform: Platform) -> None:
    (granted,) = platform.tokens(platform.detail("ris.personal"))["authorization_details"]
    jkt = platform.bank.dpop_key.thumbprint
    first = platform.proxy.exchange(granted["access_token"], "ris.personal", jkt=jkt)
    assert platform.proxy.report(first.get_json()["lease"], "delivered").status_code == 204
    second = platform.proxy.exchange(granted["access_token"], "ris.personal", jkt=jkt)
    assert (second.status_code, second.get_json()["error"]) == (400, "invalid_request")
    assert platform.proxy.report(first.get_json()["lease"], "delivered").status_code == 409


def test_a_token_opens_no_other_dataset_and_is_not_spent_by_the_attempt(platform: Platform) -> None:
    fetch = dataset_token(platform)
    refused(replace(fetch, dataset="ris.household").exchange(), 400, "invalid_request")
    assert fetch.exchange().status_code == 200


@pytest.mark.parametrize("outcome", ["delivering", "preparing", "no_record"])
def test_a_transfer_begins_once_and_is_no_other_answer(platform: Platform, outcome: str) -> None:
    lease = dataset_token(platform).exchange().get_json()["lease"]
    assert platform.proxy.report(lease, "delivering").status_code == 204
    more = {"retry_after": "60"} if outcome == "preparing" else {}
    refused(platform.proxy.report(lease, outcome, **more), 409, "lease_not_usable")
    assert platform.proxy.report(lease, "delivered").status_code == 204


def test_a_transfer_that_broke_off_may_begin_anew_as_often_as_is_allowed(platform: Platform) -> None:
    fetch, attempts = dataset_token(platform), range(1, platform.settings.limits.max_attempts + 1)
    for attempt in attempts:
        leased = fetch.exchange().get_json()
        assert leased["attempt"] == attempt
        for outcome in ("delivering", "failed"):
            assert platform.proxy.report(leased["lease"], outcome).status_code == 204
    refused(fetch.exchange(), 400, "invalid_request")


def test_a_token_that_died_of_its_failures_is_on_the_record_and_in_the_list_as_that(own_platform: Platform) -> None:
    body = own_platform.tokens(own_platform.detail("ris.personal"))
    (granted,) = body["authorization_details"]
    fetch, citizen = Fetch(own_platform, granted["access_token"]), own_platform.citizen()
    reference = granted["transaction"]
    page, stop = f"/consents/{reference}", f"/consent/{reference}/stop"
    for _ in range(own_platform.settings.limits.max_attempts):
        assert stop in citizen.client.get(page).text
        lease = fetch.exchange().get_json()["lease"]
        told = own_platform.proxy.report(lease, "failed", reason="agency_down")
        assert told.status_code == 204
    refused(fetch.exchange(), 400, "invalid_request")
    events = [entry.event for entry in rows(own_platform, AuditEntry, transaction_id=reference)]
    assert events[-5:] == ["token.failed", "token.leased", "token.failed", "token.leased", "token.exhausted"]
    assert "is not tried again" in citizen.client.get("/record").text
    assert "it is not tried again" in citizen.client.get(page).text
    assert stop not in citizen.client.get(page).text


def test_a_citizen_who_refuses_sends_nothing_but_the_refusal(platform: Platform) -> None:
    citizen = platform.citizen()
    page = citizen.authorize(platform.bank.client_id, platform.bank.push(platform.detail("ris.personal")))
    answer = answer_of(citizen.decide(page, "deny"))
    assert answer["error"] == "access_denied"
    assert answer["state"] == "state-of-the-bank"
    assert answer["iss"] == platform.settings.issuer


def test_an_optional_dataset_comes_with_what_its_agency_always_sends(platform: Platform) -> None:
    needed = platform.detail("ris.personal")
    dataset = platform.catalogue.dataset("ris.kinship")
    optional = {**platform.detail("ris.kinship"), "fields_required": [], "fields_optional": list(dataset.field_ids)}
    free = next(field for field in dataset.field_ids if field not in dataset.required_fields)
    citizen = platform.citizen()
    page = citizen.authorize(platform.bank.client_id, platform.bank.push(needed, optional))
    code = answer_of(citizen.decide(page, optional=(f"1/{free}",)))["code"]
    granted = platform.bank.redeem(code).get_json()["authorization_details"]
    assert [detail["dataset"] for detail in granted] == ["ris.personal", "ris.kinship"]
    assert set(granted[1]["fields"]) == {free, *dataset.required_fields}


def test_an_optional_dataset_of_which_nothing_was_ticked_is_not_granted(platform: Platform) -> None:
    dataset = platform.catalogue.dataset("ris.kinship")
    optional = {**platform.detail("ris.kinship"), "fields_required": [], "fields_optional": list(dataset.field_ids)}
    granted = platform.tokens(platform.detail("ris.personal"), optional)["authorization_details"]
    assert [detail["dataset"] for detail in granted] == ["ris.personal"]


def test_what_a_citizen_gave_one_bank_is_nothing_that_another_asks_for_again(platform: Platform) -> None:
    platform.code(platform.detail("ris.personal"))
    citizen, other = platform.citizen("citizen2"), platform.other_bank
    platform.code(platform.detail("ris.personal"), citizen=citizen)
    first = citizen.authorize(other.client_id, other.push(platform.detail("ris.marital-status")))
    assert "since last time" not in first.text.lower()
    again = citizen.authorize(platform.bank.client_id, platform.bank.push(platform.detail("ris.marital-status")))
    assert "since last time" in again.text.lower()


def test_authorization_details_may_be_written_over_several_lines(platform: Platform) -> None:
    written = json.dumps([platform.detail("ris.personal")], indent=2)
    citizen = platform.citizen()
    page = citizen.authorize(platform.bank.client_id, platform.bank.push(authorization_details=written))
    granted = platform.bank.redeem(answer_of(citizen.decide(page))["code"]).get_json()["authorization_details"]
    assert [detail["dataset"] for detail in granted] == ["ris.personal"]
    assert granted[0]["transaction"].startswith("T")
