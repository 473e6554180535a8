"""The consent page over HTTP: what is displayed is what is recorded and what is granted."""

import gzip
import re
from datetime import timedelta
from html import unescape
from typing import Any

import orjson
import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from authz_server.clients import service as clients
from authz_server.clients.models import Client
from authz_server.consent.models import Consent
from authz_server.consent.views import chosen
from authz_server.core import clock
from tests.support.platform import CALLBACK, REASON, CitizenBrowser, Platform, answer_of, hidden_fields
from tests.support.protocol import WAYS_TO_SHUT_OUT, everything, rows, shut_out_once_seen, writing

ADDRESS = ("registered_address", "birth_place")


def ask(platform: Platform, citizen: CitizenBrowser, *details: dict[str, Any]) -> TestResponse:
    details = details or (platform.detail("ris.personal", ADDRESS),)
    page = citizen.authorize(platform.bank.client_id, platform.bank.push(*details))
    assert page.status_code == 200, page.text
    return page


def action(page: TestResponse) -> str:
    found = re.search(r'action="(/consent/[^"/]+)"', page.text)
    assert found is not None
    return found[1]


def reference_of(page: TestResponse) -> str:
    reference = re.search(r"T[0-9A-Z]{4}-[0-9A-Z]{4}-[0-9A-Z]{4}", page.text)
    assert reference is not None
    return reference[0]


def own_words(page: TestResponse, name: str) -> tuple[str, ...]:
    return action(page), hidden_fields(page.text)["csrf"], reference_of(page), name


def consent_of(platform: Platform, page: TestResponse) -> Consent:
    with Session(platform.engine, expire_on_commit=False) as session:
        return session.scalars(select(Consent).where(Consent.transaction_id == reference_of(page))).one()


def post(citizen: CitizenBrowser, page: TestResponse, path: str = "", **fields: Any) -> TestResponse:
    return citizen.client.post(action(page) + path, data=hidden_fields(page.text) | fields)


def ticked(page: TestResponse) -> list[str]:
    return [
        match[1]
        for tag in re.findall(r'<input[^>]*type="checkbox"[^>]*>', page.text)
        if " checked" in tag and (match := re.search(r'value="([^"]+)"', tag))
    ]


@pytest.mark.parametrize("shut", WAYS_TO_SHUT_OUT)
def test_who_is_shut_out_while_the_answer_is_under_way_has_agreed_to_nothing(
    own_platform: Platform, monkeypatch: pytest.MonkeyPatch, shut: str
) -> None:
    citizen = own_platform.citizen("citizen1")
    page = ask(own_platform, citizen)
    before = shut_out_once_seen(monkeypatch, own_platform, "citizen1", shut)
    answer = citizen.decide(page)
    assert (answer.status_code, answer.location) == (303, action(page))
    assert everything(own_platform) == before[0]
    question = citizen.client.get(answer.location)  # where who is frozen reads why, and others sign in
    assert question.status_code == (403 if shut == "frozen" else 303)


def test_nothing_is_ticked_and_nothing_must_be(platform: Platform) -> None:
    page = ask(platform, platform.citizen())
    assert page.text.count('type="checkbox"') == 2
    assert ticked(page) == []
    assert " required" not in page.text


def test_two_who_are_asked_the_same_read_the_same_but_for_what_is_their_own(own_platform: Platform) -> None:
    one, other = own_platform.citizen("citizen1"), own_platform.citizen("citizen2")
    with clock.frozen(clock.now()):
        first, second = ask(own_platform, one), ask(own_platform, other)
    text = second.text
    for mine, theirs in zip(own_words(first, "測試市民甲"), own_words(second, "測試市民乙"), strict=True):
        assert theirs in text
        assert mine not in text
        text = text.replace(theirs, mine)
    assert text == first.text
    answer_of(post(one, first, decision="approve"))
    assert "What changed since last time" in ask(own_platform, one).text
    assert "What changed since last time" not in ask(own_platform, other).text


def test_what_was_ticked_is_granted_and_nothing_else(platform: Platform) -> None:
    citizen = platform.citizen()
    page = ask(platform, citizen)
    answer_of(post(citizen, page, decision="approve", optional=["0/birth_place", "0/death_date", "7/name", "x"]))
    (granted,) = consent_of(platform, page).granted
    assert granted["fields"] == ["name", "national_id", "birth_place"]


