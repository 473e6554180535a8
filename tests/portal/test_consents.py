"""The citizen's consents: found where one looks for them, each shown whole, nobody else's."""

import json
import re
from datetime import timedelta
from html import unescape
from urllib.parse import urlencode

import pytest

from authz_server import worker
from authz_server.consent.models import Consent, Refusal
from authz_server.core import clock
from authz_server.database import db
from authz_server.portal.consents import ACTIONS, MOST_STEPS
from tests.bench.count import counting
from tests.support.platform import CitizenBrowser, Platform
from tests.support.protocol import Fetch, rows, writing

ROW = re.compile(r'<a class="govuk-link" href="/consents/(T[0-9A-Z-]+)">')
CITIZEN = "citizen1"


def decided(platform: Platform, citizen: CitizenBrowser, *datasets: str, decision: str = "approve") -> str:
    """Decide a request for these datasets; its reference number."""
    return agreed(platform, citizen, *datasets, decision=decision)[0]


def agreed(
    platform: Platform, citizen: CitizenBrowser, *datasets: str, decision: str = "approve"
) -> tuple[str, list[Fetch]]:
    """Decide a request, and if it was agreed to, collect its tokens; its reference number and what can be fetched."""
    asked = platform.bank.push(*(platform.detail(dataset) for dataset in datasets))
    page = citizen.authorize(platform.bank.client_id, asked)
    reference = re.search(r"T[0-9A-Z]{4}-[0-9A-Z]{4}-[0-9A-Z]{4}", page.text)
    assert reference is not None
    answer = citizen.decide(page, decision)
    if decision != "approve":
        return reference[0], []
    code = re.search(r"code=([^&]+)", answer.location)
    assert code is not None
    tokens = platform.bank.redeem(code[1]).get_json()["authorization_details"]
    return reference[0], [Fetch(platform, token["access_token"], token["dataset"]) for token in tokens]


def read(citizen: CitizenBrowser, **query: str) -> str:
    answer = citizen.client.get(f"/consents?{urlencode({'lang': 'en'} | query)}")
    assert answer.status_code == 200
    return " ".join(answer.text.split())


def listed(citizen: CitizenBrowser, **query: str) -> list[str]:
    return ROW.findall(read(citizen, **query))


@pytest.fixture
def citizen(own_platform: Platform) -> CitizenBrowser:
    return own_platform.citizen(CITIZEN)


def test_a_row_says_who_for_what_which_data_when_and_how_far(own_platform: Platform, citizen: CitizenBrowser) -> None:
    reference, fetches = agreed(own_platform, citizen, "ris.personal", "bli.enrolment")
    page = read(citizen)
    assert ROW.findall(page) == [reference]
    for words in (
        "First Sample Bank",
        '<p lang="en">To decide on your loan application</p>',
        "<li>Personal household registration</li>",
        "May be fetched",
        "<dt>Last used</dt><dd>not yet</dd>",
        "<dt>May be used until</dt>",
        "<dt>Must be erased by</dt>",
    ):
        assert words in page
    for fetch in fetches:
        fetch.deliver()
    page = read(citizen)
    assert "In use" in page
    assert "not yet" not in page


def test_each_stands_under_its_state(own_platform: Platform, citizen: CitizenBrowser) -> None:
    refused = decided(own_platform, citizen, "ris.personal", decision="deny")
    used, (fetch,) = agreed(own_platform, citizen, "ris.personal")
    fetch.deliver()
    assert (listed(citizen), listed(citizen, state="history"), listed(citizen, state="none")) == ([used], [], [refused])
    assert "Refused" in read(citizen, state="none")
    assert "No consent of yours is in force" not in read(citizen)
    with clock.frozen(clock.now() + timedelta(days=31)):
        late = own_platform.citizen(CITIZEN)
        assert "Has to be erased" in read(late)
    with clock.frozen(clock.now() + timedelta(days=91)):
        late = own_platform.citizen(CITIZEN)
        assert (listed(late), listed(late, state="history")) == ([], [used])
        assert "No consent of yours is in force at present." in read(late)


def test_it_is_found_by_party_purpose_dataset_agency_and_reference(
    own_platform: Platform, citizen: CitizenBrowser
) -> None:
    first = decided(own_platform, citizen, "ris.personal")
    second = decided(own_platform, citizen, "bli.enrolment")
    both = [second, first]
    for text, found in {
        "first SAMPLE": both,
        "甲銀行": both,
        "loan application": both,
        "信用貸款": both,
        "household": [first],
        "勞工保險被保險人": [second],
        second.lower(): [second],
        "%": [],
        "'": [],
        "nothing has this name": [],
    }.items():
        assert listed(citizen, q=text) == found, text
    assert listed(citizen, party="jia-bank") == both
    assert listed(citizen, party="yi-bank") == []
    assert listed(citizen, source="agency:bli") == [second]
    assert listed(citizen, source="ris.personal") == [first]
    assert listed(citizen, source="agency:none") == listed(citizen, source="none.such") == []
    today = clock.day_of(clock.now())
    assert listed(citizen, **{"from": str(today), "to": str(today)}) == both
    assert listed(citizen, to=str(today - timedelta(days=1))) == []
    assert listed(citizen, **{"from": str(today + timedelta(days=1))}) == []


