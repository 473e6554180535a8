"""A clerk's whole work at a desk: by keyboard alone, without a camera, read by a screen reader, enlarged."""

import re

import pytest
from playwright.sync_api import Browser, FilePayload, Page, ViewportSize, expect

from client_examples.sandbox.citizens import OFFICE
from client_examples.sandbox.sandbox import Sandbox
from tests.browser.support import CLERK, LANGUAGES, Visitor, violations, visitor

pytestmark = pytest.mark.browser
# What the live regions say, in the order of the work.
SAID = {
    "zh-TW": {
        "camera": "沒有可用的鏡頭。請改用掃描、上傳或輸入。",
        "read": "讀到條碼了。驗證碼已送給對方。",
        "shown": "這些資料會在 5 分鐘後從這個櫃檯清除。",
        "print": "已寫進民眾的紀錄，可以列印了。",
        "cleared": "已從這個櫃檯清除。",
    },
    "en": {
        "camera": "There is no camera to use. Scan, upload or type instead.",
        "read": "The barcode was read, and a code sent to whoever brought it.",
        "shown": "This is cleared from this desk in 5 minutes.",
        "print": "It is on the citizen’s record, and you can print it.",
        "cleared": "Cleared from this desk.",
    },
}
DATASET = "ris.personal"
# Counted where it can be waited for: the page's policy forbids a condition that is evaluated in it.
PRINTS = (
    "window.print = () => { const said = document.documentElement.dataset; said.printed = 1 + (+said.printed || 0) }"
)
TELEPHONE: ViewportSize = {"width": 320, "height": 568}  # the smallest
ENLARGED = {"width": 640, "height": 400}  # what is left of 1280 by 800 at 200 %
CUT = """() => [...document.querySelectorAll('main *, header *')].filter(
  (one) => one.clientWidth && !one.closest('.unseen') && one.scrollWidth > one.clientWidth + 1
    && !['INPUT', 'SPAN'].includes(one.tagName)).map((one) => one.outerHTML)"""


class Looks:
    """What is wrong with each page of the desk, as it stands."""

    def __init__(self, page: Page, lang: str) -> None:
        self.page, self.lang, self.found = page, lang, list[str]()

    def __call__(self, name: str) -> None:
        assert self.page.get_attribute("html", "lang") == LANGUAGES[self.lang], name
        assert self.page.locator("h1").count() == 1, name
        self.found += [f"{name}: {problem}" for problem in violations(self.page)]
        self.page.set_viewport_size({"width": ENLARGED["width"], "height": ENLARGED["height"]})
        if self.page.evaluate("document.documentElement.scrollWidth > window.innerWidth"):
            self.found.append(f"{name}: scrolls sideways at 200 %")
        self.found += [f"{name}: cut at 200 %: {one}" for one in self.page.evaluate(CUT)]


def barcode_of(guest: Visitor, lang: str) -> str:
    """Agree to a visit; the characters below the barcode."""
    guest.prove()
    guest.open(f"/counter/offices/{OFFICE}/proof-of-address?lang={lang}")
    guest.page.click("#continue")
    guest.page.click("#consent-approve")
    guest.page.click("#show")
    return guest.page.inner_text("#typed")


def saved_barcode(guest: Visitor) -> FilePayload:
    """The barcode as its citizen saves it."""
    picture = guest.context.request.get(f"{guest.page.url}/barcode.png").body()
    return {"name": "barcode.png", "mimeType": "image/png", "buffer": picture}


def press(page: Page, target: str, key: str = "Enter") -> None:
    """Walk to it by the Tab key, and press another."""
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("target => document.activeElement.matches(target)", target):
            page.keyboard.press(key)
            return
    raise AssertionError(f"{target} is not reached by keyboard")


