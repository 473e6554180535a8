"""A citizen at a browser: the pages of one journey, by the buttons that a person presses."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

from playwright.sync_api import Browser, BrowserContext, Page
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from authz_server.core import clock
from authz_server.database import new_engine
from authz_server.identity import sessions
from authz_server.identity.certificates import client_cert
from authz_server.identity.models import CITIZEN
from client_examples.sandbox.citizens import Citizen
from client_examples.sandbox.sandbox import Sandbox
from tests.support.tree import ROOT

# Debian builds both from one source. The one without a window takes half the processor: nobody looks at tabs and menus.
CHROMIUM = shutil.which("chromium-headless-shell") or "/usr/bin/chromium"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
]
AXE = ROOT / "tests" / "browser" / "node_modules" / "axe-core" / "axe.min.js"
HOP_SECRET = "of-the-proxy-that-asks-browsers-for-certificates"
LANGUAGES = {"zh-TW": "zh-Hant-TW", "en": "en"}
WIDE, NARROW = 1280, 320
LIMIT_MS = 120_000  # for whatever is waited for: a browser is slow on a busy machine
CLERK = 4  # after three citizens and the administrator of the office
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
# What depends on how wide the page is; its elements, names and colours do not.
RULES_OF_LAYOUT = ["scrollable-region-focusable", "target-size"]


@dataclass
class Visitor:
    """One person with a browser of their own."""

    sandbox: Sandbox
    citizen: Citizen
    context: BrowserContext
    page: Page
    engine: Engine  # of the platform's database
    citizen_id: int
    cookies: dict[str, Any] = field(default_factory=dict)  # of citizens who have lent their browser to another

    def be(self, who: int) -> None:
        """Be another citizen of the sandbox from now on, in the session that they had here, if they had one."""
        self.page.goto("about:blank")  # a page that watches something would load itself anew when it is somebody else's
        self.cookies[self.citizen.username] = self.context.cookies()
        self.citizen = self.sandbox.citizens[who]
        with Session(self.engine) as session:
            self.citizen_id = session.scalars(
                select(CITIZEN.c.id).where(CITIZEN.c.username == self.citizen.username)
            ).one()
        if kept := self.cookies.get(self.citizen.username):
            self.context.add_cookies(kept)
        else:
            self.prove()

    def open_request(self, *only: str) -> None:
        """Come from a client that has pushed a request for one dataset of each kind, or for these of them."""
        _, address = self.sandbox.checker.ask(*only)
        self.page.goto(address)

    def open(self, path: str) -> None:
        """Type an address of the platform."""
        self.page.goto(self.sandbox.issuer + path)

    def prove(self, level: int = 1, method: str = "certificate") -> None:
        """Be signed in by this proof, without its pages."""
        secret = self.signed_in_elsewhere(level, method)
        self.context.add_cookies([{"name": "mydata", "value": secret, "url": self.sandbox.issuer}])

    def signed_in_elsewhere(self, level: int = 1, method: str = "certificate") -> str:
        """Have a session that this browser does not know; its cookie."""
        proof: Any = {"level": level, "amr": ("sc",), "method": method}
        with Session(self.engine) as session, session.begin():
            return sessions.open_session(session, self.citizen_id, now=clock.now(), **proof)

    def work(self) -> None:
        """Start work at the desk, as a clerk who proves who they are without the pages for it."""
        self.page.click("#sign-in")
        (request_id,) = parse_qs(urlsplit(self.page.url).query)["request"]
        self.prove()
        self.open(f"/office/desk/{request_id}")
        self.page.click("#desk-start")
        self.page.wait_for_selector("#barcode")

    def leave(self) -> None:
        """Be signed out."""
        self.context.clear_cookies(name="mydata")

    def shows(self, card: bool) -> None:
        """Come through the proxy that asks for certificates, with the citizen's or without one, from now on."""
        shown = ""
        if card and self.citizen.card is not None:
            shown = quote(self.citizen.card.with_suffix(".pem").read_text(encoding="ascii"))
        self.page.set_extra_http_headers({client_cert.HOP: f"{HOP_SECRET} {shown}"})

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
        self._decide(button)

    def let_fetch(self, dataset: str) -> None:
        """Agree to a request for one dataset; it is fetched at once."""
        checker = self.sandbox.checker
        asked, address = checker.ask(dataset)
        self.page.goto(address)
        checker.take_answer(asked, self._decide("consent-approve"))
        checker.fetch_all(asked, lambda _step: None)

    def _decide(self, button: str) -> str:
        with self.page.expect_request(lambda request: "/callback" in request.url) as went:
            self.page.click(f"#{button}")
        self.page.wait_for_url("chrome-error://**")
        return went.value.url


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
    judged: bool = False,
    scale: float = 1,
) -> Iterator[Visitor]:
    """A new visitor.

    Args: who: a citizen of the sandbox, or CLERK; scripts: let scripts run, also axe, which no page of ours allows;
        strict: only those that the page allows; judged: each page has axe from the start, for `violations`;
        scale: page zoom.
    """
    context = chromium.new_context(
        viewport={"width": int(width / scale), "height": int(800 / scale)},
        device_scale_factor=scale,
        locale=lang,
        java_script_enabled=scripts,
        bypass_csp=scripts and not strict,
    )
    context.set_default_timeout(LIMIT_MS)
    if judged:  # sent once, not for each page
        context.add_init_script(path=AXE)
    engine, citizen = new_engine(sandbox.database_url), (*sandbox.citizens, *sandbox.staff)[who]
    with Session(engine) as session:
        citizen_id = session.scalars(select(CITIZEN.c.id).where(CITIZEN.c.username == citizen.username)).one()
    try:
        yield Visitor(sandbox, citizen, context, context.new_page(), engine, citizen_id)
    finally:
        engine.dispose()
        context.close()


