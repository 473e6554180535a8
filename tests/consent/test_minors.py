"""Who is not of age agrees to nothing alone, and nobody is presumed to have agreed with them."""

import re
from dataclasses import replace
from datetime import date, datetime, timedelta

import pytest
from werkzeug.test import TestResponse

from authz_server.audit.models import AuditEntry
from authz_server.config import Settings
from authz_server.consent import views
from authz_server.consent.models import Consent
from authz_server.core import clock
from authz_server.identity import service as identity
from authz_server.identity.models import Citizen
from tests.counter.office import new_office
from tests.support.platform import CitizenBrowser, Platform, answer_of, hidden_fields
from tests.support.protocol import new_citizen, rows, writing

BORN = date(2008, 3, 3)
OF_AGE = datetime(2026, 3, 3, tzinfo=clock.LOCAL_TIME)
TITLE = "Your legal representative has to agree"


class Minor:
    """Somebody born on 3 March 2008, at a browser."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform
        self.username = new_citizen(platform, birthdate=BORN)
        self.browser: CitizenBrowser = platform.citizen(self.username)

    def asked(self, language: str = "en", **parameters: str) -> TestResponse:
        bank = self.platform.bank
        datasets = [] if parameters else [self.platform.detail("ris.personal")]
        page = self.browser.authorize(bank.client_id, bank.push(*datasets, **parameters))
        return self.browser.client.get(f"/consent/{request_of(page)}?lang={language}")

    def left(self) -> tuple[int, list[str]]:
        """How many consents there are, and what is on record but the sign-in."""
        (who,) = rows(self.platform, Citizen, username=self.username)
        entries = rows(self.platform, AuditEntry, citizen_id=who.id)
        return len(rows(self.platform, Consent, citizen_id=who.id)), [entry.event for entry in entries]


def request_of(page: TestResponse) -> str:
    found = re.search(r'action="/consent/([^"/]+)', page.text)
    assert found is not None
    return found[1]


def test_until_the_birthday_begins_in_taiwan_nobody_agrees_for_others(platform: Platform) -> None:
    with clock.frozen(OF_AGE - timedelta(seconds=1)):
        minor = Minor(platform)
        page = minor.asked()
        assert (page.status_code, TITLE in page.text) == (403, True)
        # By hand as well, for the form of this page has no such button.
        assert "approve" not in page.text
        assert minor.browser.decide(page).status_code == 403
        assert minor.left() == (0, [])
        clock.advance(timedelta(seconds=1))
        assert "code" in answer_of(minor.browser.decide(minor.asked()))
        assert minor.left()[0] == 1


def test_they_are_told_in_both_languages_and_may_refuse(platform: Platform) -> None:
    with clock.frozen(OF_AGE - timedelta(days=1)):
        minor = Minor(platform)
        for language, said in (("en", "Whoever is under 18 can agree"), ("zh-TW", "未滿 18 歲的人")):
            page = minor.asked(language)
            assert said in page.text
            assert 'href="/download"' in page.text
        refused = answer_of(minor.browser.decide(page, "deny"))
        # As from everybody: it is nobody's business how old they are.
        assert (refused["error"], refused["error_description"]) == ("access_denied", "The citizen did not agree.")
        assert minor.left() == (0, ["consent.requested", "consent.denied"])


def test_who_they_are_is_told_nobody_either(platform: Platform) -> None:
    with clock.frozen(OF_AGE - timedelta(days=1)):
        minor = Minor(platform)
        assert minor.asked(scope="openid profile", authorization_details="").status_code == 403
        assert minor.left() == (0, [])


def test_the_decision_looks_at_it_once_more(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    with clock.frozen(OF_AGE - timedelta(days=1)):
        minor = Minor(platform)
        with monkeypatch.context() as blind:
            blind.setattr(views, "agrees_alone", lambda *_, **__: True)
            page = minor.asked()
            assert page.status_code == 200
            answer = minor.browser.decide(page)
        assert answer.location == f"/consent/{request_of(page)}"
        assert minor.left() == (0, [])


def test_their_own_data_they_take_at_any_age_but_not_to_a_counter(platform: Platform) -> None:
    office = new_office(platform)
    with clock.frozen(OF_AGE - timedelta(days=1)):
        minor = Minor(platform)
        client = minor.browser.client

        def chosen(path: str, form: dict[str, str]) -> TestResponse:
            return client.get(client.post(path, data=hidden_fields(client.get(path).text) | form).location)

        counter = chosen(f"/counter/offices/{office.client_id}/childcare", {"fia.property/tax_year": "113"})
        assert counter.status_code == 403
        assert "so there is no barcode" in counter.text
        download = chosen("/download/basket?dataset=ris.personal", {})
        assert download.status_code == 200
        assert minor.browser.decide(download).status_code == 303
        assert minor.left()[0] == 1


def test_nobody_gets_a_stronger_way_to_sign_in_only_to_be_told_no(platform: Platform) -> None:
    bank, wanted = platform.bank, platform.detail("ris.id-card-image")
    with clock.frozen(OF_AGE - timedelta(days=1)):
        minor = Minor(platform)
        minor.browser = platform.citizen(minor.username, level=3)
        page = minor.browser.authorize(bank.client_id, bank.push(wanted))
        for shown in (page, minor.browser.client.get(f"/consent/{request_of(page)}")):
            assert shown.status_code == 403
        clock.advance(timedelta(days=1))
        assert "/sign-in" in str(minor.browser.client.get(f"/consent/{request_of(page)}").location)
        assert minor.left() == (0, [])


def test_a_date_of_birth_that_is_set_right_counts_at_once(platform: Platform) -> None:
    with clock.frozen(OF_AGE - timedelta(days=1)):
        minor = Minor(platform)
        page = minor.asked()
        with writing(platform) as session:
            identity.correct(session, minor.username, birthdate=BORN - timedelta(days=1), now=clock.now())
        asked = minor.browser.client.get(f"/consent/{request_of(page)}")
        assert "code" in answer_of(minor.browser.decide(asked))


@pytest.mark.parametrize("years", [19, 20, 0])
class TestOtherLaws:
    @pytest.fixture
    def settings(self, settings: Settings, years: int) -> Settings:
        return replace(settings, limits=replace(settings.limits, adult_years=years))

    def test_the_operator_says_from_which_age(self, own_platform: Platform, years: int) -> None:
        with clock.frozen(OF_AGE if years else OF_AGE - timedelta(days=3650)):
            page = Minor(own_platform).asked()
        assert page.status_code == (403 if years else 200)
        assert (f"under {years} can" in page.text) is bool(years)