def test_what_was_not_agreed_to_says_what_was_asked_and_is_found_by_it(
    own_platform: Platform, citizen: CitizenBrowser
) -> None:
    asked = own_platform.bank.push(own_platform.detail("bli.enrolment"), own_platform.detail("ris.personal"))
    citizen.authorize(own_platform.bank.client_id, asked)
    with clock.frozen(clock.now() + timedelta(hours=1)):
        worker.tick(own_platform.engine, now=clock.now())
        citizen = own_platform.citizen(CITIZEN)
        refused = decided(own_platform, citizen, "ris.personal", decision="deny")
        page = read(citizen, state="none")
        (_, lapsed) = ROW.findall(page)
        assert page.count("To decide on your loan application") == 2
        assert page.count("<li>Personal household registration</li>") == 2
        assert "Not decided in time" in page
        for text, found in {"loan": [refused, lapsed], "household": [refused, lapsed], "勞工保險": [lapsed]}.items():
            assert listed(citizen, state="none", q=text) == found, text
        assert listed(citizen, state="none", source="agency:bli") == [lapsed]
        assert listed(citizen, state="none", source="fia.income") == []
        page = citizen.client.get(f"/consents/{lapsed}?lang=en").text
        assert "What was asked for" in page
        assert "<li>Labour-insurance enrolment</li>" in page
    stored = rows(own_platform, Refusal)
    assert [set(one) for row in stored for one in row.asked] == [{"dataset"}] * 3, "and nothing else of the request"


def test_the_form_keeps_what_was_looked_for(own_platform: Platform, citizen: CitizenBrowser) -> None:
    decided(own_platform, citizen, "ris.personal")
    page = read(citizen, state="history", q='"><b>', party="jia-bank", source="agency:ris", to="2026-11-23")
    assert 'value="&#34;&gt;&lt;b&gt;"' in page
    assert '<option value="jia-bank" selected>' in page
    assert '<option value="agency:ris" selected>' in page
    assert 'value="2026-11-23"' in page
    assert '<details class="govuk-details" open>' in page
    assert '<input type="hidden" name="state" value="history">' in page
    assert "No consent of this kind fits" in page


@pytest.mark.parametrize("day", ["2026-13-01", "x", "0001-01-01", "2026-11-23T00:00", "99999-01-01"])
def test_what_is_no_day_is_said_and_left_out(own_platform: Platform, citizen: CitizenBrowser, day: str) -> None:
    reference = decided(own_platform, citizen, "ris.personal")
    answer = citizen.client.get("/consents", query_string={"lang": "en", "to": day})
    assert answer.status_code == 400
    assert 'href="#to">Enter a day as year-month-day' in answer.text
    assert reference in answer.text


@pytest.mark.parametrize("query", [{"state": "x"}, {"state": ""}, {"before": "x"}, {"before": "1"}])
def test_an_address_that_no_page_of_ours_has_is_not_found(citizen: CitizenBrowser, query: dict[str, str]) -> None:
    assert citizen.client.get("/consents", query_string=query).status_code == 404


def test_older_ones_are_a_page_away(own_platform: Platform, citizen: CitizenBrowser) -> None:
    for _ in range(21):
        decided(own_platform, citizen, "ris.personal", decision="deny")
    first = read(citizen, state="none")
    older = re.search(r'href="(/consents\?state=none&amp;before=[\d-]+)" rel="next"', first)
    assert older is not None
    second = citizen.client.get(older[1].replace("&amp;", "&")).text
    assert len(set(ROW.findall(first))) == 20
    assert len(set(ROW.findall(second)) - set(ROW.findall(first))) == 1
    assert "Newest" in second
    assert 'rel="next"' not in second


def test_a_page_costs_the_same_statements_with_one_and_with_many(
    own_platform: Platform, citizen: CitizenBrowser
) -> None:
    counted: list[list[int]] = []
    with own_platform.app.app_context():
        engine = db.engine
    with clock.frozen(clock.now()):  # else the registry looks after a second whether it has changed
        for more in (1, 5):
            for _ in range(more):
                reference = decided(own_platform, citizen, "ris.personal", "bli.enrolment")
            of_page = []
            for path in ("/consents", f"/consents/{reference}", "/record"):
                citizen.client.get(path)
                with counting(engine) as counts:
                    citizen.client.get(path)
                of_page.append(counts.statements)
            counted.append(of_page)
    assert counted[0] == counted[1]
    assert max(counted[0]) <= 9, "BEGIN counts on SQLite; one is the count of unread messages"


