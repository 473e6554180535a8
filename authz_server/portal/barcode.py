"""A barcode as people carry it: QR code and Code 128 as SVG for the screen, both in one PNG, both in a PDF to print.

What is in them is what the QR says: forty digits. See `counter.codes`.
"""

import io
from dataclasses import dataclass
from typing import Any, Final

from PIL import Image, ImageDraw
from qrcode.constants import ERROR_CORRECT_M
from qrcode.main import QRCode
from reportlab.graphics.barcode.code128 import Code128
from reportlab.platypus import Flowable

QUIET_QR: Final = 4  # modules, ISO/IEC 18004
QUIET_BARS: Final = 10  # modules, ISO/IEC 15417
BAR_HEIGHT: Final = 60
PNG_MODULE: Final = 4  # pixels of the bars; the QR code has larger ones


@dataclass(frozen=True)
class Picture:
    """Dark rectangles (x, y, width, height) on white, in modules, the quiet zone included."""

    dark: tuple[tuple[int, int, int, int], ...]
    width: int
    height: int

    def svg(self) -> bytes:
        path = "".join(f"M{x} {y}h{wide}v{high}h-{wide}z" for x, y, wide, high in self.dark)
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width} {self.height}" '
            f'width="{self.width}" height="{self.height}" shape-rendering="crispEdges">'
            f'<rect width="{self.width}" height="{self.height}" fill="#fff"/><path d="{path}" fill="#000"/></svg>'
        ).encode()

    def draw(self, draw: ImageDraw.ImageDraw, left: int, top: int, module: int) -> None:
        for x, y, wide, high in self.dark:
            corner = (left + x * module, top + y * module)
            draw.rectangle((*corner, corner[0] + wide * module - 1, corner[1] + high * module - 1), fill=0)


class Printed(Flowable):
    """A picture in a PDF."""

    def __init__(self, picture: Picture, *, module_pt: float) -> None:
        super().__init__()
        self._picture, self._module = picture, module_pt
        self.width, self.height = picture.width * module_pt, picture.height * module_pt

    def draw(self) -> None:
        for x, y, wide, high in self._picture.dark:
            top = (self._picture.height - y - high) * self._module
            self.canv.rect(x * self._module, top, wide * self._module, high * self._module, stroke=0, fill=1)


def qr(digits: str) -> Picture:
    """The QR code."""
    code: Any = QRCode(error_correction=ERROR_CORRECT_M, border=QUIET_QR)
    code.add_data(digits)
    code.make()
    rows = code.get_matrix()
    dark = tuple((x, y, 1, 1) for y, row in enumerate(rows) for x, module in enumerate(row) if module)
    return Picture(dark, len(rows), len(rows))


def bars(digits: str) -> Picture:
    """The Code 128."""
    code: Any = Code128(digits, quiet=0)
    code.validate()
    code.encode()
    code.decompose()
    dark, x = [], QUIET_BARS
    for number, letter in enumerate(code.decomposed):  # a bar, a space, a bar, ...; A is one module wide
        width = ord(letter.upper()) - ord("A") + 1
        if number % 2 == 0:
            dark.append((x, 0, width, BAR_HEIGHT))
        x += width
    return Picture(tuple(dark), x + QUIET_BARS, BAR_HEIGHT)


def png(digits: str) -> bytes:
    """Both, one above the other."""
    above, below = qr(digits), bars(digits)
    module = below.width * PNG_MODULE // above.width
    image = Image.new("1", (below.width * PNG_MODULE, above.height * module + (below.height + 10) * PNG_MODULE), 1)
    draw = ImageDraw.Draw(image)
    above.draw(draw, (image.width - above.width * module) // 2, 0, module)
    below.draw(draw, 0, above.height * module, PNG_MODULE)
    output = io.BytesIO()
    image.save(output, "PNG", optimize=True)
    return output.getvalue()