def test_with_an_optional_dataset_goes_what_the_page_says(platform: Platform) -> None:
    citizen = platform.citizen()
    detail = platform.detail("nhi.premiums", period="2025-01/2025-06")
    optional = {
        **detail,
        "fields_required": [],
        "fields_optional": [*detail["fields_required"], "period_from"],
    }
    page = ask(platform, citizen, platform.detail("ris.personal"), optional)
    assert "Sent along with anything that you tick:" in page.text
    assert 'value="1/period_from"' in page.text
    assert 'value="1/name"' not in page.text
    answer_of(post(citizen, page, decision="approve", optional="1/period_from"))
    assert set(consent_of(platform, page).granted[1]["fields"]) == {*detail["fields_required"], "period_from"}


@pytest.mark.parametrize(("lang", "told"), [("en", f"What for: {REASON['en']}"), ("zh-TW", f"用途：{REASON['zh']}")])
def test_of_each_dataset_the_page_says_what_it_is_needed_for(platform: Platform, lang: str, told: str) -> None:
    citizen = platform.citizen()
    citizen.client.get(f"/?lang={lang}")
    premiums = platform.detail("nhi.premiums", period="2025-01/2025-06")
    optional = {**premiums, "fields_required": [], "fields_optional": premiums["fields_required"]}
    page = ask(platform, citizen, platform.detail("ris.personal", ("birth_place",)), optional)
    assert page.text.count(f"<p>{told}</p>") == 2


def test_a_reason_that_changes_meanwhile_is_read_before_it_counts(own_platform: Platform) -> None:
    citizen, bank = own_platform.citizen(), own_platform.bank
    page = ask(own_platform, citizen)
    with writing(own_platform) as session:
        document = orjson.loads(orjson.dumps(own_platform.registration(bank)).replace(b"To check", b"To sell"))
        context = clients.Context(own_platform.catalogue, sandbox=True)
        clients.register(session, document, context=context, now=clock.now(), replace=True)
    again = post(citizen, page, decision="approve")
    assert again.status_code == 409
    assert "What for: To sell what you have filled in" in again.text
    assert rows(own_platform, Consent, client_id=bank.client_id) == []


def test_an_optional_dataset_of_which_nothing_is_ticked_is_not_granted(platform: Platform) -> None:
    citizen = platform.citizen()
    detail = platform.detail("nhi.premiums", period="2025-01/2025-06")
    optional = {**detail, "fields_required": [], "fields_optional": [*detail["fields_required"], "period_from"]}
    page = ask(platform, citizen, platform.detail("ris.personal"), optional)
    answer_of(post(citizen, page, decision="approve"))
    assert [granted["dataset"] for granted in consent_of(platform, page).granted] == ["ris.personal"]


def test_the_record_holds_the_notice_that_was_read(platform: Platform) -> None:
    citizen = platform.citizen()
    page = ask(platform, citizen)
    answer_of(post(citizen, page, decision="approve"))
    consent = consent_of(platform, page)
    assert consent.notice_sha256 == hidden_fields(page.text)["notice"]
    assert consent.notice_locale == "en"
    for sentence in ("title", "lead", "leaving"):
        assert consent.notice["content"][sentence] in page.text
    assert f"{consent.use_until:%Y}" in consent.notice["content"]["times"]["lines"][1]


def test_switching_the_language_keeps_what_was_ticked(platform: Platform) -> None:
    citizen = platform.citizen()
    page = ask(platform, citizen)
    assert "Share your data with First Sample Bank?" in page.text
    chinese = post(citizen, page, lang="zh-TW", optional=["0/birth_place"])
    assert chinese.status_code == 200
    assert "要把您的資料提供給甲銀行嗎？" in chinese.text
    assert ticked(chinese) == ["0/birth_place"]
    answer_of(post(citizen, chinese, decision="approve", optional=["0/birth_place"]))
    assert consent_of(platform, page).notice_locale == "zh-TW"


def test_what_was_read_counts_even_if_the_language_was_switched_elsewhere(platform: Platform) -> None:
    citizen = platform.citizen()
    page = ask(platform, citizen)
    citizen.client.get("/?lang=zh-TW")  # in another tab
    answer_of(post(citizen, page, decision="approve"))
    assert consent_of(platform, page).notice_locale == "en"


