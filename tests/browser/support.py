"""A citizen at a browser: the pages of one journey, by the buttons that a person presses."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from playwright.sync_api import Browser, BrowserContext, Page

from client_examples.sandbox.citizens import Citizen
from client_examples.sandbox.sandbox import Sandbox
from tests.support.tree import ROOT

CHROMIUM = "/usr/bin/chromium"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
]
AXE = ROOT / "tests" / "browser" / "node_modules" / "axe-core" / "axe.min.js"
LANGUAGES = {"zh-TW": "zh-Hant-TW", "en": "en"}
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


@dataclass
class Visitor:
    """One person with a browser of their own."""

    sandbox: Sandbox
    citizen: Citizen
    context: BrowserContext
    page: Page

    def open_request(self, *only: str) -> None:
        """Come from a client that has pushed a request for one dataset of each kind, or for these of them."""
        _, address = self.sandbox.checker.ask(*only)
        self.page.goto(address)

    def open(self, path: str) -> None:
        """Type an address of the platform."""
        self.page.goto(self.sandbox.issuer + path)

    def fill_in(self) -> None:
        """Fill in the sign-in form, without sending it."""
        self.page.fill("#username", self.citizen.username)
        self.page.fill("#password", self.citizen.password)
        self.page.fill("#one_time_code", self.citizen.one_time_code())

    def sign_in(self) -> None:
        """Sign in on the page that asks for it."""
        self.fill_in()
        self.page.click("#login-submit")

    def decide(self, button: str) -> None:
        """Press a button that leads back to the client. Nobody listens there, so the browser shows an error of its own;
        the decision stands."""
        with self.page.expect_request(lambda request: "/callback" in request.url):
            self.page.click(f"#{button}")
        self.page.wait_for_url("chrome-error://**")


@contextmanager
def visitor(
    chromium: Browser,
    sandbox: Sandbox,
    *,
    lang: str,
    width: int = 1280,
    who: int = 0,
    scripts: bool = False,
    strict: bool = False,
    scale: float = 1,
) -> Iterator[Visitor]:
    """A new visitor.

    Args: scripts: let scripts run, also axe, which no page of ours allows; strict: only those that the page allows;
        scale: page zoom.
    """
    context = chromium.new_context(
        viewport={"width": int(width / scale), "height": int(800 / scale)},
        device_scale_factor=scale,
        locale=lang,
        java_script_enabled=scripts,
        bypass_csp=scripts and not strict,
    )
    try:
        yield Visitor(sandbox, sandbox.citizens[who], context, context.new_page())
    finally:
        context.close()


def violations(page: Page) -> list[str]:
    """What axe-core finds wrong with the page as it stands, and whether it scrolls sideways."""
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.evaluate(
        "rules => axe.run({runOnly: rules, resultTypes: ['violations']}).then(r => r.violations)", RULES
    )
    problems = [f"{page.url}: {item['id']}: {[node['html'] for node in item['nodes']]}" for item in found]
    if page.evaluate("document.documentElement.scrollWidth > window.innerWidth"):
        problems.append(f"{page.url}: scrolls sideways")
    return problems
