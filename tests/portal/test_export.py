"""The record to take home: all of it, signed or as a table, nobody else's, and in files of a bounded size."""

import csv
import io
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from werkzeug.test import TestResponse

from authz_server.audit.models import AuditEntry
from authz_server.core import clock, documents, jose
from authz_server.core.documents import NotGenuine
from authz_server.database import db
from authz_server.portal import export
from authz_server.portal.export import harmless
from tests.bench.count import counting
from tests.portal.test_consents import agreed, decided
from tests.support.platform import CitizenBrowser, Platform
from tests.support.protocol import new_citizen, rows


def keys(platform: Platform) -> jose.KeySet:
    return jose.parse_public_keys(orjson.loads(platform.browser().get("/jwks").data))


def get(citizen: CitizenBrowser, kind: str, **query: str) -> TestResponse:
    answer = citizen.client.get(f"/record/export.{kind}", query_string={"lang": "en"} | query)
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "no-store"
    assert re.fullmatch(rf'attachment; filename="record-\d{{8}}\.{kind}"', answer.headers["Content-Disposition"])
    return answer


def claims(platform: Platform, citizen: CitizenBrowser, **query: str) -> dict[str, Any]:
    found = documents.verify(get(citizen, "json", **query).data, keys(platform), issuer=platform.settings.issuer)
    assert found.kind == "record"
    return dict(found.claims)


@pytest.fixture
def citizen(own_platform: Platform) -> CitizenBrowser:
    return own_platform.citizen()


def test_the_signed_record_has_every_entry_and_the_receipt_of_each_consent(
    own_platform: Platform, citizen: CitizenBrowser
) -> None:
    refused = decided(own_platform, citizen, "ris.personal", decision="deny")
    reference, (fetch,) = agreed(own_platform, citizen, "ris.personal")
    fetch.deliver()
    decided(own_platform, own_platform.citizen("citizen2"), "ris.personal")
    found = claims(own_platform, citizen)
    own = rows(own_platform, AuditEntry, citizen_id=1)
    in_order = sorted(own, key=lambda entry: (entry.at, entry.id), reverse=True)
    assert [(entry["at"], entry["event"]) for entry in found["entries"]] == [
        (entry.at.isoformat(), entry.event) for entry in in_order
    ]
    assert {entry["reference"] for entry in found["entries"]} == {None, refused, reference}
    assert [receipt["receipt_id"] for receipt in found["receipts"]] == [reference]
    receipt = orjson.loads(citizen.client.get(f"/consent/{reference}/receipt.json").data)["receipt"]
    assert found["receipts"][0] | {"iat": 0} == receipt | {"iat": 0}
    assert found["older_entries"] is False


def test_no_value_and_no_name_of_the_citizen_is_in_it(own_platform: Platform, citizen: CitizenBrowser) -> None:
    decided(own_platform, citizen, "ris.personal")
    for kind in ("json", "csv"):
        text = get(citizen, kind).text
        for value in ("測試市民甲", "A123456789", "citizen1@", "trace"):
            assert value not in text


def test_not_a_bit_of_a_receipt_or_a_record_can_be_changed(own_platform: Platform, citizen: CitizenBrowser) -> None:
    reference = decided(own_platform, citizen, "ris.personal")
    known = keys(own_platform)
    for octets in (citizen.client.get(f"/consent/{reference}/receipt.json").data, get(citizen, "json").data):
        documents.verify(octets, known)
        for place in range(0, len(octets), 15):  # tests/core/test_documents.py changes every bit of a smaller one
            changed = bytearray(octets)
            changed[place] ^= 1 << place % 8
            with pytest.raises(NotGenuine):
                documents.verify(bytes(changed), known)


def table(answer: TestResponse) -> list[list[str]]:
    assert answer.mimetype == "text/csv"
    assert answer.data.startswith(b"\xef\xbb\xbf")
    assert answer.data.endswith(b"\r\n")
    return list(csv.reader(io.StringIO(answer.data.decode("utf-8-sig"), newline="")))


def test_the_table_says_it_in_words_of_the_language_of_the_page(platform: Platform) -> None:
    citizen = platform.citizen(new_citizen(platform))
    reference, (fetch,) = agreed(platform, citizen, "ris.personal")
    fetch.deliver()
    heading, newest, *_ = table(get(citizen, "csv"))
    assert heading[:3] == ["Time (Taiwan)", "What happened", "By whom"]
    assert newest[1] == '"Personal household registration" was delivered to First Sample Bank'
    assert newest[5] == reference
    assert newest[-1] == "token.delivered"
    heading, newest, *_ = table(get(citizen, "csv", lang="zh-TW"))
    assert heading[0] == "時間（臺灣）"
    assert newest[1] == "「個人戶籍資料」已送達甲銀行"


@pytest.mark.parametrize("first", [*"=+-@\t\r\n＝＋－＠"])
def test_no_cell_is_taken_for_a_formula(first: str) -> None:
    assert harmless(f"{first}cmd") == f"'{first}cmd"
    assert harmless(f"a{first}") == f"a{first}"


