"""A visit to a counter, from the choice of a service to the tokens of its data; and all that must not work."""

import re
from datetime import timedelta
from email.message import EmailMessage
from html import unescape
from typing import Any

import pytest
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from authz_server import worker
from authz_server.audit.models import AuditEntry
from authz_server.config import Limits, MailSettings
from authz_server.consent.codes import JUST_EXPIRED
from authz_server.consent.models import AuthorizationRequest, Consent
from authz_server.consent.wording import day, time_of_day
from authz_server.core import clock, jose
from authz_server.counter.codes import PREFIX
from authz_server.counter.desk import LOCKED, REFUSED
from authz_server.counter.models import Barcode
from authz_server.counter.naming import desk_name
from authz_server.counter.service import find_announced
from tests.counter.office import Visit, agree, announce, new_office, redeem, scan
from tests.notices.support import Hands
from tests.support.platform import Bank, Platform, hidden_fields
from tests.support.protocol import another, everything, new_bank, new_citizen, rows, services_of, shut_out_once_seen
from tests.support.smtp import post_office


def refused(answer: TestResponse) -> bool:
    return (answer.status_code, answer.get_json()["error"]) == (400, "invalid_grant")


@pytest.fixture
def office(platform: Platform) -> Bank:
    return new_office(platform)


def announced(platform: Platform, office: Bank) -> tuple[Visit, str, str]:
    """A visit whose barcode was announced: with the barcode and its one-time code."""
    visit = agree(platform, office)
    barcode = visit.show()
    assert announce(office, barcode).status_code == 200
    return visit, barcode, str(visit.code())


def test_an_office_gets_the_tokens_for_a_barcode_and_its_one_time_code(platform: Platform, office: Bank) -> None:
    visit = agree(platform, office)
    assert visit.code() is None
    barcode = visit.show()
    answer = announce(office, barcode)
    assert answer.status_code == 200, answer.text
    told = answer.get_json()
    assert told["name"] == "測○○○甲"
    assert told["transaction"] == visit.reference
    assert [detail["dataset"] for detail in told["authorization_details"]] == ["ris.personal", "fia.property"]
    assert told["tx_code"] == {"input_mode": "numeric", "length": 6}
    assert told["tx_code_expires_in"] <= 120
    code = visit.code()
    assert "Counter 1, Sample District Office, clerk 測○○○丙 has scanned" in visit.page().text
    body = redeem(office, barcode, code).get_json()
    assert [detail["dataset"] for detail in body["authorization_details"]] == ["ris.personal", "fia.property"]
    assert "Your barcode was accepted" in visit.page().text
    (first, _) = body["authorization_details"]
    leased = platform.proxy.exchange(first["access_token"], "ris.personal", jkt=office.dpop_key.thumbprint)
    assert leased.status_code == 200, leased.text
    assert refused(redeem(office, barcode, code))
    assert refused(announce(office, barcode))


def test_a_barcode_of_long_ago_is_too_late_whatever_was_shown_since(platform: Platform, office: Bank) -> None:
    with clock.frozen(clock.now()):
        visit, barcode, code = announced(platform, office)
        clock.advance(timedelta(seconds=1))
        visit.show()
        clock.advance(timedelta(minutes=20))
        assert refused(announce(office, barcode))
        assert refused(redeem(office, barcode, code))
        told = {row.reason for row in rows(platform, AuditEntry, transaction_id=visit.reference, event=REFUSED)}
    assert told == {"too_late"}


def test_what_a_scanner_or_a_clerk_adds_around_it_does_not_matter(platform: Platform, office: Bank) -> None:
    visit = agree(platform, office)
    visit.show()
    scanned = scan(visit.citizen.client.get(f"{visit.path}/barcode.png").data)
    assert announce(office, f" {scanned} ").status_code == 200
    assert rows(platform, AuditEntry, transaction_id=visit.reference, citizen_id=None) == []
    assert redeem(office, f"{PREFIX}{scanned} ", f" {visit.code()} ").status_code == 200


