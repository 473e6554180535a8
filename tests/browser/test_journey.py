"""The journey in a real browser without JavaScript, by keyboard and by mouse, in both languages."""

import pytest
from playwright.sync_api import Browser, Page

from client_examples.sandbox.sandbox import Sandbox
from tests.browser.support import LANGUAGES, visitor

pytestmark = pytest.mark.browser
MOST_TABS = 60
SAME_LINE_PX = 40


# What has the focus: whether it is seen to have it, and how far down the page it stands.
FOCUS = """item => {
    const style = getComputedStyle(item), box = item.getBoundingClientRect()
    const marked = style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0 || style.boxShadow !== 'none'
    const inside = box.width > 0 && box.height > 0 && box.bottom > 0 && box.top < innerHeight
    return {seen: item.matches(':focus-visible') && marked && inside, bottom: box.bottom + scrollY,
            what: item.id || item.name || item.textContent.trim()}
}"""


def tab_to(page: Page, selector: str) -> list[str]:
    """Press Tab until this has the focus; what was passed on the way, each of it visibly, and downwards."""
    passed: list[str] = []
    lowest = 0.0
    while not passed or not page.locator(":focus").evaluate("(item, selector) => item.matches(selector)", selector):
        page.keyboard.press("Tab")
        focus = page.locator(":focus").evaluate(FOCUS)
        passed.append(focus["what"])
        assert focus["seen"], passed
        assert focus["bottom"] > lowest - SAME_LINE_PX, passed
        lowest = max(lowest, focus["bottom"])
        assert len(passed) < MOST_TABS, passed
    return passed


@pytest.mark.parametrize(("lang", "who", "approve"), [("zh-TW", 0, "同意並提供"), ("en", 1, "Agree and share")])
def test_from_the_bank_to_its_data_without_scripts(
    chromium: Browser, sandbox: Sandbox, lang: str, who: int, approve: str
) -> None:
    with visitor(chromium, sandbox, lang=lang, who=who) as guest:
        guest.open(f"/?lang={lang}")
        guest.page.goto(sandbox.bank_url)
        guest.page.click("form[action^='/apply/'] button >> nth=0")
        guest.sign_in()
        assert guest.page.locator("#consent-approve").inner_text() == approve
        sizes = [guest.page.locator(f"#consent-{name}").bounding_box() for name in ("approve", "deny")]
        assert sizes[0] is not None
        assert sizes[1] is not None
        assert (sizes[0]["y"], sizes[0]["width"], sizes[0]["height"]) == pytest.approx(
            (sizes[1]["y"], sizes[1]["width"], sizes[1]["height"])
        )
        guest.page.click("#consent-approve")
        guest.page.wait_for_url(f"{sandbox.bank_url}/**")
        guest.page.goto(f"{sandbox.issuer}/record")
        assert guest.page.locator("main a[href^='/consents/T']").count() >= 1


@pytest.mark.parametrize(("lang", "width", "who"), [("en", 1280, 2), ("zh-TW", 320, 1)])
def test_the_whole_way_by_keyboard_alone(chromium: Browser, sandbox: Sandbox, lang: str, width: int, who: int) -> None:
    with visitor(chromium, sandbox, lang=lang, width=width, who=who, scripts=True) as guest:
        page = guest.page
        guest.open(f"/?lang={lang}")
        page.goto(sandbox.bank_url)
        tab_to(page, "form[action^='/apply/'] button")
        page.keyboard.press("Enter")
        page.wait_for_selector("#username")
        tab_to(page, ".govuk-skip-link")
        page.keyboard.press("Enter")
        assert tab_to(page, "#username") == ["username"]  # what the skip link leads past is the masthead
        page.keyboard.type(guest.citizen.username)
        assert tab_to(page, "#password")[-1] == "password"
        page.keyboard.type(guest.citizen.password)
        assert tab_to(page, "#one_time_code")[-1] == "one_time_code"
        page.keyboard.type(guest.citizen.one_time_code())
        page.keyboard.press("Enter")  # signs in, and does not switch the language
        page.wait_for_selector("#consent-approve")
        assert page.get_attribute("html", "lang") == LANGUAGES[lang]
        tab_to(page, "#consent-approve")
        page.keyboard.press("Enter")
        page.wait_for_url(f"{sandbox.bank_url}/**")

        guest.open_request()
        page.wait_for_selector("#consent-approve")
        tab_to(page, "#optional-0-registered_address")
        page.keyboard.press("Space")
        with page.expect_navigation():
            page.keyboard.press("Enter")  # shows the page again, and decides nothing
        assert page.get_attribute("html", "lang") == LANGUAGES[lang]
        assert page.is_checked("#optional-0-registered_address")
        assert tab_to(page, "#consent-deny")[-2:] == ["consent-approve", "consent-deny"]
        page.keyboard.press("Shift+Tab")
        with page.expect_request(lambda request: "/callback?code=" in request.url):
            page.keyboard.press("Enter")
        page = guest.page = guest.context.new_page()  # where nobody listens, the browser shows an error of its own

        guest.open("/record")
        tab_to(page, "main a[href^='/consents/T']")
        page.keyboard.press("Enter")
        page.wait_for_selector("#reference")
        guest.open(f"/consent/{page.inner_text('#reference')}/outcome")
        tab_to(page, "#stop")
        page.keyboard.press("Enter")
        page.wait_for_selector("#stop-confirm")
        tab_to(page, "#stop-confirm")
        page.keyboard.press("Enter")
        page.wait_for_selector("#stop-confirm", state="detached")
        assert page.locator("#stop").count() == 0


