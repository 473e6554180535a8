"""Class 26: another's object is read, changed or revoked by whoever knows its name.

Where it happened: django-oauth-toolkit #727, Authlib 1.9.1. Consents of another: test_11.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import unquote

import pytest
from flask import Flask
from sqlalchemy.orm import Session

from authz_server import leaving
from authz_server.core import clock
from authz_server.identity import csrf
from authz_server.identity import service as identity
from authz_server.tokens.withdrawal import freeze
from tests.support.belongings import OF_AGENCIES, OF_CLIENTS, OF_NOBODY, OF_SOMEBODY, Belongings, addresses, belongings
from tests.support.platform import PASSWORD, Platform, answer_of
from tests.support.protocol import (
    dataset_token,
    error_page,
    everything,
    opened,
    refused,
    services_of,
    userinfo,
    writing,
)

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")  # by which a request is found in the log
AWAY = ("/sign-in", "/consent/", "/account/methods")


def test_another_client_can_do_nothing_with_what_it_found(platform: Platform) -> None:
    mine, other, citizen = platform.bank, platform.other_bank, platform.citizen()
    request_uri = mine.push()
    error_page(opened(citizen, other, request_uri), "invalid_request_uri")
    code = answer_of(citizen.decide(opened(citizen, mine, request_uri)))["code"]
    refused(other.redeem(code), 400, "invalid_grant")

    fetch, token = dataset_token(platform), platform.tokens()["access_token"]
    refused(userinfo(other, token), 401)
    for secret in (fetch.token, token):
        assert other.post("/revoke", {"token": secret}).status_code == 200
        refused(other.post("/introspect", {"token": secret}), 400, "unauthorized_client")
    exchange = {"grant_type": "urn:ietf:params:oauth:grant-type:token-exchange", "subject_token": fetch.token}
    refused(other.post("/token", exchange), 400, "unauthorized_client")
    assert fetch.exchange().status_code == 200, "nothing of the above has touched it"
    assert userinfo(mine, token).status_code == 200


def test_a_resource_server_is_no_client(platform: Platform) -> None:
    proxy, bank = platform.proxy, platform.bank
    refused(proxy.post("/par", bank.parameters()), 400, "unauthorized_client")
    token = platform.tokens()["access_token"]
    assert proxy.post("/revoke", {"token": token}).status_code == 200
    assert userinfo(bank, token).status_code == 200


def test_a_lease_is_its_holders_and_over_when_it_is_over(platform: Platform) -> None:
    lease = dataset_token(platform).exchange().get_json()["lease"]
    for guess in (lease[:-1], lease + "x", lease.upper(), "mdl_" + "x" * 43):
        refused(platform.proxy.report(guess, "delivered"), 409, "lease_not_usable")
    assert platform.proxy.report(lease, "delivered").status_code == 204
    for outcome in ("delivered", "failed", "delivering", "no_record"):
        refused(platform.proxy.report(lease, outcome), 409, "lease_not_usable")


def test_every_address_says_of_its_parts_whether_they_name_something_of_somebody(app: Flask) -> None:
    named = {name for rule, _ in addresses(app) for name in rule.arguments}
    assert named == OF_SOMEBODY | OF_NOBODY | OF_CLIENTS | OF_AGENCIES


def forged(cookie: str, ids: dict[str, Any]) -> Iterator[dict[str, str]]:
    """Forms as somebody may fill them in who knows how tokens are made of their own cookie."""
    fields = {"decision": "approve", "notice": "x", "locale": "en", "step": "end"}
    yield fields
    for kind, name in (
        ("consent", "request_id"),
        ("stop", "transaction_id"),
        ("erase", "transaction_id"),
        ("report", "transaction_id"),
        ("correct", "transaction_id"),
        ("remove-method", "credential_id"),
        ("visit", "reference"),
        ("delegation", "reference"),
        ("agent", "errand"),
    ):
        yield fields | {"csrf": csrf.csrf_token(cookie, f"{kind}:{ids[name]}")}


def of_citizen(platform: Platform, who: Belongings) -> dict[str, list[dict[str, Any]]]:
    """Their rows of all tables."""
    names = {"citizen": "id"}
    return {
        table: [row for row in found if row.get(names.get(table, "citizen_id")) == who.citizen_id]
        for table, found in everything(platform).items()
    }


@pytest.mark.parametrize("who", ["another citizen", "a stranger"])
def test_what_is_one_citizen_s_nobody_else_sees_or_changes_at_any_address(own_platform: Platform, who: str) -> None:
    with clock.frozen(clock.now()):
        mine, other = belongings(own_platform), own_platform.citizen(signed_in=who == "another citizen")
        cookie = other.client.get_cookie("__Host-mydata")
        private = [mine.username, mine.ids["transaction_id"], "測試金鑰", "Personal household registration", "tax_year"]
        before = everything(own_platform)
        for rule, method in addresses(own_platform.app):
            if not rule.arguments & OF_SOMEBODY:
                continue
            for form in forged(cookie.value if cookie else "", mine.ids) if method != "GET" else [{}]:
                answer = other.client.open(mine.path(rule), method=method, data=form)
                told = f"{method} {rule.rule}: {answer.status}"
                # To prove more, or back to what is their own.
                sent_away = answer.status_code == 303 and answer.location.startswith(AWAY)
                assert sent_away or answer.status_code in {400, 403, 404}, told
                text = unquote(answer.text).replace(mine.path(rule), "")
                assert not [value for value in private if value in text], told
        assert everything(own_platform) == before
        elsewhere = {"consent.extended", "desk.page"}  # leads on; is of a request by a desk: counter/test_clerks.py
        for rule, method in addresses(own_platform.app):
            if rule.arguments & OF_SOMEBODY and method == "GET" and rule.endpoint not in elsewhere:
                assert mine.browser.client.get(mine.path(rule)).status_code == 200, rule.rule


def shut(session: Session, mine: Belongings, platform: Platform) -> None:
    identity.suspend(session, mine.username, now=clock.now())


def stop_all(session: Session, mine: Belongings, platform: Platform) -> None:
    freeze(session, mine.citizen_id, actor="citizen", reason="by_button", now=clock.now())


def give_new_credentials(session: Session, mine: Belongings, platform: Platform) -> None:
    secret = services_of(platform).secret
    identity.reset_credentials(session, mine.username, password=PASSWORD, server_secret=secret, now=clock.now())


def let_go(session: Session, mine: Belongings, platform: Platform) -> None:
    leaving.leave(session, mine.citizen_id, actor="citizen", settings=platform.settings, now=clock.now())


@pytest.mark.parametrize("end", [shut, stop_all, give_new_credentials, let_go])
def test_what_ends_all_that_one_citizen_has_ends_nothing_of_another(
    own_platform: Platform, end: Callable[[Session, Belongings, Platform], None]
) -> None:
    with clock.frozen(clock.now()):
        mine, other = belongings(own_platform), belongings(own_platform)
        before = {who.citizen_id: of_citizen(own_platform, who) for who in (mine, other)}
        with writing(own_platform) as session:
            end(session, mine, own_platform)
        assert of_citizen(own_platform, mine) != before[mine.citizen_id]
        assert of_citizen(own_platform, other) == before[other.citizen_id]


def test_what_is_another_s_is_answered_as_what_is_nobody_s(own_platform: Platform) -> None:
    """Else an answer would tell which numbers there are. Nobody guesses a `request_id`, and who has one is led back."""
    with clock.frozen(clock.now()):
        mine, other = belongings(own_platform), own_platform.citizen("citizen2")
        nobody_s = {
            "request_id": "unknown",
            "transaction_id": "T0000-0000-0000",
            "message_id": 99_999_999,
            "credential_id": 99_999_999,
            "reference": "T0000-0000-0000",
            "download_id": "T0000-0000-0000",
            "errand": "T0000-0000-0000",
        }
        none = replace(mine, ids=nobody_s)
        for rule, method in addresses(own_platform.app):
            if not rule.arguments & (OF_SOMEBODY - {"request_id"}):
                continue
            answers = []
            for whose in (mine, none):
                answer = other.client.open(
                    whose.path(rule), method=method, data={"csrf": "x"} if method != "GET" else None
                )
                shown = unquote(f"{answer.location} {answer.text}").replace(whose.path(rule), "")
                answers.append((answer.status, UUID.sub("", shown)))
            assert answers[0] == answers[1], f"{method} {rule.rule}"
