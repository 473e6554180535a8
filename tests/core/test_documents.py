"""Files that people take home: genuine as they were written, and not with a single octet changed."""

from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from authz_server.core import documents, jose
from authz_server.core.documents import NotGenuine
from tests.core.keys import own_keys

ISSUER = "https://mydata.example"
CLAIMS: dict[str, Any] = {"iss": ISSUER, "iat": 1795406400, "text": "同意 “a” \\ \u2028", "list": [1, None, True, {}]}
KEYS = own_keys("ES256")
KEY = KEYS.get("ES256")
SEALED = documents.seal("receipt", CLAIMS, KEY)
PDF = documents.seal_pdf(
    b"%PDF-1.4\n\xe5\n%mydata-signature x\n%%EOF\n", {"iss": ISSUER, "iat": 1795406400, "receipt_id": "T1"}, KEY
)
TOKEN = orjson.loads(SEALED)["jws"].encode()


def cause(octets: bytes, **more: Any) -> str:
    with pytest.raises(NotGenuine) as wrong:
        documents.verify(octets, KEYS, **more)
    return wrong.value.cause


@pytest.mark.parametrize("octets", [SEALED, TOKEN], ids=["file", "signed part"])
def test_what_was_sealed_is_genuine(octets: bytes) -> None:
    found = documents.verify(octets, KEYS, issuer=ISSUER)
    assert (found.kind, found.claims, found.issuer) == ("receipt", CLAIMS, ISSUER)
    assert (found.kid, found.signed_at) == (KEY.kid, datetime(2026, 11, 23, 4, tzinfo=UTC))


def test_a_pdf_is_signed_in_its_last_line() -> None:
    found = documents.verify(PDF, KEYS, issuer=ISSUER)
    assert (found.kind, found.claims["receipt_id"], found.kid) == ("pdf", "T1", KEY.kid)
    assert PDF.count(b"\n") == 5
    assert len(PDF) - PDF.index(b"%%EOF") < 1024, "readers look for the end of the document there"
    for broken in (PDF[:-1], PDF + b"\n", PDF + PDF.splitlines()[-1] + b"\n", PDF.replace(b"\n", b"\r\n"), PDF[9:]):
        assert cause(broken) in {"form", "text"}
    assert cause(PDF.split(b" ")[-1].strip()) == "form", "without the document"
    assert cause(PDF[: PDF.index(b"%%EOF")] + b"\n%mydata-signature " + TOKEN + b"\n") == "form"
    assert cause(PDF, issuer="https://other.example") == "issuer"


# Every bit: also those that base64url leaves over in the last character of a signature, which many decoders skip.
@pytest.mark.parametrize("octets", [SEALED, TOKEN, PDF], ids=["file", "signed part", "pdf"])
def test_no_bit_can_be_changed(octets: bytes) -> None:
    for place in range(len(octets)):
        for bit in range(8):
            changed = bytearray(octets)
            changed[place] ^= 1 << bit
            with pytest.raises(NotGenuine):
                documents.verify(bytes(changed), KEYS)


@given(start=st.integers(0, len(SEALED)), length=st.integers(0, 9), put=st.binary(max_size=9))
@example(start=len(SEALED), length=0, put=b"\n")
@example(start=0, length=0, put=b" ")
@example(start=0, length=0, put="\ufeff".encode())
@example(start=1, length=0, put=b'"jws":"",')
def test_nothing_can_be_put_in_left_out_or_replaced(start: int, length: int, put: bytes) -> None:
    changed = SEALED[:start] + put + SEALED[start + length :]
    if changed != SEALED:
        with pytest.raises(NotGenuine):
            documents.verify(changed, KEYS)


def test_a_file_can_be_cut_off_nowhere() -> None:
    for length in range(len(SEALED)):
        assert cause(SEALED[:length])


def test_what_is_wrong_is_told_apart() -> None:
    other = own_keys("PS256")
    document = orjson.loads(SEALED)
    readable = document | {"receipt": CLAIMS | {"text": "x"}}
    assert cause(orjson.dumps(readable, option=orjson.OPT_INDENT_2)) == "text"
    assert cause(orjson.dumps(document)) == "text", "the same in another form is not what was written"
    assert (
        cause(orjson.dumps(document | {"jwks_uri": "https://evil.example/jwks"}, option=orjson.OPT_INDENT_2)) == "text"
    )
    assert cause(SEALED, issuer="https://other.example") == "issuer"
    assert cause(SEALED.replace(TOKEN, TOKEN[:-4] + b"AAAA")) == "signature"
    with pytest.raises(NotGenuine) as unknown:
        documents.verify(SEALED, other)
    assert unknown.value.cause == "key"
    for nothing in (b"", b"null", b"[]", b"{}", b'{"jws": 1}', b"\xff", b"a.b", b"{" * 5000):
        assert cause(nothing) == "form"


@pytest.mark.parametrize("typ", ["at+jwt", "JWT", None, "mydata-receipt+jwt;x"])
def test_another_thing_that_we_have_signed_is_no_document(typ: str | None) -> None:
    assert cause(jose.sign(CLAIMS, KEY, typ=typ).encode()) == "form"


def test_a_receipt_is_no_record() -> None:
    record = documents.seal("record", CLAIMS, KEY)
    assert documents.verify(record, KEYS).kind == "record"
    assert cause(record.replace(b'"record"', b'"receipt"', 1)) == "text"


@pytest.mark.parametrize("missing", ["iss", "iat"])
def test_without_issuer_or_time_it_is_none(missing: str) -> None:
    claims = {name: value for name, value in CLAIMS.items() if name != missing}
    assert cause(jose.sign(claims, KEY, typ="mydata-receipt+jwt").encode()) == "form"


@pytest.mark.parametrize("iat", [10**18, -(10**18)])
def test_a_time_that_no_clock_shows_is_none(iat: int) -> None:
    assert cause(jose.sign(CLAIMS | {"iat": iat}, KEY, typ="mydata-receipt+jwt").encode()) == "form"


def test_what_is_too_large_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "MAX_BYTES", len(SEALED) - 1)
    assert cause(SEALED) == "form"
