"""The citizen's own area: one navigation, one page that lists what there is, one language for all of it."""

import re

import pytest
from flask import Flask
from sqlalchemy import update
from sqlalchemy.orm import Session

from authz_server.identity.models import Citizen
from authz_server.portal import members
from tests.support.callers import ANYONE, CITIZEN, caller_of
from tests.support.platform import Platform, hidden_fields
from tests.support.protocol import rows

LINK = re.compile(r'<a href="([^"]+)"( aria-current="\w+")?>')

LISTED = re.compile(r'<h3><a class="govuk-link" href="([^"]+)">')


def bar(page: str) -> dict[str, str]:
    """The links of the navigation, each with the mark that it has."""
    own = re.search(r'<nav class="own".*?</nav>', page, re.DOTALL)
    return dict(LINK.findall(own[0])) if own else {}


def entries() -> list[members.Entry]:
    return [*members.NAVIGATION, *(entry for group in members.ACCOUNT for entry in group.entries)]


def test_every_entry_is_a_page_for_citizens_and_stands_once(app: Flask) -> None:
    names = [entry.endpoint for entry in entries()]
    assert len(names) == len(set(names))
    assert all(caller_of(name) in {CITIZEN, ANYONE} and name in app.view_functions for name in names)


def test_the_account_lists_every_entry_and_no_empty_heading(own_platform: Platform) -> None:
    page = own_platform.citizen().client.get("/account?lang=en").text
    for group in members.ACCOUNT:
        assert (str(group.heading) in page) == bool(group.entries)
        assert all(f">{entry.title}</a>" in page for entry in group.entries)


def test_the_navigation_marks_where_one_is(own_platform: Platform) -> None:
    client = own_platform.citizen().client
    assert {url: mark for url, mark in bar(client.get("/record").text).items() if mark} == {
        "/record": ' aria-current="page"'
    }
    below = client.get("/account/language").text
    assert bar(below)["/account"] == ' aria-current="true"'
    assert '<p class="back"><a class="govuk-link tap" href="/account">' in below


def test_whatever_the_account_leads_to_leads_back(own_platform: Platform) -> None:
    client = own_platform.citizen().client
    listed = LISTED.findall(client.get("/account").text)
    assert len(listed) == sum(len(group.entries) for group in members.ACCOUNT)
    for url in [*listed, "/office", "/download/basket?dataset=ris.personal"]:
        page = client.get(url).text
        back = "/record" if url.startswith("/record") else "/account"
        assert re.findall(r'<p class="back"><a class="govuk-link tap" href="([^"]+)">', page) == [back], url
        assert bar(page)[back] == ' aria-current="true"', url
    assert 'class="back"' not in own_platform.browser().get("/counter").text


def test_it_stays_away_in_the_middle_of_a_request_and_from_strangers(own_platform: Platform) -> None:
    citizen = own_platform.citizen()
    asked = own_platform.bank.push(own_platform.detail("ris.personal"))
    page = citizen.authorize(own_platform.bank.client_id, asked)
    assert page.status_code == 200
    assert not bar(page.text)
    assert not bar(citizen.client.get("/sign-out").text)
    assert bar(citizen.client.get("/").text)
    assert not bar(own_platform.browser().get("/").text)


def choose(platform: Platform, **fields: str) -> tuple[int, str]:
    client = platform.citizen().client
    form = hidden_fields(client.get("/account/language").text) | fields
    answer = client.post("/account/language", data=form)
    return answer.status_code, client.get(answer.location).text if answer.location else answer.text


def test_the_language_of_the_account_is_changed_and_the_pages_with_it(own_platform: Platform) -> None:
    for locale, lang, saved in (("zh-TW", "zh-Hant-TW", "已儲存。"), ("en", "en", "Saved.")):
        status, page = choose(own_platform, locale=locale)
        assert status == 303
        assert f'<html class="govuk-template" lang="{lang}">' in page
        assert saved in page
        assert [citizen.locale for citizen in rows(own_platform, Citizen, username="citizen1")] == [locale]


def test_an_account_without_a_chosen_language_leaves_the_page_in_the_one_that_is_in_use(own_platform: Platform) -> None:
    with Session(own_platform.engine) as session, session.begin():
        session.execute(update(Citizen).values(locale=""))
    citizen, bank = own_platform.citizen(), own_platform.bank
    asked = bank.push(own_platform.detail("ris.personal"), ui_locales="en")
    citizen.client.environ_base["HTTP_ACCEPT_LANGUAGE"] = "zh-TW"
    assert '<html class="govuk-template" lang="en">' in citizen.authorize(bank.client_id, asked).text
    citizen.client.environ_base["HTTP_ACCEPT_LANGUAGE"] = "en"
    page = citizen.client.get("/account/language").text
    assert "You have not chosen one yet." in page
    assert " checked" not in page


@pytest.mark.parametrize(
    ("fields", "status"),
    [({"locale": "fr"}, 400), ({"locale": ""}, 400), ({}, 400), ({"locale": "zh-TW", "csrf": "x"}, 403)],
)
def test_what_is_no_choice_changes_nothing(own_platform: Platform, fields: dict[str, str], status: int) -> None:
    answered, page = choose(own_platform, **fields)
    assert answered == status
    assert 'role="alert"' in page
    assert [citizen.locale for citizen in rows(own_platform, Citizen, username="citizen1")] == ["en"]
