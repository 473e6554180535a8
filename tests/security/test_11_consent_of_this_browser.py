"""Class 11: consent that is not bound to the browser that gave it.

Where it happened: FastMCP GHSA-rww4-4w9c-7733, authentik CVE-2025-52553.
"""

import re

from tests.support.platform import Platform, answer_of, hidden_fields
from tests.support.protocol import error_page, opened


def action_of(page: str) -> str:
    action = re.search(r'action="(/consent/[^"/]+)"', page)
    assert action is not None
    return action[1]


def test_the_captured_form_is_worth_nothing_in_another_browser(platform: Platform) -> None:
    victim, bank = platform.citizen(), platform.bank
    page = opened(victim, bank, bank.push())
    fields = hidden_fields(page.text) | {"decision": "approve"}
    stranger = platform.browser()
    assert stranger.post(action_of(page.text), data=fields).location.startswith("/sign-in")
    attacker = platform.citizen("citizen2")
    error_page(attacker.client.post(action_of(page.text), data=fields), "invalid_request_uri")
    # The same person in another session: the token belongs to the session, not to the person.
    elsewhere = platform.citizen()
    assert elsewhere.client.post(action_of(page.text), data=fields).status_code == 403
    assert "code" in answer_of(victim.decide(page))


def test_a_request_belongs_to_the_first_who_read_it(platform: Platform) -> None:
    first, second, bank = platform.citizen(), platform.citizen("citizen2"), platform.bank
    request_uri = bank.push()
    page = opened(first, bank, request_uri)
    error_page(opened(second, bank, request_uri))
    error_page(second.client.get(action_of(page.text)), "invalid_request_uri")
    assert "code" in answer_of(first.decide(page))


def test_another_site_can_not_press_the_button(platform: Platform) -> None:
    victim, bank = platform.citizen(), platform.bank
    page = opened(victim, bank, bank.push())
    forged = {"decision": "approve", "notice": hidden_fields(page.text)["notice"], "locale": "en"}
    assert victim.client.post(action_of(page.text), data=forged).status_code == 403
    signed_in = victim.client.get_cookie("__Host-mydata")
    assert signed_in is not None


def test_what_happened_is_shown_to_its_citizen_only(platform: Platform) -> None:
    mine, other, bank = platform.citizen(), platform.citizen("citizen2"), platform.bank
    page = opened(mine, bank, bank.push())
    reference = re.search(r"T[0-9A-Z]{4}-[0-9A-Z]{4}-[0-9A-Z]{4}", page.text)
    assert reference is not None
    mine.decide(page)
    address = f"/consent/{reference[0]}/outcome"
    assert mine.client.get(address).status_code == 200
    assert other.client.get(address).status_code == 404
    assert platform.browser().get(address).location.startswith("/sign-in")
    assert reference[0] not in other.client.get("/record").text
