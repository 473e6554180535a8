"""Stopping a consent: asked first, effective at once, told as it was, and only the citizen's own."""

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from authz_server import worker
from authz_server.audit.models import AuditEntry
from authz_server.consent.models import AuthorizationCode, Consent
from authz_server.core import clock
from authz_server.core.transfers import OVER_AFTER_S
from authz_server.notices.wording import TOLD
from authz_server.tokens.withdrawal import withdraw
from tests.counter.office import agree, new_office
from tests.support.platform import CitizenBrowser, Platform, answer_of, hidden_fields
from tests.support.protocol import Fetch, rows, userinfo

DETAILS = ("ris.personal", "bli.enrolment")


class Given:
    """A consent of citizen1 to some datasets, and what belongs to it."""

    def __init__(self, platform: Platform, *datasets: str | dict[str, Any]) -> None:
        self.platform = platform
        self.citizen = platform.citizen()
        asked = [platform.detail(dataset) if isinstance(dataset, str) else dataset for dataset in datasets]
        page = self.citizen.authorize(platform.bank.client_id, platform.bank.push(*asked))
        reference = re.search(r"T[0-9A-Z]{4}-[0-9A-Z]{4}-[0-9A-Z]{4}", page.text)
        assert reference is not None
        self.reference = reference[0]
        self.code = answer_of(self.citizen.decide(page))["code"]
        self.outcome = f"/consent/{self.reference}/outcome?lang=en"
        self.stop_page = f"/consent/{self.reference}/stop"

    def redeem(self) -> list[Fetch]:
        self.tokens = self.platform.bank.redeem(self.code).get_json()
        details = self.tokens.get("authorization_details", [])
        return [Fetch(self.platform, detail["access_token"], detail["dataset"]) for detail in details]

    def stop(self) -> TestResponse:
        form = hidden_fields(self.citizen.client.get(self.stop_page).text)
        return self.citizen.client.post(self.stop_page, data=form)

    def read(self, path: str | None = None) -> str:
        return " ".join(self.citizen.client.get(path or self.outcome).text.split())

    def events(self) -> list[str]:
        entries = rows(self.platform, AuditEntry, transaction_id=self.reference)
        return [f"{entry.event} {entry.dataset_id or ''} {entry.actor}" for entry in entries]


def test_a_link_only_asks(platform: Platform) -> None:
    given = Given(platform, *DETAILS)
    (fetch, _) = given.redeem()
    assert f'href="{given.stop_page}"' in given.read()
    page = given.read(given.stop_page + "?lang=en")
    assert "Stop your consent for First Sample Bank?" in page
    assert page.count("Not delivered yet") == 2
    assert "under way" not in page
    assert "taken back" not in page, "nothing was delivered"
    assert "/erase" not in page
    assert fetch.exchange().status_code == 200


def test_what_comes_next_is_told_until_it_has_come(platform: Platform) -> None:
    given = Given(platform, "ris.personal")
    (fetch,) = given.redeem()
    assert "The agencies send the data" in given.read()
    assert "Follow every fetch" in given.read()
    fetch.deliver()
    page = given.read()
    assert "The agencies send the data" not in page
    assert "must erase it by" in page
    assert "Follow every fetch" not in page
    assert "See it among your consents" in page


def test_after_the_button_nothing_can_be_fetched(platform: Platform) -> None:
    given = Given(platform, *DETAILS)
    fetches = given.redeem()
    answer = given.stop()
    assert (answer.status_code, answer.location) == (303, f"/consent/{given.reference}/outcome")
    assert [fetch.exchange().status_code for fetch in fetches] == [400, 400]
    assert userinfo(platform.bank, given.tokens["access_token"]).status_code == 401
    page = given.read()
    assert "You stopped this consent" in page
    assert page.count("; not delivered") == 2
    assert "What was delivered" not in page
    assert 'id="stop"' not in page
    assert given.events()[-3:] == [
        "consent.withdrawn  citizen",
        "token.revoked ris.personal citizen",
        "token.revoked bli.enrolment citizen",
    ]


def test_another_consent_to_the_same_client_is_not_touched(platform: Platform) -> None:
    stopped, fetched, waiting = (Given(platform, "ris.personal") for _ in range(3))
    (fetch,) = fetched.redeem()
    stopped.redeem()
    stopped.stop()
    assert "You stopped this consent" not in fetched.read()
    assert userinfo(platform.bank, fetched.tokens["access_token"]).status_code == 200
    assert fetch.exchange().status_code == 200
    assert [fetch.exchange().status_code for fetch in waiting.redeem()] == [200]


