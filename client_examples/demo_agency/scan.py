"""A synthetic scan of about 20 MB: coloured noise under a large 樣本 SPECIMEN. No real card looks like it."""

import io
import random

from PIL import Image, ImageDraw, ImageFont

SIDE = 2610  # 2610 x 2610 x 3 bytes = 20.4 MB, not compressed
# 樣本, drawn as strokes on a 100 x 100 grid each, so that no Han font has to be there.
STROKES = {
    "樣": [
        [(4, 28), (40, 28)], [(22, 4), (22, 96)], [(20, 34), (4, 70)], [(24, 36), (40, 58)],
        [(54, 4), (62, 14)], [(84, 4), (76, 14)], [(50, 18), (92, 18)], [(52, 30), (90, 30)], [(48, 42), (96, 42)],
        [(71, 18), (71, 92), (62, 86)], [(52, 54), (68, 54), (48, 90)], [(92, 48), (76, 60)], [(74, 58), (98, 92)],
    ],
    "本": [[(6, 30), (94, 30)], [(50, 4), (50, 96)], [(48, 32), (8, 78)], [(52, 32), (92, 78)], [(30, 72), (70, 72)]],
}  # fmt: skip


def specimen_png() -> bytes:
    """Return the image as PNG, the same bytes each time."""
    noise = random.Random(20).randbytes(SIDE * SIDE * 3)  # noqa: S311 - a picture, not a secret
    image = Image.frombytes("RGB", (SIDE, SIDE), noise)
    draw = ImageDraw.Draw(image)
    draw.rectangle((200, 700, SIDE - 200, 1900), fill="white", outline="firebrick", width=20)
    for column, strokes in enumerate(STROKES.values()):
        for stroke in strokes:
            points = [(750 + column * 640 + x * 5, 760 + y * 5) for x, y in stroke]
            draw.line(points, fill="firebrick", width=36, joint="curve")
    draw.text((SIDE / 2, 1580), "SPECIMEN", fill="firebrick", font=ImageFont.load_default(size=380), anchor="mm")
    output = io.BytesIO()
    image.save(output, "PNG", compress_level=0)
    return output.getvalue()