@pytest.mark.parametrize("fields", [{"notice": "x" * 43}, {"notice": ""}, {"locale": "zh-TW"}])
def test_another_notice_than_the_present_one_decides_nothing(platform: Platform, fields: dict[str, str]) -> None:
    citizen = platform.citizen()
    page = ask(platform, citizen)
    again = post(citizen, page, decision="approve", optional=["0/birth_place"], **fields)
    assert again.status_code == 409
    assert "Nothing was decided yet" in again.text
    assert "<title>Error: " in again.text
    assert ticked(again) == ["0/birth_place"]
    answer_of(post(citizen, again, decision="approve"))


def test_11_a_form_from_elsewhere_decides_nothing(platform: Platform) -> None:
    citizen = platform.citizen()
    page = ask(platform, citizen)
    for decision in ("approve", "deny"):
        again = post(citizen, page, decision=decision, csrf="x" * 43)
        assert again.status_code == 403
        assert "Location" not in again.headers
    assert post(citizen, page, "/extend", csrf="").status_code == 403
    answer_of(post(citizen, page, decision="approve"))


def test_11_another_citizen_gets_no_page_of_it(platform: Platform) -> None:
    page = ask(platform, platform.citizen())
    other = platform.citizen("citizen2")
    assert other.client.get(action(page)).status_code == 400
    answer = post(other, page, decision="approve")
    assert answer.status_code == 400
    assert "Location" not in answer.headers


def test_10_without_a_session_the_answer_is_the_sign_in(platform: Platform) -> None:
    page = ask(platform, platform.citizen())
    answer = platform.browser().post(action(page), data=hidden_fields(page.text) | {"decision": "approve"})
    assert answer.status_code == 303
    assert answer.location.startswith("/sign-in?request=")


def test_9_a_doubled_parameter_is_refused(platform: Platform) -> None:
    citizen = platform.citizen()
    page = ask(platform, citizen)
    assert post(citizen, page, decision=["deny", "approve"]).status_code == 400
    answer_of(post(citizen, page, decision="approve"))


def test_no_button_at_all_asks_again(platform: Platform) -> None:
    citizen = platform.citizen()
    page = ask(platform, citizen)
    assert post(citizen, page).status_code == 400
    assert post(citizen, page, decision="perhaps").status_code == 400


def test_refusing_is_one_click_and_says_that_nothing_was_sent(platform: Platform) -> None:
    citizen = platform.citizen()
    page = ask(platform, citizen)
    reference = re.search(r'class="ref">([^<]+)<', page.text)
    assert reference is not None
    answer = answer_of(post(citizen, page, decision="deny"))
    assert answer["error"] == "access_denied"
    outcome = citizen.client.get(f"/consent/{reference[1]}/outcome")
    assert "Nothing was sent to First Sample Bank." in outcome.text


def test_a_slow_reader_gets_the_full_time_again_with_what_was_ticked(platform: Platform) -> None:
    now = clock.now()
    with clock.frozen(now):
        citizen = platform.citizen()
        page = ask(platform, citizen)
        clock.advance(timedelta(minutes=15))
        assert citizen.client.get(action(page)).status_code == 200
        more = post(citizen, page, "/extend", optional=["0/birth_place"])
        assert more.status_code == 200
        assert ticked(more) == ["0/birth_place"]
        clock.advance(timedelta(minutes=15))
        answer_of(post(citizen, more, decision="approve"))


def test_the_address_of_the_form_for_more_time_leads_back_to_the_question(platform: Platform) -> None:
    citizen = platform.citizen()
    page = ask(platform, citizen)
    again = citizen.client.get(f"{action(page)}/extend")
    assert (again.status_code, again.location) == (303, action(page))
    assert citizen.client.get(again.location).status_code == 200


def test_after_the_time_nothing_can_be_decided_and_the_way_back_is_shown(platform: Platform) -> None:
    now = clock.now()
    with clock.frozen(now):
        citizen = platform.citizen()
        page = ask(platform, citizen)
        clock.advance(timedelta(minutes=19))
        citizen.client.get(action(page))
        clock.advance(timedelta(minutes=2))
        late = post(citizen, page, decision="approve")
    assert late.status_code == 400
    assert "Return to First Sample Bank and start again" in late.text