@pytest.mark.parametrize("so_far", [(), ("delivering",)], ids=["before the first byte", "before the last"])
@pytest.mark.parametrize("outcome", ["delivering", "continuing", "delivered", "failed", "preparing", "no_record"])
def test_a_fetch_in_flight_is_refused_at_its_next_gate(
    platform: Platform, so_far: tuple[str, ...], outcome: str
) -> None:
    given = Given(platform, "ris.personal")
    (fetch,) = given.redeem()
    lease = fetch.exchange().get_json()["lease"]
    for report in so_far:
        assert platform.proxy.report(lease, report).status_code == 204
    asked = given.read(given.stop_page + "?lang=en")
    assert "Being delivered since" in asked
    assert "A delivery that is under way is broken off within a second" in asked
    with clock.frozen(clock.now()):
        pressed_at = clock.now()
        given.stop()
        waited_s = (clock.now() - pressed_at).total_seconds()
    assert waited_s == (OVER_AFTER_S if so_far else 0), "the answer comes when nothing more leaves"
    more = {"retry_after": "60"} if outcome == "preparing" else {}
    assert platform.proxy.report(lease, outcome, **more).status_code == 409
    assert fetch.exchange().status_code == 400
    told = "Broken off on [^<]*; a part of it may have arrived" if so_far else "Stopped on [^<]*; not delivered"
    assert re.search(told, given.read())


def test_one_fetch_in_flight_of_two_is_waited_for(platform: Platform) -> None:
    given = Given(platform, *DETAILS)
    lease = given.redeem()[0].exchange().get_json()["lease"]
    assert platform.proxy.report(lease, "delivering").status_code == 204
    with clock.frozen(clock.now()):
        pressed_at = clock.now()
        given.stop()
        assert (clock.now() - pressed_at).total_seconds() == OVER_AFTER_S


def test_what_was_delivered_before_is_told_and_stays(platform: Platform) -> None:
    given = Given(platform, *DETAILS)
    first, second = given.redeem()
    first.deliver()
    page = given.read(given.stop_page + "?lang=en")
    assert page.index("This will not be delivered any more") < page.index("Not delivered yet")
    assert page.index("This can't be stopped any more") < page.index("Delivered on")
    assert re.search("Call First Sample Bank on <[^>]*>02-0000-0000</span> and quote the reference number.", page)
    assert f'href="/consent/{given.reference}/erase"' in page
    given.stop()
    page = given.read()
    assert re.search(r"Personal household registration.{0,60}Delivered on", page)
    assert re.search(r"Labour-insurance enrolment.{0,60}Stopped on", page)
    assert "What was delivered can't be taken back" in page
    assert second.exchange().status_code == 400


def test_what_came_of_it_is_the_end_of_the_way_only_where_it_led_there(platform: Platform) -> None:
    visit = agree(platform, new_office(platform))
    outcome = f"/consent/{visit.reference}/outcome?lang=en"
    assert '<li aria-current="step">Barcode for the counter</li>' in visit.citizen.client.get(outcome).text
    path = f"/consent/{visit.reference}/stop"
    visit.citizen.client.post(path, data=hidden_fields(visit.citizen.client.get(path).text))
    assert "Barcode for the counter" not in visit.citizen.client.get(outcome).text


def test_what_nobody_asked_for_is_chosen_anew_and_nobody_is_told_that_it_was_not_agreed_to(platform: Platform) -> None:
    office = new_office(platform)
    visit = agree(platform, office)
    citizen = visit.citizen
    question = citizen.client.get(f"/consent/{visit.reference}/stop?lang=en").text
    assert "choose the service again" in question
    assert "has to ask you again" not in question
    service = f"/counter/offices/{office.client_id}/childcare"
    form = hidden_fields(citizen.client.get(service).text) | {"fia.property/tax_year": "113"}
    citizen.decide(citizen.client.get(citizen.client.post(service, data=form).location), "deny")
    (denied,) = [entry for entry in rows(platform, AuditEntry, client_id=office.client_id) if "denied" in entry.event]
    outcome = citizen.client.get(f"/consent/{denied.transaction_id}/outcome?lang=en").text
    assert "Nothing was sent to" in outcome
    assert "was told" not in outcome


