"""The page on which anybody checks a receipt or a record."""

import io
import re
import tempfile
from collections.abc import Mapping
from typing import Any

import orjson
import pytest
from flask.testing import FlaskClient
from werkzeug.datastructures import FileStorage
from werkzeug.test import TestResponse, stream_encode_multipart

from authz_server.clients import own
from authz_server.core import clock, documents
from authz_server.database import db
from authz_server.portal import verify
from tests.bench.count import counting
from tests.portal.test_consents import decided
from tests.portal.test_export import get
from tests.support.platform import CitizenBrowser, Platform, hidden_fields, new_key

GOOD, BAD = "verdict verdict-good", "verdict verdict-bad"


def receipt(platform: Platform, lang: str = "en") -> bytes:
    citizen = platform.citizen()
    citizen.client.get(f"/?lang={lang}")
    return saved(platform, citizen)


def saved(platform: Platform, citizen: CitizenBrowser, kind: str = "json") -> bytes:
    answer = citizen.client.get(f"/consent/{decided(platform, citizen, 'ris.personal')}/receipt.{kind}")
    assert answer.status_code == 200
    return bytes(answer.data)


def post(client: FlaskClient, form: Mapping[str, Any]) -> TestResponse:
    """Send a form as a browser does; the client by itself would put a large one into a file on the disk."""
    body, _, boundary = stream_encode_multipart(form, use_tempfile=False)
    return client.post("/verify", data=body.read(), content_type=f"multipart/form-data; boundary={boundary}")


def send(
    platform: Platform, octets: bytes | None = None, client: FlaskClient | None = None, **fields: Any
) -> TestResponse:
    """Send a file, or what is in the fields."""
    client = client or platform.browser()
    form = hidden_fields(client.get("/verify?lang=en").text) | fields
    if octets is not None:
        form["document"] = FileStorage(io.BytesIO(octets), "receipt.json")
    return post(client, form)


def test_a_stranger_sees_what_a_genuine_receipt_says(platform: Platform) -> None:
    octets = receipt(platform)
    answer = send(platform, octets)
    assert answer.status_code == 200
    page = " ".join(answer.text.split())
    claims = orjson.loads(octets)["receipt"]
    for words in (
        GOOD,
        "Receipt of a consent",
        claims["receipt_id"],
        "First Sample Bank",
        "To decide on your loan application",
        "Personal household registration",
        platform.settings.issuer,
        "Signed on",
    ):
        assert words in page
    assert page.startswith("<!doctype html>")
    assert "<title>Genuine: Check a receipt" in page


@pytest.mark.parametrize(
    ("spoken", "read", "said"),
    [
        ("zh-TW", "en", ("First Sample Bank", "To decide on your loan application", "Personal household registration")),
        ("en", "zh-TW", ("甲銀行", "審核您的信用貸款申請", "個人戶籍資料")),
    ],
)
def test_a_receipt_in_the_other_language_is_told_in_that_of_the_page(
    platform: Platform, spoken: str, read: str, said: tuple[str, ...]
) -> None:
    octets, client = receipt(platform, spoken), platform.browser()
    client.get(f"/verify?lang={read}")
    form = hidden_fields(client.get("/verify").text) | {"document": FileStorage(io.BytesIO(octets), "receipt.json")}
    page = post(client, form).text
    assert GOOD in page
    for words in said:
        assert f"<dd>{words}</dd>" in page


def test_what_is_registered_otherwise_by_now_is_told_as_it_was_signed(platform: Platform) -> None:
    claims = orjson.loads(receipt(platform, "zh-TW"))["receipt"]
    claims["party_identification"][0]["party_name"] = "前身銀行"
    (purpose,) = claims["pii_processing"]["purposes"]
    purpose["purpose"], purpose["datasets"][0]["name"] = "以前的目的", "以前的資料"
    keys = platform.app.extensions["mydata"].keys
    page = send(platform, documents.seal("receipt", claims, keys.get("ES256"))).text
    for words in ("前身銀行", "以前的目的", "以前的資料"):
        assert f"<dd>{words}</dd>" in page


