"""Class 11: consent that is not bound to the browser that gave it.

Where it happened: FastMCP GHSA-rww4-4w9c-7733, authentik CVE-2025-52553. The same holds for every form of a page.
"""

import re

import pytest
from sqlalchemy import update

from authz_server.core import clock
from authz_server.identity import csrf
from authz_server.identity.models import Citizen
from tests.support.belongings import addresses, belongings
from tests.support.callers import ANYONE, PEOPLE, caller_of
from tests.support.platform import Platform, answer_of, hidden_fields
from tests.support.protocol import error_page, everything, opened, writing

# What is answered otherwise than by 403, and why. Nothing is changed there either.
ANSWERED_OTHERWISE = {
    "oauth.authorize": 400,  # the protocol's own, whose forms come from clients; it only shows
    "messages.read_all": 303,  # back to the messages, which are unread as before
    "not_me.stop": 404,  # no link either; with one: tests/notices/test_not_me.py
    "certificate.set_up": 404,  # not switched on here; with it on: tests/flows/test_certificate.py
    "certificate.set_up_by_connection": 404,
    "own_requests.show": 404,  # nor this; with it on: tests/portal/test_own_requests.py
    "desk.start": 404,  # no desk's request; of one: tests/counter/test_clerks.py
    "upstream.set_up": 404,  # likewise: tests/identity/test_upstream.py
}


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


@pytest.mark.parametrize("token", ["none", "of another action", "of another browser"])
def test_no_form_of_any_page_is_taken_without_its_own_token(own_platform: Platform, token: str) -> None:
    with clock.frozen(clock.now()):
        mine = belongings(own_platform)
        cookie = mine.browser.client.get_cookie("__Host-mydata")
        assert cookie is not None
        form = {"decision": "approve", "notice": "x", "locale": "en", "action": "sign-in", "username": mine.username}
        form |= {"up_to": str(mine.ids["message_id"]), "value": "a@citizen.example", "label": "x"}
        if token != "none":
            form["csrf"] = csrf.csrf_token(
                cookie.value if token == "of another action" else "mds_" + "x" * 43, "consent:another"
            )
        with writing(own_platform) as session:
            session.execute(update(Citizen).where(Citizen.id == mine.citizen_id).values(email="old@citizen.example"))
        before = everything(own_platform)
        for rule, method in addresses(own_platform.app):
            of_a_page = caller_of(rule.endpoint) in {ANYONE, *PEOPLE}
            if method == "GET" or not of_a_page:
                continue
            answer = mine.browser.client.open(mine.path(rule), method=method, data=form)
            expected = ANSWERED_OTHERWISE.get(rule.endpoint, 403)
            assert answer.status_code == expected, f"{method} {rule.rule}: {answer.status} {answer.location}"
            assert everything(own_platform) == before, rule.rule
