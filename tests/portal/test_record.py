"""The citizen's own record: everything that happened, newest first, no values, nobody else's."""

import re

from sqlalchemy import delete
from sqlalchemy.orm import Session

from authz_server.audit.models import AuditEntry
from authz_server.consent.anomalies import KINDS
from authz_server.notices.models import Notice
from authz_server.portal.record import PER_PAGE
from authz_server.portal.record_wording import SENTENCES
from tests.support.platform import Platform
from tests.support.protocol import Fetch
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