def test_a_party_whose_name_is_a_formula_does_no_harm(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    citizen = platform.citizen()
    decided(platform, citizen, "ris.personal")
    monkeypatch.setattr(export, "client_name", lambda _: "=HYPERLINK(1)")
    cells = {cell for row in table(get(citizen, "csv")) for cell in row}
    assert "'=HYPERLINK(1)" in cells
    assert not [cell for cell in cells if cell.startswith("=")]


def test_a_period_holds_what_happened_in_it_and_no_more(own_platform: Platform, citizen: CitizenBrowser) -> None:
    early = decided(own_platform, citizen, "ris.personal", decision="deny")
    with clock.frozen(clock.now() + timedelta(days=3)):
        late = own_platform.citizen()
        reference = decided(own_platform, late, "ris.personal")
        today = clock.day_of(clock.now())
        found = claims(own_platform, late, **{"from": str(today), "to": str(today)})
        assert {entry["reference"] for entry in found["entries"]} == {reference}
        assert (found["from"], found["to"]) == (str(today), str(today))
        before = claims(own_platform, late, to=str(today - timedelta(days=1)))
        assert {entry["reference"] for entry in before["entries"]} == {None, early}
        assert before["receipts"] == []
        assert len(table(get(late, "csv", **{"from": str(today + timedelta(days=1))}))) == 1


@pytest.mark.parametrize("kind", ["json", "csv"])
def test_a_file_is_named_for_the_day_that_it_is_in_taiwan(own_platform: Platform, kind: str) -> None:
    with clock.frozen(datetime(2032, 2, 28, 16, 30, tzinfo=UTC)):
        answer = get(own_platform.citizen(), kind)
    assert answer.headers["Content-Disposition"] == f'attachment; filename="record-20320229.{kind}"'


def test_a_long_record_comes_in_parts_that_are_together_the_whole(
    own_platform: Platform, citizen: CitizenBrowser, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(4):
        decided(own_platform, citizen, "ris.personal")
    whole = claims(own_platform, citizen)
    monkeypatch.setattr(export, "PER_FILE", 7)
    page = citizen.client.get("/record/export?lang=en").text
    assert "It is a long record" in page
    links = [link.replace("&amp;", "&") for link in re.findall(r'href="(/record/export\.json[^"]*)"', page)]
    parts = [orjson.loads(citizen.client.get(link).data)["record"] for link in links]
    assert [entry for part in parts for entry in part["entries"]] == whole["entries"]
    assert [len(part["entries"]) for part in parts[:-1]] == [7] * (len(parts) - 1)
    assert [part["older_entries"] for part in parts] == [True] * (len(parts) - 1) + [False]
    receipts = [receipt["receipt_id"] for part in parts for receipt in part["receipts"]]
    assert sorted(receipts) == sorted(receipt["receipt_id"] for receipt in whole["receipts"])
    monkeypatch.setattr(export, "MOST_PARTS", 2)
    page = citizen.client.get("/record/export?lang=en").text
    assert page.count("/record/export.json") == 2
    assert "There is more." in page


def test_one_part_is_offered_as_all_of_it(own_platform: Platform, citizen: CitizenBrowser) -> None:
    decided(own_platform, citizen, "ris.personal", decision="deny")
    assert 'href="/record/export"' in citizen.client.get("/record?lang=en").text
    page = citizen.client.get("/record/export?lang=en").text
    assert "All of it" in page
    assert 'href="/record/export.json"' in page
    assert 'href="/record/export.csv"' in page
    narrowed = citizen.client.get("/record/export?from=2026-01-01&lang=en").text
    assert "The whole period" in narrowed
    assert 'href="/record/export.csv?from=2026-01-01"' in narrowed


def test_what_is_no_day_is_said_and_no_file_is_made(platform: Platform) -> None:
    citizen = platform.citizen()
    answer = citizen.client.get("/record/export?from=x&lang=en")
    assert answer.status_code == 400
    assert 'href="#from">Enter a day' in answer.text
    chinese = citizen.client.get("/record/export?from=x&lang=zh-TW").text
    assert ">錯誤：</span>" in chinese
    assert "Error" not in chinese
    for kind in ("json", "csv"):
        for query in ({"from": "x"}, {"to": "2026-02-30"}, {"before": "x"}):
            assert citizen.client.get(f"/record/export.{kind}", query_string=query).status_code == 404


@pytest.mark.parametrize("path", ["/record/export", "/consents"])
def test_a_period_that_ends_before_it_begins_is_said(platform: Platform, path: str) -> None:
    citizen = platform.citizen()
    answer = citizen.client.get(f"{path}?from=2026-11-23&to=2026-11-22&lang=en")
    assert answer.status_code == 400
    assert 'href="#to">The last day is before the first.' in answer.text
    assert citizen.client.get(f"{path}?from=2026-11-23&to=2026-11-23").status_code == 200


def test_a_file_costs_the_same_statements_whatever_is_in_it(own_platform: Platform, citizen: CitizenBrowser) -> None:
    with own_platform.app.app_context():
        engine = db.engine
    counted = []
    with clock.frozen(clock.now()):
        for _ in range(3):
            decided(own_platform, citizen, "ris.personal")
            get(citizen, "json")
            with counting(engine) as counts:
                get(citizen, "json")
            counted.append((counts.statements, counts.signatures))
    assert counted[0] == counted[1] == counted[2]
    assert counted[0][1] == 1
