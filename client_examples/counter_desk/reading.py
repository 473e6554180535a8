"""What a picture, a PDF or a line of text from a scanner says. Real photographs: skewed, blurred, badly lit."""

import io
import re
from collections.abc import Iterator
from typing import Any

import pypdfium2
import zxingcpp
from PIL import Image, ImageFilter, ImageOps

MAX_BYTES = 20 * 1024 * 1024
MAX_PIXELS = 60_000_000  # what a telephone makes has some 50 million; more is a decompression bomb
MAX_PAGES = 5
PDF_SCALE = 3  # 216 dpi
SIDE = 2200  # a larger picture has no more to say, and takes longer
SEPARATORS = re.compile(r"[\s-]")  # \s also has the wide space of an input method
WHOLE = re.compile(r"(mdv_)?[0-9]{40}|[0-9a-z]{13}", re.IGNORECASE)
FORMATS = zxingcpp.BarcodeFormats([zxingcpp.BarcodeFormat.QRCode, zxingcpp.BarcodeFormat.Code128])


class NothingRead(Exception):
    """No barcode, two different ones, a part of one, or no picture at all."""


def whole(text: str) -> str:
    """What can be a barcode, as it was scanned or typed.  Raises: NothingRead: what can't, for the platform would count
    it as an attempt, and after some of them lock the counter."""
    if not text:
        raise NothingRead("nothing was given")
    if not is_whole(text):
        raise NothingRead("not a whole barcode")
    return text


def is_whole(text: str) -> bool:
    """Whether it has the form of a barcode: digits for scanners, or characters for people."""
    return WHOLE.fullmatch(SEPARATORS.sub("", text)) is not None


def read_upload(content: bytes) -> str:
    """The text of the barcode in a PNG, JPEG or PDF.  Raises: NothingRead."""
    if len(content) > MAX_BYTES:
        raise NothingRead("too large")
    try:
        pictures = _pages(content) if content.startswith(b"%PDF-") else _picture(content)
        for picture in pictures:
            if found := read_picture(picture):
                return found
    except (OSError, ValueError, SyntaxError, pypdfium2.PdfiumError, Image.DecompressionBombError) as error:
        raise NothingRead("neither PNG, JPEG nor PDF") from error
    raise NothingRead("no barcode in it")


def read_picture(picture: Image.Image) -> str | None:
    """The text of the one barcode in a picture, None if there is none.  Raises: NothingRead: there are two."""
    for attempt in _attempts(picture):
        found = zxingcpp.read_barcodes(attempt, formats=FORMATS)
        whole_ones = [one for one in found if is_whole(one.text)]  # a poster's code is no barcode, nor is a part of one
        # A QR code corrects its errors; bars out of focus are read twice now and then, once wrongly.
        surest = [one for one in whole_ones if one.format == zxingcpp.BarcodeFormat.QRCode] or whole_ones
        texts = {one.text for one in surest}
        if len(texts) > 1:
            raise NothingRead("more than one barcode in it")
        if texts:
            return str(texts.pop())
    return None


def _attempts(picture: Image.Image) -> Iterator[Image.Image]:
    """The picture as it is, then as it might be read better."""
    grey = ImageOps.exif_transpose(picture).convert("L")
    grey.thumbnail((SIDE, SIDE))
    yield grey
    even = ImageOps.autocontrast(grey, cutoff=2)
    yield even
    yield even.filter(ImageFilter.UnsharpMask(radius=3, percent=250))
    if max(grey.size) < SIDE // 2:
        yield even.resize((grey.width * 2, grey.height * 2), Image.Resampling.LANCZOS)


def _picture(content: bytes) -> Iterator[Image.Image]:
    with Image.open(io.BytesIO(content), formats=["PNG", "JPEG"]) as picture:
        if picture.width * picture.height > MAX_PIXELS:
            raise NothingRead("too large")
        yield picture


def _pages(content: bytes) -> Iterator[Image.Image]:
    document: Any = pypdfium2.PdfDocument(content)  # type: ignore[no-untyped-call]  # annotated in part
    try:
        for number in range(min(len(document), MAX_PAGES)):
            page = document[number]
            # A page may call itself a kilometre wide.
            scale = min(PDF_SCALE, 2 * SIDE / max(page.get_size()))
            yield page.render(scale=scale).to_pil()
    finally:
        document.close()