def test_where_it_was_presented_is_said_as_each_language_says_it(platform: Platform, office: Bank) -> None:
    registry, actor = services_of(platform).registry, f"desk:{office.client_id}/desk-1/7"
    assert desk_name(actor, registry, "zh-TW", clerk="王○明") == "樣本區公所 1 號櫃檯 承辦人王○明"
    assert desk_name(actor, registry, "en", clerk="W**") == "Counter 1, Sample District Office, clerk W**"
    assert desk_name(f"desk:{office.client_id}/gone", registry, "en", clerk="") == "Sample District Office"
    assert desk_name("desk:gone/desk-1/7", registry, "en", clerk="") == "gone"


def test_of_two_barcodes_at_one_office_each_has_its_own_code(platform: Platform, office: Bank) -> None:
    one, other = agree(platform, office), agree(platform, office)
    first, second = one.show(), other.show()
    assert announce(office, first).status_code == 200
    assert other.code() is None
    assert refused(redeem(office, second, one.code()))
    assert announce(office, second).status_code == 200
    for barcode, visit in ((first, one), (second, other)):
        assert redeem(office, barcode, visit.code()).status_code == 200


def test_of_two_barcodes_that_are_announced_in_one_moment_each_citizen_reads_their_own_code(
    platform: Platform, office: Bank
) -> None:
    with clock.frozen(clock.now()):
        visits = [agree(platform, office), agree(platform, office)]
        barcodes = [visit.show() for visit in visits]
        for barcode in barcodes:
            assert announce(office, barcode).status_code == 200
        (one, _) = ids = [rows(platform, Consent, transaction_id=visit.reference)[0].id for visit in visits]
        with Session(platform.engine) as session:
            found = [find_announced(session, consent_id, clock.now()) for consent_id in ids]
            assert len({row.digest for row in found if row}) == 2
            assert find_announced(session, one, clock.now() - timedelta(minutes=2)) is None, "none since"
        for barcode, visit in zip(barcodes, visits, strict=True):
            assert redeem(office, barcode, visit.code()).status_code == 200


def test_a_consent_that_is_for_no_counter_has_no_barcode(platform: Platform) -> None:
    citizen, bank = platform.citizen(), new_bank(platform)
    platform.code(platform.detail("ris.personal"), citizen=citizen, bank=bank)
    agree(platform, new_office(platform), citizen)
    (reference,) = (row.transaction_id for row in rows(platform, Consent, client_id=bank.client_id))
    assert citizen.client.get(f"/consents/{reference}").status_code == 200
    assert citizen.client.get(f"/counter/{reference}").status_code == 404


def test_a_visit_of_long_ago_still_says_when_its_barcode_was_accepted(own_platform: Platform) -> None:
    with clock.frozen(clock.now()):
        visit, barcode, code = announced(own_platform, office := new_office(own_platform))
        assert redeem(office, barcode, code).status_code == 200
        clock.advance(timedelta(days=3))
        worker.purge(own_platform.engine, limits=own_platform.settings.limits)
        assert not rows(own_platform, Barcode)
        page = own_platform.citizen().client.get(visit.path).text
    assert "Your barcode was accepted on" in page
    assert "Its time is over." not in page


@pytest.mark.parametrize("cause", ["wrong_office", "shown_again", "used", "too_late", "stopped", "no_such", "no_code"])
def test_whatever_is_wrong_looks_alike_to_the_desk_and_is_told_to_the_citizen(
    platform: Platform, office: Bank, cause: str
) -> None:
    with clock.frozen(clock.now()):
        visit, barcode, code = announced(platform, office)
        if cause == "wrong_office":
            answers = [announce(other := new_office(platform), barcode), redeem(other, barcode, code)]
        elif cause == "shown_again":
            clock.advance(timedelta(seconds=1))
            visit.show()
            answers = [announce(office, barcode), redeem(office, barcode, code)]
        elif cause == "used":
            assert redeem(office, barcode, code).status_code == 200
            answers = [announce(office, barcode), redeem(office, barcode, code)]
        elif cause == "too_late":
            clock.advance(timedelta(minutes=20))
            answers = [announce(office, barcode), redeem(office, barcode, code)]
        elif cause == "stopped":
            path = f"/consent/{visit.reference}/stop"
            visit.citizen.client.post(path, data=hidden_fields(visit.citizen.client.get(path).text))
            answers = [announce(office, barcode), redeem(office, barcode, code)]
        elif cause == "no_code":
            clock.advance(timedelta(minutes=2))
            answers = [redeem(office, barcode, code)]
        else:
            answers = [announce(office, "0" * 40), redeem(office, "0" * 40, code), announce(office, "?")]
        bodies = {answer.data for answer in answers}
        assert len(bodies) == 1
        assert all(refused(answer) for answer in answers)
        assert "usable" in answers[0].text
        steps = Visit(platform.citizen(), visit.path).page().text
        at = {row.client_id for row in rows(platform, AuditEntry, transaction_id=visit.reference, event=REFUSED)}
        if cause != "no_such":
            assert at == {other.client_id if cause == "wrong_office" else office.client_id}, "who refused it"
    told = {
        "wrong_office": "It was not made for this office.",
        "shown_again": "A newer one had been shown to you.",
        "used": "It had been used.",
        "too_late": "Its time was over.",
        "stopped": "The consent had ended.",
        "no_code": "The one-time code had expired, or none had been sent.",
        "no_such": "Your barcode was scanned",
    }
    assert told[cause] in steps