def test_a_telephone_number_is_not_cut_in_two(platform: Platform) -> None:
    page = platform.citizen().authorize(platform.bank.client_id, platform.bank.push(platform.detail("ris.personal")))
    given = Given(platform, "ris.personal")
    for text in (page.text, given.read()):
        assert '<span class="unbroken">02-0000-0000</span> and quote' in text
    chinese = given.read(given.outcome.replace("lang=en", "lang=zh-TW"))
    assert '<span class="unbroken">02-0000-0000，</span>並報上' in chinese, "no line begins with a comma"


def test_a_second_time_changes_nothing(platform: Platform) -> None:
    given = Given(platform, "ris.personal")
    given.redeem()
    form = hidden_fields(given.read(given.stop_page))
    for _ in range(2):
        assert given.citizen.client.post(given.stop_page, data=form).status_code == 303
    events = given.events()
    assert sum(event.startswith("consent.withdrawn") for event in events) == 1
    assert sum(event.startswith("token.revoked") for event in events) == 1
    assert given.citizen.client.get(given.stop_page).location == f"/consent/{given.reference}/outcome"


def same_browser(given: Given) -> FlaskClient:
    """Another tab, usable in another thread."""
    cookie = given.citizen.client.get_cookie("__Host-mydata")
    assert cookie is not None
    tab = given.platform.browser()
    tab.set_cookie("__Host-mydata", cookie.value)
    return tab


@pytest.mark.race
def test_of_eight_who_press_at_once_one_is_on_the_record(platform: Platform) -> None:
    given = Given(platform, "ris.personal")
    given.redeem()
    form = hidden_fields(given.read(given.stop_page))
    tabs = [same_browser(given) for _ in range(8)]
    with ThreadPoolExecutor(len(tabs)) as threads:
        answers = list(threads.map(lambda tab: tab.post(given.stop_page, data=form).status_code, tabs))
    assert answers == [303] * len(tabs)
    assert sum(event.startswith("consent.withdrawn") for event in given.events()) == 1


@pytest.mark.race
def test_tokens_of_a_code_that_is_redeemed_at_that_moment_are_stopped_too(platform: Platform) -> None:
    with ThreadPoolExecutor(2) as threads:
        for _ in range(20):
            given = Given(platform, "ris.personal")
            form = hidden_fields(given.read(given.stop_page))
            redeeming = threads.submit(given.redeem)
            stopping = threads.submit(same_browser(given).post, given.stop_page, data=form)
            assert stopping.result().status_code == 303
            assert [fetch.exchange().status_code for fetch in redeeming.result()] in ([], [400])


def test_a_code_that_nobody_has_redeemed_opens_nothing_any_more(platform: Platform) -> None:
    given = Given(platform, "ris.personal")
    given.stop()
    refused = platform.bank.redeem(given.code)
    assert (refused.status_code, refused.get_json()["error"]) == (400, "invalid_grant")
    (consent,) = rows(platform, Consent, transaction_id=given.reference)
    assert not rows(platform, AuthorizationCode, consent_id=consent.id)
    assert "Stopped by you; not delivered" in given.read()
    assert not any(event.startswith("code.replayed") for event in given.events()), "nobody did anything wrong"


def test_a_consent_to_identity_alone_can_be_stopped(platform: Platform) -> None:
    given = Given(platform)
    given.redeem()
    assert "can then no longer ask this platform who you are" in given.read(given.stop_page + "?lang=en")
    given.stop()
    assert userinfo(platform.bank, given.tokens["access_token"]).status_code == 401


def test_where_everything_was_delivered_there_is_no_button(platform: Platform) -> None:
    given = Given(platform, "ris.personal")
    (fetch,) = given.redeem()
    platform.proxy.report(fetch.exchange().get_json()["lease"], "delivered")
    page = given.read(given.stop_page + "?lang=en")
    assert "There is nothing left to stop" in page
    assert "<form" not in page
    assert 'id="stop"' not in given.read()


def deny(platform: Platform, citizen: CitizenBrowser) -> str:
    page = citizen.authorize(platform.bank.client_id, platform.bank.push(platform.detail("ris.personal")))
    found = re.search(r'class="ref">([^<]+)<', page.text)
    assert found is not None
    citizen.decide(page, "deny")
    return found[1]


def test_a_refusal_can_not_be_stopped_and_has_no_receipt(platform: Platform) -> None:
    citizen = platform.citizen()
    reference = deny(platform, citizen)
    page = citizen.client.get(f"/consent/{reference}/outcome").text
    assert "/stop" not in page
    assert "/receipt" not in page
    for name in ("stop", "receipt.json", "receipt.pdf"):
        assert citizen.client.get(f"/consent/{reference}/{name}").status_code == 404
    assert citizen.client.post(f"/consent/{reference}/stop", data={"csrf": "x"}).status_code == 404


