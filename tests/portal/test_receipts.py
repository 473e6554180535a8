"""Receipts: everything that was read and agreed to, verifiable by anybody, readable in the language of the consent."""

import io
import re
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from hashlib import sha256
from typing import Any

import orjson
import pytest
from pypdf import PdfReader
from sqlalchemy import select
from werkzeug.test import TestResponse

from authz_server.consent.models import Consent
from authz_server.core import jose
from authz_server.core.jose import BadToken
from authz_server.identity.methods.certificate_proof import ON_CARD
from authz_server.identity.methods.registry import METHODS
from authz_server.portal import pdf
from authz_server.portal.receipt_pdf import PROOFS
from tests.support.platform import Platform, hidden_fields
from tests.support.protocol import rows, writing

# What stands on the page and is no sentence: names for programs, and the text of a control that opens a list.
NO_SENTENCE = {"id", "position", "summary"}


def receipt(platform: Platform, kind: str, lang: str = "en") -> TestResponse:
    """The receipt of a consent to something of every kind, decided in this language and asked for in English."""
    citizen = platform.citizen()
    citizen.client.get(f"/?lang={lang}")
    premiums = platform.detail("nhi.premiums", period="2025-01/2025-06")
    optional = {**premiums, "fields_required": [], "fields_optional": [*premiums["fields_required"], "period_from"]}
    details = [
        platform.detail("ris.personal", ("birth_place",)),
        platform.detail("fia.income", tax_year="113"),
        optional,
    ]
    page = citizen.authorize(platform.bank.client_id, platform.bank.push(*details))
    reference = re.search(r"T[0-9A-Z]{4}-[0-9A-Z]{4}-[0-9A-Z]{4}", page.text)
    assert reference is not None
    citizen.decide(page, optional=("2/period_from",))
    answer = citizen.client.get(f"/consent/{reference[0]}/receipt.{kind}?lang=en")
    assert answer.status_code == 200, answer.text
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Content-Disposition"] == f'attachment; filename="receipt-{reference[0]}.{kind}"'
    return answer


def consent_of(platform: Platform, reference: str) -> Any:
    (consent,) = rows(platform, Consent, transaction_id=reference)
    return consent