def test_the_whole_of_it_stands_on_one_page(own_platform: Platform, citizen: CitizenBrowser) -> None:
    reference, (fetch, _) = agreed(own_platform, citizen, "ris.personal", "bli.enrolment")
    fetch.deliver()
    page = " ".join(unescape(citizen.client.get(f"/consents/{reference}?lang=en").text).split())
    in_order = (
        "<h1>First Sample Bank</h1>",
        reference,
        f'href="/consent/{reference}/stop">Stop this consent</a>',
        "<h3>Personal household registration</h3>",
        "Delivered on",
        '"Personal household registration" was delivered',
        'may fetch "Personal household registration" once',
        "Not delivered yet",
        "First Sample Bank may use it until",
        "You agreed to share data",
        "First Sample Bank asked for your data",
        f"/consent/{reference}/receipt.pdf",
        f"/consent/{reference}/receipt.json",
        "Your decision",
        "Share your data with First Sample Bank?",
        "privacy@bank.example",
    )
    places = [page.find(words) if index < 14 else page.rfind(words) for index, words in enumerate(in_order)]
    assert -1 not in places, dict(zip(in_order, places, strict=True))
    assert places == sorted(places)


def test_the_receipt_is_shown_in_the_language_in_which_it_was_read(
    own_platform: Platform, citizen: CitizenBrowser
) -> None:
    citizen.client.get("/?lang=zh-TW")
    reference = decided(own_platform, citizen, "ris.personal")
    page = " ".join(citizen.client.get(f"/consents/{reference}?lang=en").text.split())
    assert '<div class="receipt" lang="zh-Hant-TW"> <h3>您的決定</h3>' in page
    assert '<p class="lead" lang="en">To decide on your loan application</p>' in page
    assert "<dd>審核您的信用貸款申請</dd>" in page


def test_a_purpose_that_is_registered_otherwise_by_now_is_shown_as_it_was_read(
    own_platform: Platform, citizen: CitizenBrowser
) -> None:
    citizen.client.get("/?lang=zh-TW")
    reference = decided(own_platform, citizen, "ris.personal")
    with writing(own_platform) as session:
        consent = session.query(Consent).filter_by(transaction_id=reference).one()
        text = json.dumps(consent.notice).replace("\\u5be9\\u6838", "\\u5be9\\u67e5")
        consent.notice = json.loads(text)
    for page in (f"/consents/{reference}", "/consents"):
        shown = citizen.client.get(f"{page}?lang=en").text
        assert re.search('<p[^>]* lang="zh-Hant-TW">審查您的信用貸款申請</p>', shown), page


def test_a_refusal_has_a_page_without_receipt_where_all_one_can_do_is_report(
    own_platform: Platform, citizen: CitizenBrowser
) -> None:
    reference = decided(own_platform, citizen, "ris.personal", decision="deny")
    page = citizen.client.get(f"/consents/{reference}?lang=en").text
    assert "Nothing was sent to First Sample Bank." in page
    assert f"/consent/{reference}/report" in page
    for absent in ("receipt", "/stop", "/erase", "/correct"):
        assert absent not in page


def test_no_action_is_offered_that_leads_nowhere(own_platform: Platform) -> None:
    assert {action.endpoint for action in ACTIONS} <= set(own_platform.app.view_functions)


def test_nobody_elses_consent_is_shown(own_platform: Platform, citizen: CitizenBrowser) -> None:
    reference = decided(own_platform, citizen, "ris.personal")
    other = own_platform.citizen("citizen2")
    for path in (f"/consents/{reference}", "/consents/T0000-0000-0000", f"/consents/{reference}x"):
        assert other.client.get(path).status_code == 404
    assert listed(other) == []


def test_what_happened_is_listed_newest_first_as_on_the_record(own_platform: Platform, citizen: CitizenBrowser) -> None:
    reference, _ = agreed(own_platform, citizen, "ris.personal")
    for path in (f"/consents/{reference}", "/record"):
        page = citizen.client.get(f"{path}?lang=en").text
        assert 0 < page.index("You agreed to share data with") < page.index("asked for your data</p>")


def test_when_a_step_was_is_said_as_elsewhere_on_its_page(own_platform: Platform, citizen: CitizenBrowser) -> None:
    reference = decided(own_platform, citizen, "ris.personal")
    for lang, form in ("en", r"\d+ \w+ \d{4} at \d\d:\d\d"), ("zh-TW", r"\d{4} 年 \d+ 月 \d+ 日 \d\d:\d\d"):
        page = citizen.client.get(f"/consents/{reference}?lang={lang}").text
        moments = re.findall(r"<time [^>]*>([^<]*)</time>", page)
        assert moments, lang
        assert all(re.fullmatch(form, moment) for moment in moments), moments


def test_a_request_with_very_many_steps_shows_the_newest(own_platform: Platform, citizen: CitizenBrowser) -> None:
    reference, (fetch,) = agreed(own_platform, citizen, "ris.personal")
    for _ in range(MOST_STEPS // 2):
        lease = fetch.exchange().get_json()["lease"]
        assert own_platform.proxy.report(lease, "no_record").status_code == 204
    page = citizen.client.get(f"/consents/{reference}?lang=en").text
    assert "Only the newest steps are shown here" in page
    assert page.count("<time ") == MOST_STEPS