def test_five_wrong_codes_lock_the_barcode_for_a_quarter_of_an_hour_and_its_citizen_is_told(
    platform: Platform, office: Bank
) -> None:
    with clock.frozen(clock.now()):
        visit, barcode, code = announced(platform, office)
        wrong = another(code)
        for _ in range(5):
            assert refused(redeem(office, barcode, wrong))
        assert refused(redeem(office, barcode, code))
        page = visit.page().text
        assert "locked for a while" in page
        assert page.count("Your one-time code was not accepted") == 5
        assert len(rows(platform, AuditEntry, transaction_id=visit.reference, event=LOCKED)) == 1
        assert page.count("Your barcode was refused") == 1, "the one that was locked"
        clock.advance(timedelta(minutes=15))
        assert said(visit.page().text).endswith("one-time codes. The clerk can have another one sent.")
        barcode = visit.show()
        assert announce(office, barcode).status_code == 200
        assert redeem(office, barcode, visit.code()).status_code == 200


def said(page: str) -> str:
    """What the page says to who stands at the counter; nothing, if it says nothing."""
    found = re.search(r'<p class="note note-stop" id="said">(.*?)</p>', page, re.DOTALL)
    return " ".join(unescape(found[1]).split()) if found else ""


def test_who_stands_at_the_counter_reads_what_to_do_after_a_wrong_code_and_how_often(
    platform: Platform, office: Bank
) -> None:
    with clock.frozen(clock.now()):
        visit, barcode, code = announced(platform, office)
        wrong = another(code)
        assert said(visit.page().text) == ""
        for left in (4, 3, 2, 1):
            assert refused(redeem(office, barcode, wrong))
            page = visit.page().text
            assert said(page) == (
                "Refused just now: The one-time code was wrong. Tell it once more, digit by digit. "
                f"Tries left: {left}; then the barcode is locked for 15 minutes."
            )
            assert f'id="code">{code}<' in page
        assert refused(redeem(office, barcode, wrong))
        until, locked = time_of_day(clock.now() + timedelta(minutes=15)), visit.page().text
        assert said(locked).startswith(f"Locked until {until}: too many one-time codes were wrong.")
        assert visit.code() is None, "nobody may tell a code that is good for nothing"
        assert "Show it at the counter" not in locked
        assert announce(office, visit.show()).status_code == 200
        assert said(visit.page().text).startswith(f"Locked until {until}"), "a new one is no way around it"
        clock.advance(timedelta(minutes=15))
        visit.show()
        assert said(visit.page().text) == ""
        assert "Show it at the counter" in visit.page().text


def test_the_page_is_opened_anew_for_a_code_that_was_asked_for_while_the_barcode_was_locked(
    platform: Platform, office: Bank
) -> None:
    with clock.frozen(clock.now()):
        visit, barcode, code = announced(platform, office)
        for _ in range(5):
            assert refused(redeem(office, barcode, another(code)))
        clock.advance(timedelta(minutes=14))
        barcode = visit.show()
        assert announce(office, barcode).status_code == 200
        locked = visit.state()
        assert visit.code() is None
        clock.advance(timedelta(minutes=1))
        assert visit.state() != locked
        assert redeem(office, barcode, visit.code()).status_code == 200


