"""A plain PDF for people: a heading, and parts of facts and sentences, with Han and Latin letters side by side.

The letters that a document uses travel in it, so that it looks alike in every reader and in fifty years: Noto Sans TC
of Google Fonts, v39, unchanged, in `typeface/`. It has 20 745 characters, those of Big5 among them but for ≒ and ˍ.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any, Final
from xml.sax.saxutils import escape

from reportlab.lib.colors import HexColor
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import Flowable, Paragraph, SimpleDocTemplate, Spacer, Table, TableStyle

FONT: Final = "NotoSansTC"
FONT_FILE: Final = Path(__file__).with_name("typeface") / "NotoSansTC-Regular.ttf"
ONE_AT_A_TIME: Final = Lock()  # as the documentation of TTFont asks for
POINT: Final = "•"  # begins a line that belongs to the one above it
MARGIN: Final = 20 * mm
INK_SOFT: Final = HexColor("#4d5659")


@dataclass(frozen=True, kw_only=True)
class Part:
    """A heading with facts (pairs of name and value) in two columns, pictures, then sentences, each a paragraph."""

    heading: str
    facts: Sequence[tuple[str, str]] = ()
    sentences: Sequence[str] = ()
    pictures: Sequence[Flowable] = ()


def render(title: str, lead: str, parts: Sequence[Part], *, foot: str, lang: str) -> bytes:
    """Lay a document out on A4 pages. The same texts give the same octets. Args: foot: stands below every page."""
    with ONE_AT_A_TIME:
        _load_font()
        return _render(title, lead, parts, foot, lang)


@cache
def _load_font() -> None:
    """At the first document: it takes a twentieth of a second and 7 MB, which most processes never need."""
    pdfmetrics.registerFont(TTFont(FONT, str(FONT_FILE)))


def _render(title: str, lead: str, parts: Sequence[Part], foot: str, lang: str) -> bytes:
    text = ParagraphStyle("text", fontName=FONT, fontSize=9.5, leading=14.5, spaceAfter=3)
    if lang.startswith("zh"):
        text.wordWrap = "CJK"  # Chinese is broken between any two characters
    small = ParagraphStyle("small", parent=text, fontSize=8, leading=12, textColor=INK_SOFT)
    point = ParagraphStyle("point", parent=text, leftIndent=5 * mm)
    label = ParagraphStyle("label", parent=small, leading=text.leading)
    story: list[Flowable] = [
        Paragraph(escape(title), ParagraphStyle("title", parent=text, fontSize=19, leading=27, spaceAfter=4)),
        Paragraph(escape(lead), ParagraphStyle("lead", parent=text, textColor=INK_SOFT)),
    ]
    heading = ParagraphStyle("heading", parent=text, fontSize=12.5, leading=18, spaceBefore=12, keepWithNext=True)
    for part in parts:
        story.append(Paragraph(escape(part.heading), heading))
        if part.facts:
            rows = [[Paragraph(escape(name), label), Paragraph(escape(value), text)] for name, value in part.facts]
            story += [Table(rows, colWidths=[45 * mm, 125 * mm], style=LINES, hAlign="LEFT"), Spacer(1, 2 * mm)]
        story += [piece for picture in part.pictures for piece in (picture, Spacer(1, 6 * mm))]
        story += [Paragraph(escape(line), point if line.startswith(POINT) else text) for line in part.sentences]

    def below(canvas: Canvas, document: Any) -> None:
        line = Paragraph(escape(f"{foot} – {document.page}"), small)
        line.wrapOn(canvas, A4[0] - 2 * MARGIN, MARGIN)
        line.drawOn(canvas, document.leftMargin + 6, 10 * mm)  # 6: the padding of a frame

    output = io.BytesIO()
    SimpleDocTemplate(
        output,
        pagesize=A4,
        leftMargin=MARGIN,
        rightMargin=MARGIN,
        topMargin=MARGIN,
        bottomMargin=MARGIN,
        title=title,
        lang=lang,
        initialFontName=FONT,
        invariant=1,
    ).build(story, onFirstPage=below, onLaterPages=below)
    return output.getvalue()


LINES = TableStyle(
    [
        ("FONTNAME", (0, 0), (-1, -1), FONT),  # else an unused Helvetica is named in the file
        ("LINEBELOW", (0, 0), (-1, -1), 0.4, HexColor("#d9d5cb")),
        ("VALIGN", (0, 0), (-1, -1), "TOP"),
        ("LEFTPADDING", (0, 0), (0, -1), 0),
        ("BOTTOMPADDING", (0, 0), (-1, -1), 2),
    ]
)