@pytest.mark.parametrize(("lang", "who"), [("zh-TW", 0), ("en", 1)])
def test_all_of_the_work_at_a_desk(chromium: Browser, sandbox: Sandbox, lang: str, who: int) -> None:
    said = SAID[lang]
    with (
        visitor(chromium, sandbox, lang=lang, who=who, scripts=True) as guest,
        visitor(chromium, sandbox, lang=lang, who=CLERK, scripts=True, judged=True) as clerk,
    ):
        page, looks = clerk.page, Looks(clerk.page, lang)
        page.add_init_script(PRINTS)
        region = page.locator("[role=status]:visible")
        typed = barcode_of(guest, lang)
        guest.page.set_viewport_size(TELEPHONE)
        guest.page.evaluate("scrollTo(0, document.body.scrollHeight)")  # to where it says what happened
        page.goto(f"{sandbox.desk_url}/callback?error=access_denied&state=x&lang={lang}")
        looks("sign-in, refused")
        page.goto(f"{sandbox.desk_url}/barcode")  # as typed, or from the history
        looks("sign-in")
        clerk.work()
        looks("barcode")
        expect(page.locator("#barcode")).to_be_focused()
        page.keyboard.press("Enter")  # nothing was scanned
        expect(page.locator("#problem")).not_to_be_empty()
        looks("barcode, refused")
        press(page, "a[hreflang]")
        expect(page.locator("html")).not_to_have_attribute("lang", LANGUAGES[lang])
        page.goto(f"{sandbox.desk_url}/?lang={lang}")
        press(page, "#camera")
        expect(region).to_have_text(said["camera"])
        looks("camera")
        press(page, "main a")
        expect(page.locator("#barcode")).to_be_focused()
        if lang == "en":
            page.set_input_files("#file", files=[saved_barcode(guest)])
            press(page, "#upload")
        else:
            page.keyboard.type(typed)
            page.keyboard.press("Enter")
        expect(region).to_have_text(said["read"])
        looks("code")
        press(page, "#redeem")
        expect(page.locator("#problem")).not_to_be_empty()
        looks("code, refused")
        code = guest.page.locator("#code")
        expect(code).to_have_text(re.compile("[0-9]{6}"))
        expect(code).to_be_in_viewport()
        press(page, "#same", "Space")
        page.keyboard.press("Tab")
        expect(page.locator("input[name=code]")).to_be_focused()
        page.keyboard.type(code.inner_text())
        page.keyboard.press("Enter")
        expect(region).to_have_text(said["shown"])
        looks("data")
        use_the_data(page, said, looks)
        ask_for_erasure(guest, guest.page.url.rpartition("/")[2])
        be_refused_a_copy(page, looks)
        press(page, "#clear")
        expect(region).to_have_text(said["cleared"])
        looks("cleared")
        page.goto(f"{sandbox.desk_url}/data")
        expect(page.locator("#barcode")).to_be_focused()
        press(page, "#sign-out")
        expect(page.locator("#sign-in")).to_be_visible()
    assert not looks.found


def use_the_data(page: Page, said: dict[str, str], looks: Looks) -> None:
    """Print it, once; save it."""
    paper = page.locator("section dl")
    press(page, f"[id='print-{DATASET}']")
    expect(page.locator("[role=status]:visible")).to_contain_text(said["print"])
    expect(page.locator("html")).to_have_attribute("data-printed", "1")
    looks("data, printed")
    page.emulate_media(media="print")
    expect(paper).to_be_visible()
    expect(page.locator("button:visible, header:visible")).to_have_count(0)
    page.reload()
    expect(paper).to_be_hidden()  # not without being recorded again
    page.emulate_media(media="screen")
    for button, ending in ((f"[id='save-{DATASET}']", r"\.zip"), ("[name=save][value$='.pdf']", r"-document\.pdf")):
        with page.expect_download() as saved:
            press(page, button)
        assert re.fullmatch(rf"{DATASET}-T[0-9A-Z-]+{ending}", saved.value.suggested_filename)


def ask_for_erasure(guest: Visitor, reference: str) -> None:
    """From then on nothing is to be printed or saved any more. In a tab of its own: that of the visit follows it."""
    tab = guest.context.new_page()
    tab.goto(f"{guest.sandbox.issuer}/consent/{reference}/erase")
    tab.click("#erase-confirm")
    expect(tab.locator("#erase-confirm")).to_have_count(0)
    tab.close()


def be_refused_a_copy(page: Page, looks: Looks) -> None:
    """Ask to print it; the page stays, and clears itself like any other."""
    with page.expect_response("**/copy") as answer:
        press(page, f"[id='print-{DATASET}']")
    assert answer.value.headers["refresh"].endswith("url=/data"), "this page is empty in time, too"
    expect(page.locator("#problem")).not_to_be_empty()
    expect(page.locator("script[src*='print']")).to_have_count(0)
    looks("data, not to be printed any more")
