"""WCAG 2.2 AA on every page, in both languages, on a telephone and on a desk."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Browser, FilePayload

from client_examples.sandbox.promises import wait_for_letter
from client_examples.sandbox.sandbox import Sandbox
from tests.browser.support import LANGUAGES, Visitor, violations, visitor
from tests.support.waiting import wait_until

pytestmark = pytest.mark.browser

# Each leaves the visitor on the page that it names; one after the other they are a whole visit.
Step = Callable[[Visitor], None]


def fail_to_sign_in(visitor: Visitor) -> None:
    visitor.page.fill("#username", "nobody")
    visitor.page.click("#login-submit")


def open_details(visitor: Visitor) -> None:
    for summary in visitor.page.query_selector_all("summary"):
        summary.click()


def break_the_form(visitor: Visitor) -> None:
    visitor.page.evaluate("document.querySelector('input[name=notice]').value = 'x'")
    visitor.page.click("#consent-approve")


def let_the_time_run_out(visitor: Visitor) -> None:
    visitor.page.evaluate("document.querySelector('.time-warning').className = 'time-warning after-0-min'")


def refuse(visitor: Visitor) -> None:
    visitor.decide("consent-deny")
    visitor.open("/record")


def open_consent(visitor: Visitor) -> None:
    """The newest one that the page lists."""
    visitor.page.click("main a[href^='/consents/T'] >> nth=0")
    visitor.page.wait_for_selector("#reference")


def open_outcome(visitor: Visitor) -> None:
    """Of the consent whose page this is."""
    visitor.open(f"/consent/{visitor.page.inner_text('#reference')}/outcome")


def open_filter(visitor: Visitor) -> None:
    visitor.open("/consents?to=x")
    open_details(visitor)


def agree(visitor: Visitor) -> None:
    visitor.open_request()
    visitor.decide("consent-approve")
    visitor.open("/record")
    open_consent(visitor)


def open_all_of_consent(visitor: Visitor) -> None:
    visitor.open("/consents")
    open_consent(visitor)
    open_details(visitor)


def with_a_stale_form(button: str) -> Step:
    """Press a button of a page that is too old."""

    def press(visitor: Visitor) -> None:
        visitor.page.evaluate("document.querySelector('input[name=csrf]').value = 'x'")
        visitor.page.click(button)

    return press


def follow_not_me(visitor: Visitor) -> None:
    """The link of the newest message, which nobody has used yet, in the language of the page."""
    tag = "lang=en" if visitor.page.get_attribute("html", "lang") == "en" else "lang=zh-TW"

    def asks() -> bool:
        text = wait_for_letter(visitor.sandbox, visitor.citizen.email, "Your account is no longer frozen")
        visitor.page.goto(next(link for link in re.findall(r"http\S+/not-me\S+", text) if link.endswith(tag)))
        return visitor.page.locator("#not-me-confirm").count() == 1

    wait_until(asks, "a message whose link was not used")


def open_messages(visitor: Visitor) -> None:
    wait_for_letter(visitor.sandbox, visitor.citizen.email, "You did not agree")
    visitor.open("/messages")


def propose_an_address(visitor: Visitor, address: str = "new@citizen.example") -> None:
    visitor.page.fill("#value", address)
    visitor.page.click("#contact-send")


def check_a_file(visitor: Visitor, changed: bool = False) -> None:
    """Send a file that the platform has just made to the page that checks files."""
    octets = visitor.context.request.get(f"{visitor.sandbox.issuer}/record/export.json").body()
    visitor.open("/verify")
    text = octets.replace(b"consent.approved", b"consent.denied") if changed else octets
    file: FilePayload = {"name": "record.json", "mimeType": "application/json", "buffer": text}
    visitor.page.set_input_files("#document", files=[file])
    visitor.page.click("#verify-submit")
    visitor.page.wait_for_selector(".verdict-bad" if changed else ".verdict-good")


def sign_in_and_unfreeze(visitor: Visitor) -> None:
    visitor.open("/account/unfreeze")
    visitor.sign_in()
    visitor.page.click("#unfreeze-confirm")


VISIT: dict[str, Step] = {
    "home": lambda visitor: visitor.open("/"),
    "sign-in": lambda visitor: visitor.open_request(),
    "sign-in, refused": fail_to_sign_in,
    "consent": lambda visitor: visitor.sign_in(),
    "consent, all opened": open_details,
    "consent, time runs out": let_the_time_run_out,
    "consent, changed": break_the_form,
    "record": refuse,
    "consent, refused": open_consent,
    "outcome": open_outcome,
    "consents": lambda visitor: visitor.open("/consents"),
    "consents, filter refused": open_filter,
    "consent, agreed": agree,
    "consent, all of it": open_all_of_consent,
    "outcome, agreed": open_outcome,
    "stop": lambda visitor: visitor.page.click("#stop"),
    "stop, refused": with_a_stale_form("#stop-confirm"),
    "outcome, stopped": lambda visitor: visitor.page.click("#stop-confirm"),
    "record, stopped": lambda visitor: visitor.open("/record"),
    "freeze": lambda visitor: visitor.open("/account/freeze"),
    "freeze, refused": with_a_stale_form("#freeze-confirm"),
    "frozen": lambda visitor: visitor.page.click("#freeze-confirm"),
    "consent, frozen": lambda visitor: visitor.open_request(),
    "unfreeze": lambda visitor: visitor.page.click("#unfreeze"),
    "unfreeze, refused": with_a_stale_form("#unfreeze-confirm"),
    "unfrozen": lambda visitor: visitor.page.click("#unfreeze-confirm"),
    "sign-out": lambda visitor: visitor.open("/sign-out"),
    "account": lambda visitor: visitor.open("/account"),
    "export": lambda visitor: visitor.open("/record/export"),
    "export, refused": lambda visitor: visitor.open("/record/export?from=x"),
    "verify": lambda visitor: visitor.open("/verify"),
    "verify, nothing sent": lambda visitor: visitor.page.click("#verify-submit"),
    "verify, genuine": check_a_file,
    "verify, changed": lambda visitor: check_a_file(visitor, changed=True),
    "messages": open_messages,
    "message": lambda visitor: visitor.page.click(".rows a >> nth=0"),
    "notices": lambda visitor: visitor.open("/account/notices"),
    "contact": lambda visitor: visitor.open("/account/contact"),
    "contact, change": lambda visitor: visitor.open("/account/contact/email"),
    "contact, refused": lambda visitor: propose_an_address(visitor, ""),
    "contact, code": propose_an_address,
    "contact, wrong code": lambda visitor: visitor.page.click("#contact-verify"),
    "contact, remove": lambda visitor: visitor.open("/account/contact/email/remove"),
    "language": lambda visitor: visitor.open("/account/language"),
    "ways to sign in": lambda visitor: visitor.open("/account/methods"),
    "one more way": lambda visitor: visitor.open("/sign-in?return_to=/account/methods&second=1"),
    "leave": lambda visitor: visitor.open("/account/leave"),
    "leave, confirm": lambda visitor: visitor.page.click("#leave-on"),
    "leave, refused": with_a_stale_form("#leave-confirm"),
    "left": lambda visitor: visitor.open("/account/left"),
    "not me": follow_not_me,
    "not me, refused": with_a_stale_form("#not-me-confirm"),
    "not me, done": lambda visitor: visitor.page.click("#not-me-confirm"),
    "not me, unknown": lambda visitor: visitor.open("/not-me?key=x"),
    "opened again": sign_in_and_unfreeze,
    "no such page": lambda visitor: visitor.open("/record/none"),
    "request over": lambda visitor: visitor.open("/consent/unknown"),
    "client unknown": lambda visitor: visitor.open("/authorize?client_id=nobody"),
}


@pytest.mark.parametrize("width", [320, 1280])
@pytest.mark.parametrize("lang", LANGUAGES)
def test_axe_finds_nothing_on_any_page(chromium: Browser, sandbox: Sandbox, lang: str, width: int) -> None:
    found = []
    with visitor(chromium, sandbox, lang=lang, width=width, scripts=True) as guest:
        guest.open(f"/?lang={lang}")
        for name, step in VISIT.items():
            step(guest)
            assert guest.page.get_attribute("html", "lang") == LANGUAGES[lang], name
            assert guest.page.locator("h1").count() == 1, name
            found += [f"{name}: {problem}" for problem in violations(guest.page)]
    assert not found


def test_at_200_percent_nothing_scrolls_sideways_and_targets_are_large(chromium: Browser, sandbox: Sandbox) -> None:
    with visitor(chromium, sandbox, lang="en", who=1, scripts=True, width=640, scale=2) as guest:
        guest.open("/?lang=en")
        guest.open_request()
        guest.sign_in()
        guest.page.wait_for_selector("#consent-approve")
        assert not guest.page.evaluate("document.documentElement.scrollWidth > window.innerWidth")
        small = guest.page.evaluate(
            """[...document.querySelectorAll('button:not([aria-hidden]), .page a, summary, input[type=checkbox]')]
            .filter(item => item.offsetParent && item.getBoundingClientRect().height < 24)
            .map(item => item.outerHTML)"""
        )
        assert not small