def test_who_stands_at_the_counter_reads_that_the_code_is_over_or_which_barcode_counts(
    platform: Platform, office: Bank
) -> None:
    with clock.frozen(clock.now()):
        visit, barcode, code = announced(platform, office)
        clock.advance(timedelta(minutes=2))
        assert said(visit.page().text) == "The one-time code has expired. The clerk can have another one sent."
        assert refused(redeem(office, barcode, code))
        assert said(visit.page().text).endswith("or none had been sent. The clerk can have another one sent.")
        visit.show()
        assert said(visit.page().text) == ""
        assert refused(announce(office, barcode))
        assert said(visit.page().text).endswith("Only the newest one counts.")
        visit.citizen.client.get("/?lang=zh-TW")
        assert said(visit.page().text) == "剛剛被拒絕：您已經換了新的條碼。只有最新的條碼有效。"


def test_five_wrong_barcodes_lock_the_counter_for_a_quarter_of_an_hour(platform: Platform, office: Bank) -> None:
    with clock.frozen(clock.now()):
        barcode = agree(platform, office).show()
        for _ in range(5):
            assert refused(announce(office, "1" * 40))
        locked = announce(office, barcode)
        assert (locked.status_code, locked.get_json()["error"]) == (400, "slow_down")
        assert locked.headers["Retry-After"] == str(locked.get_json()["retry_after"]) == "900"
        clock.advance(timedelta(seconds=0.6))
        assert announce(office, barcode).headers["Retry-After"] == "900", "after 899 s it would be locked still"
        assert announce(office, barcode, "desk-2").status_code == 200
        clock.advance(timedelta(minutes=15))
        assert announce(office, barcode).status_code == 200


def test_what_was_once_a_barcode_is_no_guess_and_locks_nobody(platform: Platform, office: Bank) -> None:
    with clock.frozen(clock.now()):
        visit, barcode, code = announced(platform, office)
        assert redeem(office, barcode, code).status_code == 200
        for _ in range(6):
            assert refused(announce(office, barcode))
            assert refused(redeem(office, barcode, code))
        assert announce(office, agree(platform, office).show()).status_code == 200
        assert visit.page().status_code == 200


def test_a_page_that_looks_by_itself_keeps_no_session_alive(platform: Platform, office: Bank) -> None:
    with clock.frozen(clock.now()):
        visit = agree(platform, office)
        for _ in range(11):
            clock.advance(timedelta(minutes=2))
            answer = visit.citizen.client.get(f"{visit.path}/state?unattended")
        assert answer.location.startswith("/sign-in?")


def test_a_code_is_made_anew_after_two_minutes_and_not_before(platform: Platform, office: Bank) -> None:
    with clock.frozen(clock.now()):
        visit, barcode, first = announced(platform, office)
        again = announce(office, barcode)
        assert (again.status_code, visit.code()) == (200, first)
        assert refused(announce(office, barcode, "desk-2"))
        clock.advance(timedelta(minutes=2))
        assert visit.code() is None
        assert announce(office, barcode, "desk-2").status_code == 200
        assert redeem(office, barcode, first).status_code == (200 if visit.code() == first else 400)


def test_a_consent_can_be_shown_as_barcodes_for_eight_hours(platform: Platform, office: Bank) -> None:
    with clock.frozen(clock.now()):
        citizen = platform.citizen()
        visit = agree(platform, office, citizen)
        visit.show()
        clock.advance(timedelta(hours=7, minutes=59))
        late = Visit(platform.citizen(), visit.path)
        barcode = late.show()
        assert announce(office, barcode).status_code == 200
        clock.advance(timedelta(minutes=1))
        assert refused(redeem(office, barcode, "000000"))
        answer = Visit(platform.citizen(), visit.path).page().text
        assert "Its time is over." in answer
        assert 'id="show"' not in answer


