"""A route lets nobody in but the citizen, unless it is named as open to others; and what else all routes keep to."""

import re

import pytest
from flask import Flask
from werkzeug.routing import Rule

from authz_server.portal.errors import MACHINES
from tests.security import test_27_what_a_weak_session_reaches as weakest
from tests.support.callers import CITIZEN, OTHERS, PEOPLE, caller_of

METHODS = ("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT")


def rules_of(app: Flask) -> list[Rule]:
    return list(app.url_map.iter_rules())


def test_whoever_else_may_call_a_route_is_said_once_and_of_a_route_that_there_is(app: Flask) -> None:
    named = [endpoint for endpoints in OTHERS.values() for endpoint in endpoints]
    assert len(named) == len(set(named))
    assert set(named) <= {rule.endpoint for rule in rules_of(app)}


def test_every_address_is_for_people_or_for_programs(app: Flask) -> None:
    """Which decides on the form of its errors, whatever is accepted, and on what is refused before any view sees it."""
    pages = {rule.rule.split("/")[1] for rule in rules_of(app) if caller_of(rule.endpoint) in PEOPLE}
    assert not pages & MACHINES
    answers = {place: app.test_client().post(f"/{place}/none/of/ours") for place in pages | MACHINES}
    assert {place for place, answer in answers.items() if answer.mimetype == "text/html"} == pages
    assert {place for place, answer in answers.items() if answer.is_json} == MACHINES


def test_every_route_of_citizens_says_whether_a_code_by_e_mail_alone_opens_it(app: Flask) -> None:
    said = [*weakest.READ, *weakest.PROTECT, *weakest.ASK_FOR_MORE, *weakest.SENT_TO_SIGN_IN]
    assert sorted(said) == sorted({rule.endpoint for rule in rules_of(app) if caller_of(rule.endpoint) == CITIZEN})


def test_routes_for_citizens_turn_strangers_away(app: Flask) -> None:
    client = app.test_client()
    for rule in rules_of(app):
        if caller_of(rule.endpoint) != CITIZEN:
            continue
        for method in (rule.methods or set()) & {"GET", "POST"}:
            path = re.sub(r"<int[^>]*>", "1", rule.rule.replace("<request_id>", "unknown"))
            answer = client.open(path, method=method)
            refused = answer.status_code in {400, 401, 403}
            sent_away = answer.status_code == 303 and (answer.location == "/" or answer.location.startswith("/sign-in"))
            assert refused or sent_away, f"{method} {path}: {answer.status}"


def test_every_address_tells_who_asks_what_it_can_the_same_way(app: Flask) -> None:
    """OPTIONS is refused as every method that an address has not, with those that it has (RFC 9110 section 15.5.6)."""
    client, asked = app.test_client(), {"Origin": "https://a.example", "Access-Control-Request-Method": "GET"}
    for path in {re.sub(r"<[^>]*>", "1", rule.rule) for rule in rules_of(app)}:
        answer = client.options(path, headers=asked)
        assert (answer.status_code, answer.headers["Cache-Control"]) == (405, "no-store"), path
        assert not [name for name, _ in answer.headers if name.startswith("Access-Control-")]
        allowed = set(answer.headers["Allow"].split(", "))
        done = {method for method in METHODS if client.open(path, method=method).status_code != 405}
        assert allowed == done, path
    assert client.options("/nothing").status_code == 404


@pytest.mark.parametrize("path", ["/token", "/par", "/introspect", "/revoke", "/outcomes"])
def test_routes_for_programs_refuse_who_does_not_prove_who_they_are(app: Flask, path: str) -> None:
    answer = app.test_client().post(path, data={"grant_type": "authorization_code"})
    assert answer.status_code in {400, 401, 409}
    assert answer.is_json