def test_switching_the_language_keeps_what_was_typed_and_ticked(chromium: Browser, sandbox: Sandbox) -> None:
    with visitor(chromium, sandbox, lang="en", who=0) as guest:
        page = guest.page
        guest.open("/?lang=en")
        guest.open_request()
        page.fill("#username", guest.citizen.username)
        page.click("button[name=lang]")
        assert page.locator("html").get_attribute("lang") == "zh-Hant-TW"
        assert page.input_value("#username") == guest.citizen.username
        guest.sign_in()
        page.check("#optional-0-registered_address")
        page.click("button[name=lang]")
        assert page.locator("html").get_attribute("lang") == "en"
        assert page.is_checked("#optional-0-registered_address")
        page.click("#more-time")
        assert page.is_checked("#optional-0-registered_address")
        assert page.locator("#consent-approve").count() == 1


def test_back_and_a_second_tab_are_no_dead_end(chromium: Browser, sandbox: Sandbox) -> None:
    with visitor(chromium, sandbox, lang="en", who=1) as guest:
        page = guest.page
        guest.open("/?lang=en")
        guest.open_request()
        guest.sign_in()
        second = guest.context.new_page()
        second.goto(page.url)
        with page.expect_request(lambda request: "/callback?error=access_denied" in request.url):
            page.click("#consent-deny")
        second.click("#consent-approve")
        assert second.locator("h1").inner_text() == "This request is over"
        assert second.locator("#start-again").get_attribute("href") == "http://127.0.0.1:9/"


def test_the_warning_before_the_end_needs_no_script(chromium: Browser, sandbox: Sandbox) -> None:
    with visitor(chromium, sandbox, lang="en", who=2) as guest:
        guest.open("/?lang=en")
        guest.open_request()
        guest.sign_in()
        warning = guest.page.locator(".time-warning")
        assert warning.count() == 1
        assert not warning.is_visible()
        # Chromium's own clock for animations, moved on to the minute at which it is due.
        session = guest.context.new_cdp_session(guest.page)
        session.send("Animation.enable")
        session.send("Animation.setPlaybackRate", {"playbackRate": 100000})
        warning.wait_for(state="visible")
        assert warning.locator("button").is_visible()


def test_a_consent_is_stopped_and_its_receipt_kept_without_scripts(chromium: Browser, sandbox: Sandbox) -> None:
    with visitor(chromium, sandbox, lang="en", who=0) as guest:
        page = guest.page
        guest.open("/?lang=en")
        guest.open_request()
        guest.sign_in()
        with page.expect_request(lambda request: "/callback?code=" in request.url):
            page.click("#consent-approve")
        page.wait_for_url("chrome-error://**")
        guest.open("/record")
        page.click("main a[href^='/consents/T'] >> nth=0")
        reference = page.locator("#reference").inner_text()
        for kind in ("pdf", "json"):
            with page.expect_download() as download:
                page.click(f"#receipt-{kind}")
            assert download.value.suggested_filename == f"receipt-{reference}.{kind}"
        page.click("main a[href$='/stop']")
        page.click("#stop-cancel")
        page.click("#stop")
        page.click("#stop-confirm")
        assert page.locator("h1").inner_text() == "You stopped this consent"
        assert page.locator("#stop").count() == 0