def test_a_barcode_is_shown_only_to_the_session_that_asked_for_it(platform: Platform, office: Bank) -> None:
    visit = agree(platform, office)
    visit.show()
    elsewhere = Visit(platform.citizen(), visit.path)
    assert "shown in another browser" in elsewhere.page().text
    assert elsewhere.citizen.client.get(f"{visit.path}/qr.svg").status_code == 404
    by_mail_alone = Visit(platform.citizen(level=5), visit.path)
    for address in (visit.path, f"{visit.path}/qr.svg", f"{visit.path}/state"):
        assert by_mail_alone.citizen.client.get(address).location.startswith("/sign-in?")
    stranger = Visit(platform.citizen("citizen2"), visit.path)
    assert stranger.page().status_code == 404
    assert stranger.citizen.client.get(f"{visit.path}/qr.svg").status_code == 404
    assert stranger.citizen.client.get(f"{visit.path}/state").status_code == 404


def test_who_is_signed_out_while_the_request_is_under_way_is_shown_no_barcode(
    own_platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    visit = agree(own_platform, new_office(own_platform))
    form = hidden_fields(visit.page().text)
    before = shut_out_once_seen(monkeypatch, own_platform, "citizen1", "signed out")
    answer = visit.citizen.client.post(visit.path, data=form)
    assert (answer.status_code, answer.location) == (303, visit.path)
    assert everything(own_platform) == before[0]


@pytest.mark.parametrize("level", [3, 4])
def test_whoever_is_weaker_than_the_datasets_demand_gets_no_barcode_of_what_was_agreed_to_more_strongly(
    platform: Platform, office: Bank, level: int
) -> None:
    visit = agree(platform, office)
    weak, before = platform.citizen(level=level), rows(platform, Barcode, transaction_id=visit.reference)
    # The token of its form can be made by whoever has the session.
    form = {"csrf": weak.csrf(f"visit:{visit.reference}")}
    for answer in (
        weak.client.post(visit.path, data=form),
        *(weak.client.get(f"{visit.path}{what}") for what in ("", "/state", "/qr.svg")),
    ):
        assert (answer.status_code, answer.location.partition("?")[0]) == (303, "/sign-in")
    assert rows(platform, Barcode, transaction_id=visit.reference) == before
    assert Visit(platform.citizen(level=2), visit.path).show()


def test_the_pictures_hold_the_barcode_that_a_desk_can_redeem(platform: Platform, office: Bank) -> None:
    visit = agree(platform, office)
    visit.show()
    answer = visit.citizen.client.get(f"{visit.path}/barcode.png")
    assert answer.headers["Cache-Control"] == "no-store"
    scanned = scan(answer.data)
    assert announce(office, scanned).status_code == 200
    assert redeem(office, scanned, visit.code()).status_code == 200


def test_what_was_decided_for_a_counter_leads_back_to_the_visit_and_not_to_the_site_of_the_office(
    platform: Platform, office: Bank
) -> None:
    visit = agree(platform, office)
    page = visit.citizen.client.get(f"/consent/{visit.reference}/outcome?lang=en").text
    assert "when it has accepted your barcode" in page
    assert f'href="{visit.path}"' in page
    for wrong in ("Back to First", "Return to", "within minutes"):
        assert wrong not in page, wrong


def test_the_page_of_a_consent_leads_to_the_barcode_as_long_as_it_is_good_for_something(
    platform: Platform, office: Bank
) -> None:
    visit = agree(platform, office)
    address = f"/consents/{visit.reference}"
    assert 'href="/consents">My consents</a>' in visit.citizen.client.get("/counter?lang=en").text
    assert f'href="{address}"' in visit.citizen.client.get("/consents").text
    assert f'href="{visit.path}"' in visit.citizen.client.get(address).text
    stop = f"/consent/{visit.reference}/stop"
    visit.citizen.client.post(stop, data=hidden_fields(visit.citizen.client.get(stop).text))
    assert f'href="{visit.path}"' not in visit.citizen.client.get(address).text


def test_a_citizen_who_does_not_agree_comes_back_to_the_offices(platform: Platform, office: Bank) -> None:
    citizen = platform.citizen()
    path = f"/counter/offices/{office.client_id}/childcare"
    form = hidden_fields(citizen.client.get(path).text) | {"fia.property/tax_year": "113"}
    answer = citizen.decide(citizen.client.get(citizen.client.post(path, data=form).location), "deny")
    assert answer.location.startswith(f"{platform.settings.issuer}/counter?error=access_denied")
    assert "You did not agree" in citizen.client.get("/counter?error=access_denied").text


def test_a_service_asks_again_for_a_parameter_that_is_missing(platform: Platform, office: Bank) -> None:
    citizen = platform.citizen()
    path = f"/counter/offices/{office.client_id}/childcare"
    answer = citizen.client.post(path, data=hidden_fields(citizen.client.get(path).text))
    assert answer.status_code == 400
    assert "is missing." in answer.text


@pytest.mark.parametrize("keys", ["away", "none to encrypt to"])
def test_nobody_is_asked_to_agree_to_what_cannot_be_encrypted_to_the_office(platform: Platform, keys: str) -> None:
    away = {"jwks": None, "jwks_uri": "https://127.0.0.1:1/jwks"}  # an address where nothing is fetched
    office = new_office(platform, "ris.personal", **(away if keys == "away" else {"jwks": signing_keys_alone()}))
    citizen = platform.citizen()
    path = f"/counter/offices/{office.client_id}/childcare"
    answer = citizen.client.post(path, data=hidden_fields(citizen.client.get(path).text))
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "60")
    assert "nothing is lost" in answer.text
    assert not rows(platform, AuthorizationRequest, client_id=office.client_id)


