"""Class 10: the state of a flow in the client's or the browser's hands. Steps out of order, skipped, empty, repeated.

Where it happened: Keycloak CVE-2026-7571, CVE-2026-94218; authentik CVE-2026-49443, CVE-2026-54730.
"""

import re

import pytest

from authz_server.consent.models import AuthorizationRequest
from authz_server.core.secrets import digest
from tests.support.platform import Platform, hidden_fields
from tests.support.protocol import error_page, opened, rows


def request_id_of(platform: Platform, request_uri: str) -> str:
    (row,) = rows(platform, AuthorizationRequest, digest=digest(request_uri))
    return str(row.id)


def test_a_request_that_nobody_began_can_not_be_decided(platform: Platform) -> None:
    citizen = platform.citizen()
    request_id = request_id_of(platform, platform.bank.push())
    error_page(citizen.client.get(f"/consent/{request_id}"), "invalid_request_uri")
    error_page(citizen.client.post(f"/consent/{request_id}", data={"decision": "approve"}), "invalid_request_uri")


@pytest.mark.parametrize("missing", ["csrf", "notice", "locale", "decision"])
@pytest.mark.parametrize("value", [None, "", "x", "é"])
def test_a_form_with_a_field_missing_or_made_up_decides_nothing(
    platform: Platform, missing: str, value: str | None
) -> None:
    citizen, bank = platform.citizen(), platform.bank
    request_uri = bank.push(platform.detail("ris.personal"))
    page = opened(citizen, bank, request_uri)
    action = re.search(r'action="(/consent/[^"/]+)"', page.text)
    assert action is not None
    fields: dict[str, str | None] = {**hidden_fields(page.text), "decision": "approve", missing: value}
    answer = citizen.client.post(action[1], data={name: text for name, text in fields.items() if text is not None})
    if missing == "locale":
        # Read again in the page's own language, which is the one that was shown.
        assert answer.status_code in {303, 409}
        return
    assert answer.status_code in {400, 403, 409}, answer.status
    assert "Location" not in answer.headers
    assert opened(citizen, bank, request_uri).status_code == 200


def test_a_page_from_before_the_sign_in_was_too_old_does_not_skip_the_sign_in(platform: Platform) -> None:
    citizen, bank = platform.citizen(), platform.bank
    request_uri = bank.push(prompt="login")
    assert opened(citizen, bank, request_uri).location.startswith("/sign-in")
    request_id = request_id_of(platform, request_uri)
    page = citizen.client.get(f"/consent/{request_id}")
    assert (page.status_code, page.location.startswith("/sign-in")) == (303, True)
    other = opened(citizen, bank, bank.push())
    fields = hidden_fields(other.text) | {"decision": "approve"}
    assert "code=" not in (citizen.client.post(f"/consent/{request_id}", data=fields).location or "")


def test_the_fields_of_one_request_do_not_decide_another(platform: Platform) -> None:
    citizen, bank = platform.citizen(), platform.bank
    harmless, greedy = bank.push(), bank.push(platform.detail("ris.personal"))
    fields = hidden_fields(opened(citizen, bank, harmless).text) | {"decision": "approve"}
    page = opened(citizen, bank, greedy)
    action = re.search(r'action="(/consent/[^"/]+)"', page.text)
    assert action is not None
    answer = citizen.client.post(action[1], data=fields)
    assert answer.status_code == 403
    # Even with this request's own token, the notice of the other one is not what was read.
    fields["csrf"] = hidden_fields(page.text)["csrf"]
    assert citizen.client.post(action[1], data=fields).status_code == 409


def test_a_decided_request_stays_decided(platform: Platform) -> None:
    citizen, bank = platform.citizen(), platform.bank
    page = opened(citizen, bank, bank.push())
    assert "error=access_denied" in citizen.decide(page, "deny").location
    for decision in ("approve", "deny"):
        error_page(citizen.decide(page, decision), "invalid_request_uri")
    action = re.search(r'action="(/consent/[^"/]+)"', page.text)
    assert action is not None
    extended = citizen.client.post(f"{action[1]}/extend", data=hidden_fields(page.text))
    error_page(extended, "invalid_request_uri")


@pytest.mark.parametrize("decision", ["approve", "deny"])
def test_of_several_requests_one_is_decided(platform: Platform, decision: str) -> None:
    citizen, bank = platform.citizen(), platform.bank
    # A first consent would change what the other page has to say.
    assert "code=" in citizen.decide(opened(citizen, bank, bank.push(platform.detail("ris.personal")))).location
    first, second = (opened(citizen, bank, bank.push(platform.detail("ris.personal"))) for _ in range(2))
    assert citizen.decide(first, decision).status_code == 303
    assert "code=" in citizen.decide(second).location


def test_ticks_that_were_not_offered_count_for_nothing(platform: Platform) -> None:
    citizen, bank = platform.citizen(), platform.bank
    page = opened(citizen, bank, bank.push(platform.detail("ris.personal")))
    hostile = ("0/national_id_of_others", "1/name", "99/name", "-1/name", "0/", "/", "", "é/é", "0/name/x")
    code = re.search(r"code=([^&]+)", citizen.decide(page, "approve", hostile).location)
    assert code is not None
    (granted,) = bank.redeem(code[1]).get_json()["authorization_details"]
    assert granted["fields"] == platform.detail("ris.personal")["fields_required"]
