"""The desk of a counter reads barcodes as people bring them, and nothing else; and forgets what it has shown."""

import io
import json
import re
import secrets
import time
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import zxingcpp
from flask.testing import FlaskClient
from PIL import Image, ImageDraw, ImageFilter
from requests import RequestException

from authz_server.portal import barcode, pdf
from client_examples.bank_web.app import load_or_create_keys
from client_examples.bank_web.client import Fetch, Refused
from client_examples.bank_web.package import Package
from client_examples.counter_desk import app as desk_app
from client_examples.counter_desk.desk import Case, Clerk, Desk
from client_examples.counter_desk.reading import MAX_BYTES, NothingRead, read_upload
from client_examples.sandbox.scenes.counter import photographed

DIGITS = f"{secrets.randbits(128):040}"
Change = Callable[[Image.Image], Image.Image]


def drawn(picture: barcode.Picture, module: int) -> Image.Image:
    """The picture as pixels, with some of the page around it."""
    image = Image.new("L", (picture.width * module + 40, picture.height * module + 40), 255)
    whole = Image.new("1", (picture.width * module, picture.height * module), 1)
    picture.draw(ImageDraw.Draw(whole), 0, 0, module)
    image.paste(whole.convert("L"), (20, 20))
    return image


def halved(image: Image.Image) -> Image.Image:
    return image.resize((image.width // 2, image.height // 2), Image.Resampling.BILINEAR)


def turned(degrees: float) -> Change:
    return lambda image: image.rotate(degrees, Image.Resampling.BICUBIC, expand=True, fillcolor=255)


CHANGES: Mapping[str, Change] = {
    "as it is": lambda image: image,
    "half the size": halved,
    "turned by 4 degrees": turned(4),
    "turned by a quarter": turned(90),
    "upside down": turned(180),
    "slightly blurred": lambda image: image.filter(ImageFilter.GaussianBlur(1.5)),
    "dark": lambda image: image.point(lambda value: 20 + value // 3),
    "photographed": lambda image: Image.open(io.BytesIO(photographed(as_file(image)))),
}
KINDS: Mapping[str, Callable[[], Image.Image]] = {
    "QR code": lambda: drawn(barcode.qr(DIGITS), 8),
    "Code 128": lambda: drawn(barcode.bars(DIGITS), 4),
    "both, as saved": lambda: Image.open(io.BytesIO(barcode.png(DIGITS))).convert("L"),
}


def as_file(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    output = io.BytesIO()
    image.save(output, kind, **options)
    return output.getvalue()


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_decoder_that_is_not_ours_reads_every_kind_however_it_is_brought(kind: str, change: str) -> None:
    image = CHANGES[change](KINDS[kind]())
    assert DIGITS in {found.text for found in zxingcpp.read_barcodes(image.convert("L"))}
    assert read_upload(as_file(image)) == DIGITS
    assert read_upload(as_file(image.convert("RGB"), "JPEG", quality=60)) == DIGITS


def test_the_paper_is_read_too() -> None:
    pictures = [barcode.Printed(barcode.qr(DIGITS), module_pt=5), barcode.Printed(barcode.bars(DIGITS), module_pt=1.5)]
    part = pdf.Part(heading="有效到 18:51", facts=[("可輸入的號碼", "EX11-8GK8-4XAB9")], pictures=pictures)
    assert read_upload(pdf.render("條碼", "條碼裡沒有資料。", [part], foot="x", lang="zh-Hant-TW")) == DIGITS


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (lambda: b"", "neither PNG"),
        (lambda: b"%PDF-1.7 and nothing else", "neither PNG"),
        (lambda: b"\x89PNG\r\n\x1a\n" + b"x" * 100, "neither PNG"),
        (lambda: b"GIF89a" + b"x" * 100, "neither PNG"),
        (lambda: json.dumps({}).encode(), "neither PNG"),
        (lambda: as_file(Image.new("L", (400, 400), 255)), "no barcode"),
        (lambda: as_file(Image.new("1", (8000, 8000), 1)), "too large"),
        (lambda: b"x" * (21 * 1024 * 1024), "too large"),
    ],
    ids=["nothing", "broken PDF", "broken PNG", "GIF", "JSON", "white page", "very many pixels", "very many bytes"],
)
def test_what_is_no_barcode_is_told_apart(made: Callable[[], bytes], reason: str) -> None:
    with pytest.raises(NothingRead, match=reason):
        read_upload(made())


def test_of_two_barcodes_none_is_taken() -> None:
    one, other = drawn(barcode.qr(DIGITS), 6), drawn(barcode.qr("7" * 40), 6)
    both = Image.new("L", (one.width + other.width, one.height), 255)
    both.paste(one, (0, 0))
    both.paste(other, (one.width, 0))
    with pytest.raises(NothingRead, match="more than one"):
        read_upload(as_file(both))


def test_bars_that_are_read_wrongly_do_not_count_beside_the_qr_code() -> None:
    digits = "0025026972860015587499630649498564519900"
    photograph = photographed(barcode.png(digits))
    with Image.open(io.BytesIO(photograph)) as image:
        assert len({found.text for found in zxingcpp.read_barcodes(image)}) == 2
    assert read_upload(photograph) == digits


def test_what_else_is_in_the_picture_is_passed_over() -> None:
    poster = zxingcpp.create_barcode("https://example.org/", zxingcpp.BarcodeFormat.QRCode).to_image(scale=6)
    ours, other = drawn(barcode.qr(DIGITS), 6), Image.fromarray(poster)
    both = Image.new("L", (ours.width + other.width, max(ours.height, other.height)), 255)
    both.paste(ours, (0, 0))
    both.paste(other, (ours.width, 0))
    assert read_upload(as_file(both)) == DIGITS


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """A desk of which no platform is reachable."""
    keys = load_or_create_keys(tmp_path)
    return Desk("http://127.0.0.1:9", "an-office", "http://127.0.0.1:8008/callback", keys, counter="c", shown_s=300)


DOCUMENT = tomllib.loads(Path(desk_app.__file__).with_name("client.toml").read_text(encoding="utf-8"))
DOCUMENT["counters"]["c"] = DOCUMENT["counters"]["counter-3"]


@pytest.mark.parametrize("query", ["", "?state=x", "?state=%C3%A9&iss=http://127.0.0.1:9&code=x", "?state=%ED%A0%80"])
def test_an_answer_that_nobody_asked_for_is_a_page(desk: Desk, query: str) -> None:
    answer = desk_app.create_app(desk, DOCUMENT).test_client().get(f"/callback{query}")
    assert (answer.status_code, "answer to another request" in answer.text) == (400, True)


@pytest.mark.parametrize(("preferred", "tag"), [("en-US,en;q=0.9", "en"), ("zh-TW,zh;q=0.9,en;q=0.8", "zh-Hant-TW")])
def test_it_begins_in_the_language_of_the_browser(desk: Desk, preferred: str, tag: str) -> None:
    site = desk_app.create_app(desk, DOCUMENT).test_client()
    assert f'<html lang="{tag}">' in site.get("/", headers={"Accept-Language": preferred}).text
    assert '<html lang="en">' in site.get("/?lang=en").text
    assert '<html lang="en">' in site.get("/", headers={"Accept-Language": preferred}).text, "the choice is kept"


def test_the_next_clerk_finds_nothing_of_what_the_last_one_was_shown(desk: Desk) -> None:
    """Who did not sign out, in the same browser."""
    pages = desk_app.Pages(desk, DOCUMENT)
    with desk_app.create_app(desk, DOCUMENT).test_request_context():
        pages.clerks.begin(clerk := Clerk(name="W**"))
        case = Case("", clerk)
        case.ends_at = time.monotonic() + 60
        pages.cases.begin(case)
        assert pages.cases.current() is case
        with pytest.raises(RequestException):
            pages.sign_in()
        assert pages.cases.current() is None


@pytest.mark.parametrize("typed", ["EX11", "EX11-8GK8-4XA", "https://example.org/", "1" * 39, "1" * 41])
def test_what_can_be_no_barcode_is_not_sent_for_it_would_count_as_an_attempt(desk: Desk, typed: str) -> None:
    answer = unnamed(desk).post("/barcode", data={"barcode": typed})
    assert (answer.status_code, "does not count as a try" in answer.text) == (400, True)
    assert f"This is what was read or typed: {typed}</p>" in answer.text


def test_a_clerk_compares_what_was_typed_with_the_barcode_and_the_field_is_empty_for_the_next(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_of: Any) -> Case:
        raise Refused("invalid_grant, unknown")

    monkeypatch.setattr(desk, "announce", refuse)
    answer = unnamed(desk).post("/barcode", data={"barcode": " EX11-8GK8-4XAB9"})
    assert "This is what was read or typed: EX11-8GK8-4XAB9</p>" in answer.text
    assert answer.text.count("EX11-8GK8-4XAB9") == 1


@pytest.mark.parametrize("kind", ["of too many pixels", "of too many octets"])
def test_a_clerk_is_told_that_a_file_is_too_large_and_not_to_send_it_again(desk: Desk, kind: str) -> None:
    content = as_file(Image.new("1", (8000, 8000), 1)) if kind == "of too many pixels" else b"x"
    length = {} if kind == "of too many pixels" else {"CONTENT_LENGTH": str(MAX_BYTES + 2000)}  # as it says of itself
    file = {"file": (io.BytesIO(content), "photo.png")}
    answer = unnamed(desk).post("/barcode", data=file, environ_overrides=length)
    assert (answer.status_code, "20 MB and 60 million pixels at most" in answer.text) == (400, True)


@pytest.mark.parametrize("typed", ["1" * 40, "mdv_" + "1" * 40, "EX11-8GK8-4XAB9", "ex11 8gk8 4xab9", "ex118gk84xab9"])
def test_a_whole_barcode_is_sent_however_it_was_typed(desk: Desk, typed: str) -> None:
    answer = unnamed(desk).post("/barcode", data={"barcode": typed})
    assert "ConnectionError" in answer.text  # it asked the platform, which is not there


@pytest.mark.parametrize("code", ["", "1234", "1234567", "12345x"])
def test_a_part_of_a_code_is_not_sent_for_it_would_count_as_an_attempt(desk: Desk, code: str) -> None:
    site = unnamed(desk, begun=True)
    answer = site.post("/ask", data={"code": code, "same": "1"})
    assert (answer.status_code, "does not count as a try" in answer.text) == (400, True)
    assert 'value="1" checked' in answer.text, "what was confirmed need not be confirmed again"
    assert "ConnectionError" in site.post("/ask", data={"code": "123 456", "same": "1"}).text


def test_a_code_that_was_typed_is_kept_while_the_person_is_not_confirmed_yet(desk: Desk) -> None:
    assert 'value="123456"' in unnamed(desk, begun=True).post("/ask", data={"code": "123456"}).text


@pytest.mark.parametrize(
    ("lang", "what", "text"),
    [
        ("en", "Told to the citizen", "“To prove your registered address”"),
        ("zh", "告知民眾的用途", "「證明您的戶籍地址」"),
    ],
)
def test_the_clerk_reads_the_purpose_as_what_somebody_else_was_told(
    desk: Desk, lang: str, what: str, text: str
) -> None:
    assert f"<dt>{what}</dt><dd>{text}</dd>" in unnamed(desk, begun=True).get(f"/ask?lang={lang}").text


@pytest.mark.parametrize(
    ("lang", "year", "cars"),
    [
        ("en", "2026 (ROC year 115)", "Plate A-1; Year 2021 (ROC year 110)<br>Plate B-2; Year 2022 (ROC year 111)"),
        ("zh", "民國 115 年", "車牌 A-1；年度 民國 110 年<br>車牌 B-2；年度 民國 111 年"),
    ],
)
def test_amounts_years_and_lists_are_shown_as_people_write_them(desk: Desk, lang: str, year: str, cars: str) -> None:
    names = {
        "tax_year": ("年度", "Tax year"),
        "total": ("總額", "Total"),
        "vehicles": ("車輛", "Cars"),
        "note": ("註", "Note"),
    }
    members = {"plate": {"zh": "車牌", "en": "Plate"}, "year": {"zh": "年度", "en": "Year"}}
    vehicles = [{"plate": "A-1", "year": "110"}, {"plate": "B-2", "year": "111"}]
    data = {"tax_year": "115", "total": 413000, "vehicles": vehicles, "note": "115"}
    fields = [{"id": name, "name": {"zh": zh, "en": en}} for name, (zh, en) in names.items()]
    dataset = {"name": {"zh": "財產資料", "en": "Property"}, "fields": fields, "members": members}
    fetch = Fetch({"dataset": "fia.property"}, "done", dataset=dataset, package=Package({}, data, {}, b""))
    site = unnamed(desk, begun=True, fetches=[fetch])
    shown = re.findall("<dd>(.*?)</dd>", site.get(f"/data?lang={lang}").text)
    assert shown == [year, "413,000", cars, "115"]


def unnamed(desk: Desk, *, begun: bool = False, fetches: Sequence[Fetch] = ()) -> FlaskClient:
    """The desk of an office that names no clerks, in English; begun: with somebody at the counter."""
    pages = []

    class Noting(desk_app.Pages):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            pages.append(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(desk_app, "Pages", Noting)
        site = desk_app.create_app(desk, DOCUMENT | {"named_clerks": False}).test_client()
    site.get("/?lang=en")
    if begun:
        case = Case(DIGITS, Clerk(), told={"name": "W**", "purpose": "proof-of-address", "expires_in": 60})
        case.ends_at = time.monotonic() + 60
        case.journey.fetches = [*fetches]
        pages[0].cases._cases["x"] = case
        with site.session_transaction() as kept:
            kept["case"] = "x"
    return site