def signing_keys_alone() -> dict[str, Any]:
    return jose.public_jwks(jose.parse_private_keys({"keys": [jose.generate_key("ES256")]}))


def test_offices_are_found_by_what_they_serve_in_either_language(platform: Platform, office: Bank) -> None:
    address = f"/counter/offices/{office.client_id}/childcare"
    browser = platform.browser()
    assert address in browser.get("/counter?q=托育 區公所").text
    assert address in browser.get("/counter?q=childcare xianfu").text
    nothing = browser.get("/counter?q=nothing-of-that-name&lang=en").text
    assert address not in nothing
    assert 'href="/counter">Show everything again</a>' in nothing


def test_a_client_without_counters_has_no_barcodes(platform: Platform) -> None:
    answer = announce(platform.bank, "0" * 40)
    assert (answer.status_code, answer.get_json()["error"]) == (400, "unauthorized_client")
    assert redeem(platform.bank, "0" * 40, "000000").get_json()["error"] == "unauthorized_client"
    assert f"/counter/offices/{platform.bank.client_id}/" not in platform.browser().get("/counter").text


def test_a_barcode_is_no_authorization_code(platform: Platform, office: Bank) -> None:
    visit = agree(platform, office)
    visit.show()
    digits = scan(visit.citizen.client.get(f"{visit.path}/barcode.png").data)
    for anybody in (office, platform.bank):
        for shown in (digits, f"{PREFIX}{digits}"):
            assert refused(anybody.redeem(shown))
    assert refused(redeem(office, platform.code(platform.detail("ris.personal")), "000000"))
    assert announce(office, digits).status_code == 200


SAYS = {
    "en": (
        "It is good until {barcode}; then",
        "Good until {code}.",
        "The one before is over",
        "you can show a new one until {day} at {visit}",
        "Barcode for the counter",
        "back to the list of offices",
    ),
    "zh-TW": ("{barcode} 前有效", "{code} 前有效", "前一個", "{day} {visit}", "櫃檯用的條碼", "取消後會回到單位列表"),
}


@pytest.mark.parametrize("lang", SAYS)
def test_the_page_says_until_when_everything_is_good_in_either_language(
    platform: Platform, office: Bank, lang: str
) -> None:
    with clock.frozen(clock.now()):
        now = clock.now()
        times = {
            name: time_of_day(now + timedelta(minutes=minutes))
            for name, minutes in (("barcode", 20), ("code", 2), ("visit", 480))
        }
        times["day"] = day(now + timedelta(hours=8), lang)
        good, code, over, renewable, *_ = (words.format(**times) for words in SAYS[lang])
        citizen = platform.citizen(new_citizen(platform))
        citizen.client.get(f"/?lang={lang}")
        visit = agree(platform, office, citizen)
        barcode = visit.show()
        assert good in visit.page().text
        assert announce(office, barcode).status_code == 200
        assert code in visit.page().text
        for _ in range(2):
            clock.advance(timedelta(minutes=10))
            page = visit.page().text
        assert over in page
        assert renewable in page