def test_the_warning_shows_itself_two_minutes_before_the_end(platform: Platform) -> None:
    page = ask(platform, platform.citizen())
    assert re.search(r'class="time-warning after-1[78]-min" role="status"', page.text)


def test_a_suspended_agency_is_told_of_and_left_out(own_platform: Platform) -> None:
    citizen = own_platform.citizen()
    details = [own_platform.detail("ris.personal"), own_platform.detail("bli.enrolment")]
    before = ask(own_platform, citizen, *details)
    with Session(own_platform.engine) as session, session.begin():
        clients.suspend_agency(session, "bli", now=clock.now())
    own_platform.app.extensions["mydata"].registry.reload()
    page = post(citizen, before, decision="approve")
    assert page.status_code == 409
    assert "Not available now: this platform provides no data from Bureau of Labor Insurance" in page.text
    answer_of(post(citizen, page, decision="approve"))
    assert [granted["dataset"] for granted in consent_of(own_platform, page).granted] == ["ris.personal"]


def test_a_suspended_dataset_is_told_of_and_left_out(own_platform: Platform) -> None:
    citizen = own_platform.citizen()
    details = [own_platform.detail("ris.personal"), own_platform.detail("bli.enrolment")]
    with writing(own_platform) as session:
        clients.suspend_dataset(session, "bli.enrolment", catalogue=own_platform.catalogue, now=clock.now())
    page = ask(own_platform, citizen, *details)
    assert page.text.count("Not available now: this platform does not provide this data at present.") == 1
    answer_of(post(citizen, page, decision="approve"))
    assert [granted["dataset"] for granted in consent_of(own_platform, page).granted] == ["ris.personal"]


def test_a_client_that_was_suspended_in_this_moment_gets_no_consent(own_platform: Platform) -> None:
    citizen = own_platform.citizen()
    page = ask(own_platform, citizen)
    with Session(own_platform.engine) as session, session.begin():  # before this process's registry has looked
        of_client = Client.client_id == own_platform.bank.client_id
        session.execute(update(Client).where(of_client).values(suspended_at=clock.now()))
    answer = post(citizen, page, decision="approve")
    assert answer.status_code == 400
    assert "This request is over" in answer.text
    assert rows(own_platform, Consent) == []


def test_where_nothing_is_available_there_is_nothing_to_agree_to(own_platform: Platform) -> None:
    citizen = own_platform.citizen()
    before = ask(own_platform, citizen)
    with Session(own_platform.engine) as session, session.begin():
        clients.suspend_agency(session, "ris", now=clock.now())
    own_platform.app.extensions["mydata"].registry.reload()
    page = citizen.client.get(action(before))
    assert 'id="consent-approve"' not in page.text
    assert post(citizen, page, decision="approve").status_code == 409
    assert answer_of(post(citizen, page, decision="deny"))["error"] == "access_denied"


def test_asked_again_the_page_says_what_changed(own_platform: Platform) -> None:
    citizen = own_platform.citizen()
    first = ask(own_platform, citizen, own_platform.detail("ris.personal"))
    assert "What changed since last time" not in first.text
    answer_of(post(citizen, first, decision="approve"))
    detail = own_platform.detail("bli.enrolment")
    second = ask(own_platform, citizen, own_platform.detail("ris.personal"), detail)
    assert "What changed since last time" in second.text
    assert '"Labour-insurance enrolment" is new' in unescape(second.text)


def test_the_form_may_end_at_the_client_and_where_the_client_goes_on_to(platform: Platform) -> None:
    page = ask(platform, platform.citizen())
    assert "form-action 'self' https:;" in page.headers["Content-Security-Policy"]
    assert CALLBACK not in page.text


def test_the_whole_page_with_style_and_pictures_is_light(platform: Platform) -> None:
    page = ask(platform, platform.citizen())
    citizen = platform.citizen()
    addresses = re.findall(r'(?:href|src)="(/static/[^"]+)"', page.text)
    whole = len(gzip.compress(page.data))
    for address in set(addresses):
        with citizen.client.get(address) as answer:
            whole += len(gzip.compress(answer.data))
    assert len(addresses) >= 2
    assert whole < 60_000


def test_ticks_of_any_shape_are_read_without_an_error() -> None:
    assert chosen(["0/name", "0/a/b", "1/", "/x", "²/x", "999/x", "-1/x", "x"]) == {0: ["name", "a/b"], 1: [""]}