def test_11_another_site_can_not_press_the_button(platform: Platform) -> None:
    given = Given(platform, "ris.personal")
    (fetch,) = given.redeem()
    for form in ({}, {"csrf": "x" * 43}):
        answer = given.citizen.client.post(given.stop_page + "?lang=en", data=form)
        assert answer.status_code == 403
        assert "Nothing was stopped yet" in answer.text
    good = hidden_fields(given.read(given.stop_page))["csrf"]
    assert given.citizen.client.post(given.stop_page, data={"csrf": [good, "x"]}).status_code == 400
    assert fetch.exchange().status_code == 200


def test_26_another_citizen_finds_nothing_to_stop_or_to_read(platform: Platform) -> None:
    given = Given(platform, "ris.personal")
    (fetch,) = given.redeem()
    other = platform.citizen("citizen2").client
    form = hidden_fields(given.read(given.stop_page))
    assert other.get(given.stop_page).status_code == 404
    assert other.post(given.stop_page, data=form).status_code == 404
    for name in ("receipt.json", "receipt.pdf"):
        assert other.get(f"/consent/{given.reference}/{name}").status_code == 404
    assert platform.browser().post(given.stop_page, data=form).location.startswith("/sign-in?return_to=")
    with Session(platform.engine) as session, session.begin():
        withdraw(session, given.reference, citizen_id=0, now=clock.now())
    assert fetch.exchange().status_code == 200


def test_the_record_and_the_notices_tell_of_it(own_platform: Platform) -> None:
    given = Given(own_platform, "ris.personal")
    given.redeem()
    given.stop()
    page = given.read("/record?lang=en")
    told = "You stopped your consent; First Sample Bank can fetch nothing more with it"
    assert re.search(f"{told}.{{0,300}}/consents/{given.reference}", page)
    assert "You stopped it." in page
    assert "您已停止同意，甲銀行不能再憑此取得任何資料" in given.read("/record?lang=zh-TW")
    assert "consent.withdrawn" in TOLD


@pytest.mark.parametrize(
    ("reports", "told"),
    [
        (("failed",), "Could not be delivered on"),
        (("delivering", "failed"), "Could not be delivered on"),
        (("no_record",), "The agency had no record of you on"),
        (("delivered",), "Delivered on"),
    ],
)
def test_the_outcome_tells_how_far_each_dataset_has_come(
    platform: Platform, reports: tuple[str, ...], told: str
) -> None:
    given = Given(platform, "ris.personal")
    (fetch,) = given.redeem()
    lease = fetch.exchange().get_json()["lease"]
    for report in reports:
        assert platform.proxy.report(lease, report).status_code == 204
    assert told in given.read()


@pytest.mark.parametrize(
    ("fetched", "later", "before", "after"),
    [
        (False, timedelta(minutes=2), "Not fetched in time", "Not fetched in time"),  # the code ran out
        (True, timedelta(minutes=3), "Being delivered since", "Interrupted on"),  # the lease ran out
    ],
)
def test_what_time_has_ended(platform: Platform, fetched: bool, later: timedelta, before: str, after: str) -> None:
    with clock.frozen(clock.now()):
        given = Given(platform, "ris.personal")
        if fetched:
            given.redeem()[0].exchange()
        clock.advance(later)
        assert before in given.read()
        worker.tick(platform.engine, now=clock.now())
        assert after in given.read()


def test_a_token_that_ran_out_is_told_of_as_such(platform: Platform) -> None:
    with clock.frozen(clock.now()):
        given = Given(platform, "ris.personal")
        given.redeem()
        clock.advance(timedelta(minutes=11))
        worker.tick(platform.engine, now=clock.now())
        assert "Not fetched in time; it no longer can be" in given.read()


def test_stopping_after_a_delivery_broke_off_does_not_promise_that_nothing_arrived(platform: Platform) -> None:
    with clock.frozen(clock.now()):
        given = Given(platform, "ris.personal")
        given.redeem()[0].exchange()
        clock.advance(timedelta(minutes=3))
        given.stop()
        assert "it may have arrived" in given.read()


def test_a_dataset_of_two_years_is_told_of_twice(platform: Platform) -> None:
    years = [platform.detail("fia.property", tax_year=year) for year in ("112", "113")]
    given = Given(platform, *years)
    first, _ = given.redeem()
    platform.proxy.report(first.exchange().get_json()["lease"], "delivered")
    page = given.read()
    assert page.count("Delivered on") == 1
    assert page.count("Not delivered yet") == 1