def leaves(value: Any) -> Iterator[str]:
    """Every sentence of a notice."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        unused = {"more_of"} if not value.get("optional_fields") else set()
        for name, part in value.items():
            if name not in NO_SENTENCE | unused:
                yield from leaves(part)
    elif isinstance(value, list):
        for part in value:
            yield from leaves(part)


def text_of(answer: TestResponse) -> str:
    """The text of a PDF without the spaces, for lines are broken anywhere."""
    pages = PdfReader(io.BytesIO(answer.data)).pages
    return re.sub(r"\s", "", "".join(page.extract_text() for page in pages))


def test_the_signed_form_says_what_the_readable_one_says(platform: Platform) -> None:
    answer = receipt(platform, "json")
    assert answer.mimetype == "application/json"
    document = orjson.loads(answer.data)
    keys = jose.parse_public_keys(orjson.loads(platform.browser().get("/jwks").data))
    verified = jose.verify(
        document["jws"], keys, algorithms=("ES256",), typ="mydata-receipt+jwt", max_bytes=len(document["jws"])
    )
    assert verified.claims == document["receipt"]
    assert document["receipt"]["iss"] == platform.settings.issuer
    changed = document["jws"].replace(".", ".A", 1)
    with pytest.raises(BadToken):
        jose.verify(changed, keys, algorithms=("ES256",), typ="mydata-receipt+jwt", max_bytes=len(changed))


def test_it_can_be_taken_for_no_other_token_of_ours(platform: Platform) -> None:
    signed = orjson.loads(receipt(platform, "json").data)["jws"]
    claims = jose.unverified(signed, max_bytes=len(signed)).claims
    assert not {"sub", "aud", "exp"} & set(claims)
    pushed = platform.bank.post("/par", platform.bank.parameters(id_token_hint=signed))
    assert pushed.status_code == 400


def test_it_is_the_consent_as_it_was_given(platform: Platform) -> None:
    claims = orjson.loads(receipt(platform, "json").data)["receipt"]
    consent = consent_of(platform, claims["receipt_id"])
    assert claims["record_id"] == consent.id
    (purpose,) = claims["pii_processing"]["purposes"]
    assert [item["dataset"] for item in purpose["datasets"]] == ["ris.personal", "fia.income", "nhi.premiums"]
    for item, granted in zip(purpose["datasets"], consent.granted, strict=True):
        assert item["parameters"] == granted["parameters"]
        assert item["recipient_key_thumbprint"] == platform.bank.encryption_key.thumbprint
    fields = [f"{granted['dataset']}/{field}" for granted in consent.granted for field in granted["fields"]]
    assert [item["pii_attribute_id"] for item in purpose["pii_information"]] == fields
    assert purpose["retention_period"] == {"use_until": str(consent.use_until), "erase_by": str(consent.erase_by)}
    assert (purpose["purpose_id"], purpose["purpose"]) == ("loan", "To decide on your loan application")
    recipient = claims["party_identification"][0]
    assert recipient["names"] == {"zh": "甲銀行", "en": "First Sample Bank"}
    assert (recipient["registered_id"], recipient["party_phone"]) == ("00000000", "02-0000-0000")
    (event,) = claims["event"]
    assert (event["level"], event["amr"], event["validity_duration"]) == (1, ["pwd", "otp"], "P30D")
    assert event["event_time"] == consent.decided_at.isoformat(timespec="seconds")


# ISO/IEC TS 27560:2023, section 6.3: what each part has to have. Its names, and where ours is a list of them.
MANDATORY = {
    "": {"schema_version", "receipt_id", "record_id", "pii_principal_id", "pii_processing", "party_identification"}
    | {"event"},
    "pii_processing": {"privacy_notice", "language", "purposes"},
    "purposes": {"purpose", "pii_information", "pii_controllers", "storage_locations", "retention_period"}
    | {"jurisdiction", "recipient_third_parties", "withdrawal_method"},
    "pii_information": {"pii_type"},
    "party_identification": {"party_id", "party_address", "party_name", "party_contact", "party_type"},
    "event": {"event_time", "validity_duration", "entity_id", "event_type", "event_state"},
}


def test_it_has_every_member_that_the_standard_makes_mandatory(platform: Platform) -> None:
    claims = orjson.loads(receipt(platform, "json").data)["receipt"]
    processing = claims["pii_processing"]
    (purpose,) = processing["purposes"]
    parts = {
        "": [claims],
        "pii_processing": [processing],
        "purposes": processing["purposes"],
        "pii_information": purpose["pii_information"],
        "party_identification": claims["party_identification"],
        "event": claims["event"],
    }
    for name, found in parts.items():
        assert found
        for part in found:
            assert set(part) >= MANDATORY[name], name
    parties = {party["party_id"] for party in claims["party_identification"]}
    named = {*purpose["pii_controllers"], *(item["source"] for item in purpose["datasets"]), claims["iss"]}
    assert named <= parties, "whoever is named is among the parties"


def test_it_says_which_fields_could_be_left_out_and_which_are_sensitive(platform: Platform) -> None:
    claims = orjson.loads(receipt(platform, "json").data)["receipt"]
    (purpose,) = claims["pii_processing"]["purposes"]
    found = {item["pii_attribute_id"]: item for item in purpose["pii_information"]}
    assert not found["ris.personal/national_id"]["pii_optional"]
    assert found["ris.personal/national_id"]["sensitive_pii_category"]
    assert not found["ris.personal/national_id"]["special_pii_category"]
    assert found["nhi.premiums/period_from"]["pii_optional"]


def test_a_consent_that_was_taken_back_says_so(platform: Platform) -> None:
    document = orjson.loads(receipt(platform, "json").data)
    reference, citizen = document["receipt"]["receipt_id"], platform.citizen()
    form = hidden_fields(citizen.client.get(f"/consent/{reference}/stop").text)
    citizen.client.post(f"/consent/{reference}/stop", data=form)
    events = citizen.client.get(f"/consent/{reference}/receipt.json").get_json()["receipt"]["event"]
    assert [event["event_state"] for event in events] == ["given", "withdrawn"]
    assert events[0]["entity_id"] == events[1]["entity_id"]


def test_the_digest_of_what_was_read_can_be_computed_again(platform: Platform) -> None:
    notice = orjson.loads(receipt(platform, "json", "zh-TW").data)["receipt"]["pii_processing"]["privacy_notice"]
    expected = notice.pop("sha256")
    octets = orjson.dumps(notice, option=orjson.OPT_SORT_KEYS)
    assert urlsafe_b64encode(sha256(octets).digest()).rstrip(b"=").decode() == expected


def test_it_names_nobody_and_holds_no_secret(platform: Platform) -> None:
    text = receipt(platform, "json").text
    for value in ("測試市民甲", "A123456789", "citizen1", '"x":', '"y":'):
        assert value not in text


@pytest.mark.parametrize(
    ("lang", "heading"), [("zh-TW", "同意收據"), ("en", "Consent receipt")], ids=["Chinese", "English"]
)
def test_the_pdf_has_every_sentence_in_the_language_of_the_consent(platform: Platform, lang: str, heading: str) -> None:
    answer = receipt(platform, "pdf", lang)
    assert answer.mimetype == "application/pdf"
    text = text_of(answer)
    assert re.sub(r"\s", "", heading) in text
    reference = re.search(r"T[0-9A-Z]{4}-[0-9A-Z]{4}-[0-9A-Z]{4}", text)
    assert reference is not None
    consent = consent_of(platform, reference[0])
    assert consent.notice_locale == lang
    missing = [line for line in leaves(consent.notice["content"]) if re.sub(r"\s", "", line) not in text]
    assert not missing
    assert consent.notice_sha256 in text
    assert ("密碼、一次性驗證碼" if lang == "zh-TW" else "password,one-timecode") in text
    assert "mfa" not in text


def test_a_notice_from_before_there_were_reasons_has_its_pdf_all_the_same(platform: Platform) -> None:
    reference = re.search(r"T[0-9A-Z]{4}-[0-9A-Z]{4}-[0-9A-Z]{4}", text_of(receipt(platform, "pdf")))
    assert reference is not None
    with writing(platform) as session:
        consent = session.scalars(select(Consent).where(Consent.transaction_id == reference[0])).one()
        notice = orjson.loads(orjson.dumps(consent.notice))
        for part in ("needed", "optional"):
            for item in notice["content"][part]["datasets"]:
                assert item.pop("why")
        consent.notice = notice
    answer = platform.citizen().client.get(f"/consent/{reference[0]}/receipt.pdf")
    assert answer.status_code == 200
    assert "To check" not in text_of(answer)


def test_the_pdf_brings_its_letters_along_and_names_its_language(platform: Platform) -> None:
    answer = receipt(platform, "pdf", "zh-TW")
    reader = PdfReader(io.BytesIO(answer.data))
    root: Any = reader.trailer["/Root"]
    assert root["/Lang"] == "zh-Hant-TW"
    fonts = [font.get_object() for page in reader.pages for font in page["/Resources"]["/Font"].values()]  # type: ignore[index]
    assert fonts
    for font in fonts:
        assert len(font["/FontDescriptor"]["/FontFile2"].get_data()) > 1000
    assert len(answer.data) < 300_000


def test_the_same_texts_give_the_same_file_and_markup_stays_text() -> None:
    part = pdf.Part(heading="A < B & <b>C</b>", facts=[("甲 & 乙", "<丙>")], sentences=["x" * 3000])
    first, second = (pdf.render("T", "L", [part], foot="F", lang="en") for _ in range(2))
    assert first == second
    text = PdfReader(io.BytesIO(first)).pages[0].extract_text()
    assert "A < B & <b>C</b>" in text
    assert "<丙>" in text


def test_every_way_to_prove_who_one_is_has_words() -> None:
    named = {value for method in METHODS for value in method.amr} | {*ON_CARD, "swk"}
    assert named - {"mfa"} <= set(PROOFS)
