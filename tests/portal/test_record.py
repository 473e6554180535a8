"""The citizen's own record: everything that happened, newest first, no values, nobody else's."""

import re
from datetime import timedelta

import pytest
from sqlalchemy import delete
from sqlalchemy.orm import Session

from authz_server import worker
from authz_server.audit.models import AuditEntry
from authz_server.consent.anomalies import KINDS
from authz_server.core import clock
from authz_server.core.secrets import digest
from authz_server.notices.models import Notice
from authz_server.portal.record import PER_PAGE
from authz_server.portal.record_wording import SENTENCES
from authz_server.tokens import withdrawal
from authz_server.tokens.models import DatasetToken
from tests.support.platform import Platform
from tests.support.protocol import Fetch, dataset_token, rows
from tests.support.tree import ROOT, python_files

EVENT = re.compile(r'(?:event=f?|_entry\(|_tell\([\w, ]*)"([a-z_.]+|[a-z]+\.\{[a-z.]+\})"')


def test_every_event_that_the_code_records_has_a_sentence() -> None:
    recorded = set()
    for path in python_files("authz_server"):
        recorded |= set(EVENT.findall((ROOT / path).read_text(encoding="utf-8")))
    assert recorded, "the pattern still finds them"
    families = {name.partition("{")[0] for name in recorded if "{" in name}
    assert families <= {"anomaly.", "consent.", "token."}
    assert {name for name in recorded if "{" not in name} <= set(SENTENCES)
    for decision in ("approved", "denied", "expired"):
        assert f"consent.{decision}" in SENTENCES
    for kind in KINDS:
        assert f"anomaly.{kind}" in SENTENCES
    for outcome in ("delivering", "delivered", "failed", "preparing", "no_record"):
        assert f"token.{outcome}" in SENTENCES


def test_it_tells_of_request_and_decision_newest_first(own_platform: Platform) -> None:
    citizen = own_platform.citizen()
    own_platform.code(own_platform.detail("ris.personal"), citizen=citizen)
    page = citizen.client.get("/record?lang=en").text
    assert page.index("You agreed to share data with First Sample Bank") < page.index(
        "First Sample Bank asked for your data"
    )


def test_it_keeps_what_went_well_and_what_did_not(own_platform: Platform) -> None:
    bank, proxy, citizen = own_platform.bank, own_platform.proxy, own_platform.citizen()
    asked, limits = own_platform.detail("ris.personal"), own_platform.settings.limits
    with clock.frozen(clock.now()):
        fetch = dataset_token(own_platform)
        for reports in (["no_record"], ["failed"], ["delivering", "delivered"]):
            lease = fetch.exchange().get_json()["lease"]
            assert {proxy.report(lease, outcome).status_code for outcome in reports} == {204}
        own_platform.other_bank.redeem(own_platform.code(asked))
        code = own_platform.code(asked)
        for _ in range(2):
            bank.redeem(code)
        own_platform.code(asked)
        unfinished, _ = dataset_token(own_platform), dataset_token(own_platform)
        unfinished.exchange()
        citizen.authorize(bank.client_id, bank.push(asked))
        clock.advance(timedelta(seconds=limits.transaction_ttl_s))
        worker.tick(own_platform.engine, now=clock.now())
    of_how_they_came_here = ("account.", "anomaly.")
    kept = {
        (entry.event, entry.success)
        for entry in rows(own_platform, AuditEntry)
        if not entry.event.startswith(of_how_they_came_here)
    }
    went_wrong = {
        "code.expired",
        "code.misused",
        "code.replayed",
        "consent.expired",
        "token.expired",
        "token.failed",
        "token.spent_unknown",
    }
    went_well = {
        "code.redeemed",
        "consent.approved",
        "consent.requested",
        "token.delivered",
        "token.delivering",
        "token.issued",
        "token.leased",
        "token.no_record",
        "token.revoked",
    }
    assert kept == {(event, True) for event in went_well} | {(event, False) for event in went_wrong}


