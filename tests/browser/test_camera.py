"""The desk of a counter reads a barcode that somebody holds before its camera."""

from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser

from client_examples.sandbox.citizens import OFFICE
from client_examples.sandbox.sandbox import Sandbox
from tests.browser.support import CHROMIUM, CLERK, FLAGS, LIMIT_MS, visitor

pytestmark = pytest.mark.browser
SIZE = (640, 480)


def write_film(path: Path, picture: Image.Image) -> None:
    """A film of one picture, as Chromium takes it for a camera (YUV4MPEG2)."""
    frame = Image.new("L", SIZE, 150)
    shown = picture.convert("L")
    shown.thumbnail((SIZE[0] - 40, SIZE[1] - 40))
    frame.paste(shown.rotate(3, Image.Resampling.BICUBIC, expand=True, fillcolor=150), (20, 10))
    grey = bytes([128]) * (SIZE[0] * SIZE[1] // 2)
    header = f"YUV4MPEG2 W{SIZE[0]} H{SIZE[1]} F5:1 Ip A1:1 C420jpeg\n".encode()
    path.write_bytes(header + (b"FRAME\n" + frame.tobytes() + grey) * 5)


ASKED = {"zh-TW": "這位民眾在您面前嗎？", "en": "Is this the person in front of you?"}
COUNTER = {"zh-TW": "3 號櫃檯", "en": "Counter 3"}


@pytest.mark.parametrize(("lang", "who"), [("zh-TW", 0), ("en", 1)])
def test_a_barcode_before_the_camera_is_read(
    chromium: Browser, sandbox: Sandbox, tmp_path: Path, lang: str, who: int
) -> None:
    with visitor(chromium, sandbox, lang=lang, who=who, scripts=True, strict=True) as guest:
        guest.prove()
        guest.open(f"/counter/offices/{OFFICE}/proof-of-address?lang={lang}")
        guest.page.click("#continue")
        guest.page.click("#consent-approve")
        guest.page.click("#show")
        saved = tmp_path / "barcode.png"
        saved.write_bytes(guest.context.request.get(guest.page.url + "/barcode.png").body())
        write_film(tmp_path / "camera.y4m", Image.open(saved))
        camera = [
            "--use-fake-device-for-media-stream",
            "--use-fake-ui-for-media-stream",
            f"--use-file-for-fake-video-capture={tmp_path / 'camera.y4m'}",
        ]
        # A browser of its own: what a camera sees is said when it starts.
        with (
            chromium.browser_type.launch(executable_path=CHROMIUM, args=[*FLAGS, *camera], timeout=LIMIT_MS) as another,
            visitor(another, sandbox, lang=lang, who=CLERK, scripts=True, strict=True) as clerk,
        ):
            clerk.page.goto(f"{sandbox.desk_url}/?lang={lang}")
            clerk.work()
            clerk.page.click("#camera")
            clerk.page.wait_for_url("**/ask")
            assert clerk.page.inner_text("h1") == ASKED[lang]
        # The citizen's page says so by itself, and their code is what the counter asks for.
        guest.page.wait_for_selector("#code")
        assert COUNTER[lang] in guest.page.inner_text("[role=status]")