def test_who_did_not_go_to_the_counter_does_not_read_that_the_office_was_late(own_platform: Platform) -> None:
    with clock.frozen(clock.now()):
        visit = agree(own_platform, new_office(own_platform))
        clock.advance(timedelta(seconds=own_platform.settings.limits.visit_ttl_s) + 2 * JUST_EXPIRED)
        worker.tick(own_platform.engine, now=clock.now())
        client = own_platform.citizen().client
        record = client.get(f"/consents/{visit.reference}?lang=en").text
        messages = client.get("/messages?lang=en").text
    assert "Your permission for Sample District Office has expired unused; nothing was sent" in record
    assert "Your permission for Sample District Office has expired unused" in messages


def test_the_times_that_citizens_read_are_those_of_the_settings(own_platform: Platform) -> None:
    """Nobody may agree to eight hours where the operator has said two."""
    limits = Limits(visit_ttl_s=7200, barcode_ttl_s=600, visit_code_ttl_s=180, sign_in_lock_s=2400)
    with post_office() as post, clock.frozen(clock.now()):
        mail = MailSettings(host="127.0.0.1", port=post.port, sender="notices@mydata.example", tls="none")
        hands = Hands(own_platform, limits=limits, mail=mail)
        own_platform.app.extensions["mydata"] = hands.services
        office, citizen = new_office(own_platform), own_platform.citizen()
        citizen.client.get("/?lang=en")
        visit = agree(own_platform, office, citizen)
        (consent,) = rows(own_platform, Consent, transaction_id=visit.reference)
        leaving = consent.notice["content"]["leaving"]
        assert "for 2 hours you can show a new one" in leaving or "2 小時內都可以換新的" in leaving
        assert "Each is good for 10 minutes" in visit.page().text
        barcode = visit.show()
        assert announce(office, barcode).status_code == 200
        hands.tick()
        hands.deliver("email")
        wrong = f"{(int(visit.code() or 0) + 1) % 10**6:06}"
        for _ in range(5):
            assert refused(redeem(office, barcode, wrong))
        hands.tick()
        hands.deliver("email")
    letters = "\n".join(text_of(letter) for letter in post.letters)
    for said in ("within 3 minutes", "請在 3 分鐘內", "again in 40 minutes", "40 分鐘後可以再試"):
        assert said in letters


def text_of(letter: EmailMessage) -> str:
    """What is to be read, its lines joined."""
    body = letter.get_body(("plain",))
    assert body is not None
    return " ".join(str(body.get_content()).split())


@pytest.mark.parametrize("lang", SAYS)
def test_on_the_way_to_a_barcode_nothing_speaks_of_going_back_to_the_office(
    platform: Platform, office: Bank, lang: str
) -> None:
    *_, step, cancel = SAYS[lang]
    citizen = platform.citizen(new_citizen(platform))
    path = f"/counter/offices/{office.client_id}/childcare"
    form = hidden_fields(citizen.client.get(path).text) | {"fia.property/tax_year": "113"}
    address = citizen.client.post(path, data=form).location
    assert step in citizen.client.get(f"{address}?lang={lang}").text
    sign_in = platform.browser().get(f"/sign-in?request={address.rpartition('/')[2]}&lang={lang}").text
    assert step in sign_in
    assert cancel in sign_in


def test_a_request_for_a_visit_that_is_over_leads_nobody_to_the_site_of_the_office(
    platform: Platform, office: Bank
) -> None:
    """That is where its clerks sign in; the citizen never came from there."""
    citizen, path = platform.citizen(), f"/counter/offices/{office.client_id}/childcare"
    form = hidden_fields(citizen.client.get(path).text) | {"fia.property/tax_year": "113"}
    asked = citizen.client.post(path, data=form).location
    citizen.decide(citizen.client.get(asked))
    over = citizen.client.get(asked)
    assert over.status_code == 400
    assert "start-again" not in over.text