@pytest.mark.parametrize("who", ["citizen", "operator", "client", "freeze"])
def test_whoever_ends_a_consent_it_is_kept_as_what_went_well(own_platform: Platform, who: str) -> None:
    (token,) = rows(own_platform, DatasetToken, digest=digest(dataset_token(own_platform).token))
    now = clock.now()
    with Session(own_platform.engine) as session, session.begin():
        if who == "citizen":
            withdrawal.withdraw(session, token.transaction_id, citizen_id=token.citizen_id, now=now)
        elif who == "operator":
            withdrawal.revoke(session, token.transaction_id, reason="misuse", now=now)
        elif who == "client":
            withdrawal.give_up(session, token.consent_id, client_id=token.client_id, now=now)
        else:
            withdrawal.freeze(session, token.citizen_id, actor="citizen", reason="by_button", now=now)
            withdrawal.lift(session, token.citizen_id, actor="operator", now=now)
    kept = [(entry.event, entry.success) for entry in rows(own_platform, AuditEntry)]
    of_citizen = [("account.frozen", True), ("account.unfrozen", True)] if who == "freeze" else []
    ended = [("consent.withdrawn", True), ("token.revoked", True)]
    assert kept[-len(ended + of_citizen) :] == of_citizen[:1] + ended + of_citizen[1:]


def test_it_leads_to_what_was_decided(own_platform: Platform) -> None:
    citizen = own_platform.citizen()
    own_platform.code(own_platform.detail("ris.personal"), citizen=citizen)
    address = re.search(r'href="(/consents/[^"]+)"', citizen.client.get("/record").text)
    assert address is not None
    outcome = citizen.client.get(address[1] + "?lang=en")
    assert "You agreed" in outcome.text
    assert "Personal household registration" in outcome.text


def test_a_reference_number_stays_on_the_line_of_its_name_also_on_a_telephone(own_platform: Platform) -> None:
    own_platform.code()
    page = own_platform.citizen().client.get("/record?lang=en").text
    assert re.search(r'<span class="ref">Reference T[0-9A-Z-]{14}</span>', page)


def test_it_calls_the_proxy_by_no_name_of_its_own(own_platform: Platform) -> None:
    citizen = own_platform.citizen()
    code = own_platform.code(own_platform.detail("ris.personal"), citizen=citizen)
    (detail,) = own_platform.bank.redeem(code).get_json()["authorization_details"]
    assert Fetch(own_platform, detail["access_token"], "ris.personal").exchange().status_code == 200
    page = citizen.client.get("/record?lang=en").text
    began = page.index("First Sample Bank began to fetch")
    assert "This platform" in page[began : page.index("</li>", began)]
    assert own_platform.proxy.client_id not in page


def test_nobody_else_sees_it(own_platform: Platform) -> None:
    citizen, other = own_platform.citizen(), own_platform.citizen("citizen2")
    own_platform.code(own_platform.detail("ris.personal"), citizen=citizen)
    reference = re.search(r"/consents/([^/\"]+)", citizen.client.get("/record").text)
    assert reference is not None
    assert reference[1] not in other.client.get("/record").text
    assert other.client.get(f"/consent/{reference[1]}/outcome").status_code == 404


def test_an_empty_record_says_so(own_platform: Platform) -> None:
    citizen = own_platform.citizen()
    with Session(own_platform.engine) as session, session.begin():
        session.execute(delete(Notice))
        session.execute(delete(AuditEntry))
    assert "There is nothing on your record yet." in citizen.client.get("/record?lang=en").text


def test_who_is_not_signed_in_signs_in_first(own_platform: Platform) -> None:
    answer = own_platform.browser().get("/record?before=7")
    assert answer.status_code == 303
    assert answer.location == "/sign-in?return_to=%2Frecord%3Fbefore%3D7"


def test_older_entries_are_a_page_away(own_platform: Platform) -> None:
    citizen = own_platform.citizen()
    for _ in range(PER_PAGE // 2 + 1):
        own_platform.code(own_platform.detail("ris.personal"), citizen=citizen)
    first = citizen.client.get("/record?lang=en").text
    assert first.count("<time ") == PER_PAGE
    older = re.search(r'href="(/record\?before=[\d-]+)"', first)
    assert older is not None
    second = citizen.client.get(older[1]).text
    assert second.count("<time ") == 3, "the opening of the account is the oldest"
    assert second.rindex("Your account was opened") > second.rindex("asked for your data")
    assert "Older entries" not in second
    assert "Newest entries" in second


def test_a_page_number_that_is_none_is_not_found(own_platform: Platform) -> None:
    citizen = own_platform.citizen()
    for value in ("x", "-1", "9" * 30, "٣-1", "", "7", "1-2-3", f"{'9' * 18}-1"):
        assert citizen.client.get("/record", query_string={"before": value}).status_code == 404