# Enter presses a form's first button, from wherever in the form one is (HTML, implicit submission).
SWITCHED = """[...document.forms].filter(form => {
    const all = [...form.elements]
    return all.some(one => one.matches('input:not([type=hidden], [type=submit], [type=file])'))
        && all.find(one => one.type === 'submit' && !one.disabled)?.name === 'lang'
}).map(form => form.id)"""


def violations(page: Page, *, colours: bool = True) -> list[str]:
    """What axe-core finds wrong with a judged page as it stands, on a desk and on a telephone, and whether it scrolls
    sideways, there also with text of twice the size; and where Enter in a field would switch the language.

    Args: colours: whether to look at their contrast too, which takes as long as all else and is that of any language.
    """
    page.wait_for_load_state()  # who pressed a button has waited for the page's first octets
    problems = []
    for width, rules in (WIDE, RULES), (NARROW, RULES_OF_LAYOUT):
        page.set_viewport_size({"width": width, "height": 800})
        found = page.evaluate(
            """([rules, colours]) => axe.run({
                runOnly: rules, rules: {'color-contrast': {enabled: colours}},
                resultTypes: ['violations'], preload: false,
            }).then(r => r.violations)""",
            [rules, colours and rules is RULES],
        )
        problems += [f"{page.url}, {width}: {item['id']}: {[node['html'] for node in item['nodes']]}" for item in found]
        if page.evaluate("document.documentElement.scrollWidth > window.innerWidth"):
            problems.append(f"{page.url}, {width}: scrolls sideways")
    problems += [f"{page.url}: Enter in the form {form} switches the language" for form in page.evaluate(SWITCHED)]
    page.evaluate("document.documentElement.style.fontSize = '200%'")
    if page.evaluate("document.documentElement.scrollWidth > window.innerWidth"):
        problems.append(f"{page.url}, {NARROW}, text of 200 %: scrolls sideways")
    page.evaluate("document.documentElement.style.fontSize = ''")
    return problems
