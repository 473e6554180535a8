"""The PDF for people: the same values as data.json, with the catalogue's names, in Chinese type.

The font is MSung-Light, one of the standard Chinese fonts of PDF readers: it need not be embedded, which keeps the
file small. An agency whose documents must look the same in fifty years embeds a font instead (PDF/A).
"""

import io
from collections.abc import Iterator
from typing import Any
from xml.sax.saxutils import escape

from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.platypus import Flowable, Paragraph, SimpleDocTemplate, Spacer, Table, TableStyle

from .platform import Dataset

FONT = "MSung-Light"


class TraditionalChinese(UnicodeCIDFont):
    """The font with the character map of its own collection; reportlab 5.1 names the one for simplified Chinese."""

    def __init__(self, face: str) -> None:
        super().__init__(face)
        self.encodingName = "UniCNS-UTF16-H"  # ISO 32000-1, table 118
        self.encoding.name = self.encodingName


pdfmetrics.registerFont(TraditionalChinese(FONT))
TEXT = ParagraphStyle("text", fontName=FONT, fontSize=10, leading=15, wordWrap="CJK")
SMALL = ParagraphStyle("small", parent=TEXT, fontSize=8.5, leading=13, textColor=colors.HexColor("#505a5f"))
HEADING = ParagraphStyle("heading", parent=TEXT, fontSize=17, leading=26)
GRID = TableStyle(
    [
        ("LINEBELOW", (0, 0), (-1, -1), 0.4, colors.HexColor("#b1b4b6")),
        ("VALIGN", (0, 0), (-1, -1), "TOP"),
        ("LEFTPADDING", (0, 0), (0, -1), 0),
    ]
)
NOTE = "本文件為系統測試用之合成資料，不具任何效力。 Synthetic data for tests; of no legal effect."


def document_pdf(dataset: Dataset, data: dict[str, Any], *, recipient: str, reference: str, issued: str) -> bytes:
    """Return the dataset as a PDF. `issued`: the date, as people write it."""
    rows = [[cell(label), cell(value)] for label, value in lines(data, dataset)]
    head = [
        ("發文機關 Agency", dataset.agency_name),
        ("提供予 For", recipient),
        ("參考編號 Reference", reference),
        ("日期 Date", issued),
    ]
    story: list[Flowable] = [
        Paragraph(escape(f"{dataset.name_zh}"), HEADING),
        Paragraph(escape(dataset.name_en), TEXT),
        Spacer(1, 5 * mm),
        *(Paragraph(escape(f"{label}：{value}"), SMALL) for label, value in head),
        Spacer(1, 6 * mm),
        Table(rows, colWidths=[50 * mm, 115 * mm], style=GRID, hAlign="LEFT"),
        Spacer(1, 8 * mm),
        Paragraph(escape(NOTE), SMALL),
    ]
    output = io.BytesIO()
    page = SimpleDocTemplate(output, pagesize=A4, leftMargin=20 * mm, rightMargin=20 * mm, title=dataset.name_zh)
    page.build(story)
    return output.getvalue()


def cell(text: str) -> Paragraph:
    return Paragraph(escape(text), TEXT)


def lines(data: dict[str, Any], dataset: Dataset) -> Iterator[tuple[str, str]]:
    """Walk the data in order; lists of objects become numbered blocks."""
    for key, value in data.items():
        label = dataset.field_names.get(key, key)
        if isinstance(value, list) and value and isinstance(value[0], dict):
            for number, item in enumerate(value, start=1):
                yield f"{label} {number}", shown(item, dataset.member_names)
        else:
            yield label, shown(value, dataset.member_names)


def shown(value: object, names: dict[str, str]) -> str:
    """A JSON value as a person reads it. `names`: of the members of objects."""
    if isinstance(value, bool):
        return "是" if value else "否"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, list):
        return "、".join(shown(item, names) for item in value) or "無"
    if isinstance(value, dict):
        return "；".join(f"{names.get(name, name)} {shown(part, names)}" for name, part in value.items())
    return "無" if value is None else str(value)