def test_the_script_that_checks_packages_finds_the_names_of_recipients_in_one_list_for_all(
    platform: Platform,
) -> None:
    """So nobody learns which of them a package is for; and whoever checks none does not load it."""
    listed = platform.browser().get("/recipients")
    names = listed.get_json()
    assert names[platform.bank.client_id] == {"zh": "甲銀行", "en": "First Sample Bank"}
    assert platform.proxy.client_id not in names
    assert own.CLIENT_ID not in names
    assert listed.headers["Cache-Control"] == "public, max-age=300"
    again = platform.browser().get("/recipients", headers={"If-None-Match": listed.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")
    assert "Set-Cookie" not in listed.headers


def test_the_page_does_not_grow_with_the_clients(platform: Platform) -> None:
    page = platform.browser().get("/verify?lang=en").text
    assert "First Sample Bank" not in page
    assert page.count('data-name="client:') == 1
    assert '<p data-name="client:mydata-download">The browser that it was downloaded in</p>' in page


def test_a_record_is_known_for_one(platform: Platform) -> None:
    receipt(platform)
    page = send(platform, get(platform.citizen(), "json").data).text
    assert GOOD in page
    assert "Record of one citizen" in page
    assert "<dt>Receipts in it</dt>" in page


def test_of_a_pdf_it_says_that_what_is_read_in_it_was_signed(platform: Platform) -> None:
    octets = saved(platform, platform.citizen(), "pdf")
    page = send(platform, octets).text
    assert GOOD in page
    assert "what you read in it is what was signed" in page
    changed = bytearray(octets)
    changed[len(octets) // 2] ^= 1
    page = send(platform, bytes(changed)).text
    assert BAD in page
    assert "The part to read is not what was signed." in page


@pytest.mark.parametrize("lang", ["zh-TW", "en"])
def test_what_was_pasted_counts_as_it_was_before_the_browser_had_it(platform: Platform, lang: str) -> None:
    text = receipt(platform, lang).decode()
    assert GOOD in send(platform, text="\r\n " + text.replace("\n", "\r\n") + "\r\n").text
    assert GOOD in send(platform, text=orjson.loads(text)["jws"]).text
    assert BAD in send(platform, text=text.replace("Bank", "Bonk").replace("銀行", "銀樓")).text


def test_what_is_not_genuine_is_said_precisely(platform: Platform) -> None:
    octets = receipt(platform)
    document = orjson.loads(octets)
    foreign = documents.seal("receipt", document["receipt"], new_key())
    services = platform.app.extensions["mydata"]
    another = documents.seal(
        "receipt", document["receipt"] | {"iss": "https://other.example"}, services.keys.get("ES256")
    )
    for sent, words in {
        b"hello": "It is not a receipt or a record",
        octets[:-20]: "or a part of it is missing",
        octets.replace(b"First Sample Bank", b"Fifth Sample Bank"): "The part to read is not what was signed.",
        octets.replace(document["jws"][-8:].encode(), b"AAAAAAAA"): "Its signature is wrong",
        foreign: "a key that this platform has not published",
        another: "It is signed for another platform.",
        b"\0\xff" * 20: "It is not a receipt or a record",
    }.items():
        answer = send(platform, sent)
        assert answer.status_code == 200
        assert BAD in answer.text
        assert words in answer.text
        assert GOOD not in answer.text


def test_no_heading_stands_there_before_there_is_something_to_say(platform: Platform) -> None:
    assert not re.search(r"<(h[1-6])[^>]*>\s*</\1>", platform.browser().get("/verify").text)


def test_without_anything_to_check_it_asks_for_something(platform: Platform) -> None:
    answer = send(platform)
    assert answer.status_code == 400
    assert "Choose a file, or paste its text." in answer.text
    assert send(platform, b"").status_code == 400


def test_what_is_sent_never_gets_near_the_database(platform: Platform) -> None:
    octets, client = receipt(platform), platform.browser()
    with clock.frozen(clock.now()), platform.app.app_context():
        client.get("/verify")  # so that it is known by now who is registered
        with counting(db.engine) as counts:
            assert GOOD in send(platform, octets, client).text
            assert BAD in send(platform, b"x", client).text
    assert counts.statements == 0


def test_a_form_of_somebody_else_is_refused(platform: Platform) -> None:
    assert send(platform, receipt(platform), csrf="x").status_code == 403
    assert platform.browser().post("/verify", data={"text": "x"}).status_code == 403


def test_the_language_can_be_switched_with_what_was_pasted(platform: Platform) -> None:
    text = receipt(platform).decode()
    page = send(platform, text=text, lang="zh-TW").text
    assert "一字不差" in page
    assert "First Sample Bank" in page
    assert send(platform, lang="zh-TW").status_code == 200


def test_a_large_file_is_taken_in_memory_and_a_larger_one_is_not_taken(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    def on_disk(*_: object, **__: object) -> None:
        raise AssertionError("a temporary file")

    for name in ("TemporaryFile", "SpooledTemporaryFile", "NamedTemporaryFile", "mkstemp"):
        monkeypatch.setattr(tempfile, name, on_disk)
    client = platform.browser()
    fields = hidden_fields(client.get("/verify?lang=en").text)

    def of_size(size: int) -> TestResponse:
        return post(client, fields | {"document": FileStorage(io.BytesIO(b"x" * size), "x.json")})

    assert BAD in of_size(verify.MAX_BYTES - 2000).text
    assert of_size(verify.MAX_BYTES).status_code == 413
    assert platform.browser().post("/sign-in", data={"username": "x" * 100_000}).status_code == 413


def test_a_long_text_is_checked_and_not_repeated(platform: Platform) -> None:
    page = send(platform, text="x" * (verify.MOST_REPEATED + 1)).text
    assert BAD in page
    assert "xxx" not in page


def test_what_it_says_can_hold_no_markup(platform: Platform) -> None:
    document = orjson.loads(receipt(platform))["receipt"]
    document["party_identification"][0]["party_name"] = "<script>alert(1)</script>"
    services = platform.app.extensions["mydata"]
    page = send(platform, documents.seal("receipt", document, services.keys.get("ES256"))).text
    assert GOOD in page
    assert "<script>alert" not in page
