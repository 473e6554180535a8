"""WCAG 2.2 AA on every page, in both languages, on a telephone and on a desk."""

import re
from collections.abc import Callable, Iterator
from functools import partial
from urllib.parse import parse_qs, urlsplit

import orjson
import pytest
from playwright.sync_api import Browser, FilePayload, Response, expect
from sqlalchemy import update
from sqlalchemy.orm import Session
from werkzeug.exceptions import HTTPException
from werkzeug.routing import MapAdapter

from authz_server import config
from authz_server.app import create_app
from authz_server.core import clock
from authz_server.counter import appointments
from authz_server.identity.methods.registry import METHODS
from authz_server.identity.models import Citizen
from client_examples.bank_web.client import client_assertion
from client_examples.sandbox.citizens import OFFICE
from client_examples.sandbox.promises import wait_for_letter
from client_examples.sandbox.sandbox import Sandbox
from tests.browser.support import CLERK, LANGUAGES, NARROW, WIDE, Visitor, violations, visitor
from tests.support.callers import ANYONE, CITIZEN, caller_of
from tests.support.platform import new_key
from tests.support.typography import spaced
from tests.support.waiting import wait_until

pytestmark = pytest.mark.browser

# Each leaves the visitor on the page that it names; one after the other they are a whole visit.
Step = Callable[[Visitor], None]
RENEW = "/account/methods/password_totp"


def fail_to_sign_in(visitor: Visitor) -> None:
    visitor.page.fill("#username", "nobody")
    visitor.page.click("#login-submit")


def fail_by_health_card(visitor: Visitor) -> None:
    for name, value in {"national_id": "F131104093", "card_number": "123456789012", "password": "wrong"}.items():
        visitor.page.fill(f"#{name}", value)
    visitor.page.click("#login-submit")


def ask_for_a_code(visitor: Visitor, username: str) -> None:
    visitor.page.fill("#username", username)
    visitor.page.click("#login-submit")


def open_details(visitor: Visitor) -> None:
    for summary in visitor.page.query_selector_all("summary"):
        summary.click()


def open_the_question(visitor: Visitor) -> None:
    """By its own address; whoever is signed in sees it at that where the client sent them."""
    visitor.open(visitor.page.get_attribute("form[action^='/consent/']", "action") or "")


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


def let_fetch(visitor: Visitor) -> None:
    visitor.let_fetch("ris.personal")
    visitor.open("/consents")
    open_consent(visitor)


def correct(visitor: Visitor) -> None:
    visitor.page.select_option("#field", index=1)
    visitor.page.fill("#value", "測試")
    visitor.page.click("#correct-confirm")
    visitor.page.wait_for_selector("#corrections")


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


def paste(visitor: Visitor, message: str) -> None:
    """Have a developer's message checked."""
    visitor.open("/developer")
    visitor.page.fill("#message", message)
    visitor.page.click("#developer-submit")
    visitor.page.wait_for_selector(".verdict")


def look_up_requests(visitor: Visitor) -> None:
    """Prove the client that asks this visitor."""
    checker = visitor.sandbox.checker
    made = client_assertion(checker.client.client_id, visitor.sandbox.issuer, checker.keys[0])
    visitor.page.fill("#assertion", made["client_assertion"])
    visitor.page.click("#look")
    visitor.page.wait_for_selector("#requests")


def build_a_request(visitor: Visitor) -> None:
    """Complete the form of a developer's request, and have its texts made."""
    for choice in visitor.page.locator("#builder select").all():
        choice.select_option(index=1)
    visitor.page.click("#make")
    visitor.page.wait_for_selector("#made")


def fill_the_basket(visitor: Visitor) -> None:
    for choice in visitor.page.locator("#basket select").all():
        choice.select_option(index=2)
    visitor.page.click("#continue")


def download(visitor: Visitor) -> None:
    visitor.page.click("#consent-approve")
    expect(visitor.page).to_have_title(re.compile(r"\(2/2\)"))


def open_as_citizen(visitor: Visitor, path: str, method: str = "certificate") -> None:
    visitor.prove(method=method)
    visitor.open(path)


def read_the_question(visitor: Visitor) -> None:
    visitor.prove()
    visitor.open_request()


def ask_for_text(visitor: Visitor) -> None:
    visitor.open("/sign-in?method=certificate")
    visitor.page.click("#login-submit")


def go_to_the_provider(visitor: Visitor) -> None:
    visitor.open("/sign-in?method=upstream")
    visitor.page.click("#provider-bank")


def remove_a_way(visitor: Visitor) -> None:
    visitor.open("/account/methods")
    visitor.page.click("main a[href^='/account/methods/remove/'] >> nth=0")


def somewhere_else_too(visitor: Visitor) -> None:
    """The list of sessions, one of which is in another browser."""
    visitor.signed_in_elsewhere()
    visitor.open("/account/sessions")


def choose_a_service(visitor: Visitor) -> None:
    visitor.prove()
    visitor.open("/counter?q=First+District")
    visitor.page.click("main .card a >> nth=0")


def agree_to_a_visit(visitor: Visitor) -> None:
    visitor.page.select_option("select", index=1)
    visitor.page.click("#continue")
    visitor.page.click("#consent-approve")


def be_asked_for_the_code(guest: Visitor) -> None:
    """The counter has scanned the barcode."""
    typed, browser = guest.page.inner_text("#typed"), guest.context.browser
    assert browser is not None
    with visitor(browser, guest.sandbox, lang="en", who=CLERK) as clerk:
        clerk.page.goto(guest.sandbox.desk_url)
        clerk.work()
        clerk.page.fill("#barcode", typed)
        clerk.page.click("#go")
        clerk.page.wait_for_selector("#same")
    guest.page.wait_for_selector("#code")  # for which the page looks by itself


AGENT = 2
AGENT_ID = "C187654325"


def be_invited(visitor: Visitor) -> None:
    """The citizen has named somebody, who comes."""
    invitation = visitor.page.inner_text("#invitation")
    visitor.be(AGENT)
    visitor.open("/agent")
    visitor.page.fill("#invitation", invitation)


def name_an_agent(visitor: Visitor) -> None:
    visitor.page.fill("#national_id", AGENT_ID)
    visitor.page.click("#invite")


def be_the_citizen_again(visitor: Visitor) -> None:
    """Back on the page from which they have sent somebody."""
    path = visitor.page.url.removeprefix(visitor.sandbox.issuer).replace("/agent/", "/counter/")
    visitor.be(next(who for who, one in enumerate(visitor.sandbox.citizens) if one.username in visitor.cookies))
    visitor.open(f"{path}/agent")


def be_the_agent_again(visitor: Visitor) -> None:
    path = visitor.page.url.removeprefix(visitor.sandbox.issuer).replace("/counter/", "/agent/")
    visitor.be(AGENT)
    visitor.open(path)


def give_it_back(visitor: Visitor) -> None:
    visitor.page.click("#end")
    be_the_citizen_again(visitor)


def be_appointed(visitor: Visitor) -> None:
    """To work at the office, and to say who else does."""
    with Session(visitor.engine) as session, session.begin():
        for role in appointments.ROLES:
            appointments.appoint(session, office=OFFICE, username=visitor.citizen.username, role=role, now=clock.now())
    open_as_citizen(visitor, "/office")


def sign_in_at_the_desk(visitor: Visitor) -> None:
    desk, lang = visitor.context.request, visitor.page.get_attribute("html", "lang")
    desk.get(f"{visitor.sandbox.desk_url}/?lang={'en' if lang == 'en' else 'zh-TW'}")
    sent = desk.post(f"{visitor.sandbox.desk_url}/sign-in", max_redirects=0)
    visitor.page.goto(sent.headers["location"])
    (request_id,) = parse_qs(urlsplit(visitor.page.url).query)["request"]
    open_as_citizen(visitor, f"/office/desk/{request_id}")


def unfreeze(visitor: Visitor) -> None:
    """As whoever has proved by two ways who they are."""
    with Session(visitor.engine) as session, session.begin():
        session.execute(update(Citizen).where(Citizen.id == visitor.citizen_id).values(verified_at=clock.now()))
    visitor.page.click("#unfreeze-confirm")


def show_certificate(path: str, *, card: bool) -> Step:
    """Open a page by way of the proxy that asks for certificates, with one or without."""

    def show(visitor: Visitor) -> None:
        visitor.shows(card)
        visitor.open(path)
        visitor.page.set_extra_http_headers({})

    return show


VISIT: dict[str, Step] = {
    "home": lambda visitor: visitor.open("/"),
    "health card": lambda visitor: visitor.open("/sign-in?method=health_card"),
    "health card, incomplete": lambda visitor: visitor.page.click("#login-submit"),
    "health card, refused": fail_by_health_card,
    "two documents": lambda visitor: visitor.open("/sign-in?method=two_documents"),
    "two documents, incomplete": lambda visitor: visitor.page.click("#login-submit"),
    "code by e-mail": lambda visitor: visitor.open("/sign-in?method=email_code"),
    "code by e-mail, sent": lambda visitor: ask_for_a_code(visitor, visitor.citizen.username),
    "code by e-mail, wrong": lambda visitor: visitor.page.click("#login-submit"),
    "code by e-mail, no more": lambda visitor: visitor.page.click("#another-code"),
    "provider, away": go_to_the_provider,
    "provider, answer refused": lambda visitor: visitor.open("/sign-in/provider/bank?state=x"),
    "sign-in": lambda visitor: visitor.open_request(),
    "sign-in, refused": fail_to_sign_in,
    "certificate, text": ask_for_text,
    "certificate, none": show_certificate("/sign-in/certificate/tls", card=False),
    "certificate, shown": show_certificate("/sign-in/certificate/tls", card=True),
    "consent": read_the_question,
    "consent, by its address": open_the_question,
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
    "consent, delivered": let_fetch,
    "erase": lambda visitor: visitor.page.click("main a[href$='/erase']"),
    "erase, refused": with_a_stale_form("#erase-confirm"),
    "consent, to be erased": lambda visitor: visitor.page.click("#erase-confirm"),
    "erase, asked": lambda visitor: visitor.open(f"/consent/{visitor.page.inner_text('#reference')}/erase"),
    "report": lambda visitor: visitor.open(visitor.page.url.removeprefix(visitor.sandbox.issuer)[:-5] + "report"),
    "report, refused": with_a_stale_form("#report-confirm"),
    "reported": lambda visitor: visitor.page.click("#report-confirm"),
    "correct": lambda visitor: visitor.open(visitor.page.url.removeprefix(visitor.sandbox.issuer)[:-6] + "correct"),
    "correct, refused": lambda visitor: visitor.page.click("#correct-confirm"),
    "consent, to be corrected": correct,
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
    "developer": lambda visitor: visitor.open("/developer"),
    "developer, nothing pasted": lambda visitor: visitor.page.click("#developer-submit"),
    "developer, taken": lambda visitor: paste(visitor, orjson.dumps(new_key().public_jwk()).decode()),
    "developer, refused": lambda visitor: paste(visitor, "x"),
    "requests of a client": lambda visitor: visitor.open("/developer/requests"),
    "requests of a client, not proved": lambda visitor: visitor.page.click("#look"),
    "requests of a client, shown": look_up_requests,
    "datasets for a request": lambda visitor: visitor.open("/developer/datasets"),
    "datasets for a request, none chosen": lambda visitor: visitor.page.click("#continue"),
    "request": lambda visitor: visitor.open("/developer/request?dataset=ris.personal&dataset=fia.income"),
    "request, incomplete": lambda visitor: visitor.page.click("#make"),
    "request, made": build_a_request,
    "downloads": lambda visitor: visitor.open("/download"),
    "downloads, none found": lambda visitor: visitor.open("/download?q=xyzzy"),
    "downloads, none chosen": lambda visitor: visitor.open("/download/basket"),
    "basket": lambda visitor: visitor.open("/download/basket?dataset=ris.personal&dataset=fia.house-tax"),
    "basket, incomplete": lambda visitor: visitor.page.click("#continue"),
    "download, asked": fill_the_basket,
    "download": download,
    "download, over": lambda visitor: visitor.open(visitor.page.url.removeprefix(visitor.sandbox.issuer)),
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
    "sessions": somewhere_else_too,
    "sessions, refused": with_a_stale_form("main .second"),
    "sessions, ended": lambda visitor: visitor.page.click("main .second"),
    "counter": lambda visitor: visitor.open("/counter"),
    "counter, a service": choose_a_service,
    "counter, incomplete": lambda visitor: visitor.page.click("#continue"),
    "visit, agreed": agree_to_a_visit,
    "visit, refused": with_a_stale_form("#show"),
    "visit, shown": lambda visitor: visitor.page.click("#show"),
    "visit, code": be_asked_for_the_code,
    "agent, to be named": lambda visitor: visitor.page.click("#agent"),
    "agent, refused": lambda visitor: visitor.page.click("#invite"),
    "agent, named": name_an_agent,
    "agents": be_invited,
    "agent, asked": lambda visitor: visitor.page.click("#open"),
    "agent, accepted": lambda visitor: visitor.page.click("#accept"),
    "agent, to be confirmed": be_the_citizen_again,
    "agent, confirmed": lambda visitor: visitor.page.click("#confirm"),
    "visit, agent goes": lambda visitor: visitor.page.click("#back"),
    "agent, goes": be_the_agent_again,
    "agent, barcode": lambda visitor: visitor.page.click("#show"),
    "agent, code": be_asked_for_the_code,
    "agent, no more": give_it_back,
    "office": be_appointed,
    "office, its people": lambda visitor: visitor.page.click("main a[href^='/office/']"),
    "office, nobody appointed": lambda visitor: visitor.page.click("#appoint-submit"),
    "desk": sign_in_at_the_desk,
    "ways to sign in": lambda visitor: visitor.open("/account/methods"),
    "add a certificate, none": show_certificate("/account/methods/certificate/tls", card=False),
    "add a certificate, shown": show_certificate("/account/methods/certificate/tls", card=True),
    "add a certificate": lambda visitor: visitor.open("/account/methods/certificate"),
    "add a certificate, text": lambda visitor: visitor.page.click("#add-ask"),
    "add a certificate, refused": lambda visitor: visitor.page.click("#add-confirm"),
    "password and code": lambda visitor: open_as_citizen(visitor, RENEW, method="password_totp"),
    "password": lambda visitor: visitor.open(f"{RENEW}/password"),
    "password, refused": lambda visitor: visitor.page.click("#password-save"),
    "authenticator": lambda visitor: visitor.open(f"{RENEW}/authenticator"),
    "authenticator, refused": lambda visitor: visitor.page.click("#authenticator-save"),
    "recovery codes": lambda visitor: visitor.open(f"{RENEW}/recovery-codes"),
    "recovery codes, refused": with_a_stale_form("#recovery-renew"),
    "recovery codes, new": lambda visitor: visitor.page.click("#recovery-renew"),
    "remove a way": remove_a_way,
    "remove a way, refused": with_a_stale_form("#remove-confirm"),
    "one more way": lambda visitor: visitor.open("/sign-in?return_to=/account/methods&second=1"),
    "leave": lambda visitor: visitor.open("/account/leave"),
    "leave, confirm": lambda visitor: visitor.page.click("#leave-on"),
    "leave, refused": with_a_stale_form("#leave-confirm"),
    "not me": follow_not_me,
    "not me, refused": with_a_stale_form("#not-me-confirm"),
    "not me, done": lambda visitor: visitor.page.click("#not-me-confirm"),
    "not me, unknown": lambda visitor: visitor.open("/not-me?key=x"),
    "left": lambda visitor: visitor.open("/account/left"),  # nobody is signed in any more
    "unfreeze, two ways": lambda visitor: open_as_citizen(visitor, "/account/unfreeze?first=1"),
    "opened again": unfreeze,
    "no such page": lambda visitor: visitor.open("/record/none"),
    "request over": lambda visitor: visitor.open("/consent/unknown"),
    "client unknown": lambda visitor: visitor.open("/authorize?client_id=nobody"),
}


# What can be opened and is no page of ours: for programs, files, and addresses that lead on to others.
NO_PAGES = frozenset(
    {
        "agent.picture",
        "agent.state",
        "catalogue.show",
        "consent.extended",
        "export.as_csv",
        "export.as_json",
        "oauth.authorization_server_metadata",
        "oauth.discovery",
        "oauth.jwks",
        "portal.health",
        "receipts.as_json",
        "receipts.as_pdf",
        "static",
        "upstream.returned",
        "verify.recipients",
        "visit.picture",
        "visit.state",
    }
)


@pytest.fixture(scope="module")
def routes(sandbox: Sandbox) -> MapAdapter:
    """The addresses of the platform."""
    return create_app(config.load(sandbox.work / "server" / "mydata.toml")).url_map.bind("")


def readable(routes: MapAdapter) -> set[str]:
    """What people can open."""
    rules = [rule for rule in routes.map.iter_rules() if "GET" in (rule.methods or ())]
    return {rule.endpoint for rule in rules if caller_of(rule.endpoint) in {ANYONE, CITIZEN}}


def endpoint_of(routes: MapAdapter, url: str) -> str | None:
    """The route of an address, None if it has none."""
    try:
        return str(routes.match(urlsplit(url).path, method="GET")[0])
    except HTTPException:
        return None


def set_up_pages(routes: MapAdapter) -> Iterator[tuple[str, Step]]:
    """The set-up page of each method that has one."""
    for method in METHODS:
        if method.set_up is not None:
            path = routes.build(method.set_up)
            yield f"set up {method.id}", partial(open_as_citizen, path=path)


def ways_in() -> Iterator[tuple[str, Step]]:
    """The sign-in page with each method."""
    for method in METHODS:
        yield f"sign-in by {method.id}", partial(Visitor.open, path=f"/sign-in?method={method.id}")


@pytest.mark.parametrize(("lang", "who"), [("zh-TW", 0), ("en", 1)])
def test_axe_finds_nothing_on_any_page(
    chromium: Browser, sandbox: Sandbox, routes: MapAdapter, lang: str, who: int
) -> None:
    found: list[str] = []
    gaps: list[str] = []
    answers: list[Response] = []
    seen: set[str | None] = set()
    with visitor(chromium, sandbox, lang=lang, who=who, scripts=True, judged=True) as guest:
        guest.page.on(
            "response", lambda answer: answers.append(answer) if answer.request.is_navigation_request() else None
        )
        guest.open(f"/?lang={lang}")
        for name, step in [*ways_in(), *VISIT.items(), *set_up_pages(routes)]:
            step(guest)
            assert guest.page.get_attribute("html", "lang") == LANGUAGES[lang], name
            assert guest.page.locator("h1").count() == 1, name
            gaps += [f"{name}: {place}" for place in spaced(guest.page.inner_text("body"))]
            found += [f"{name}: {problem}" for problem in violations(guest.page, colours=lang == "zh-TW")]
            if answers[-1].ok and answers[-1].request.method == "GET":
                seen.add(endpoint_of(routes, answers[-1].url))
    assert not found
    assert not gaps
    # A page that nobody visits here has to be visited, or said to be none.
    assert readable(routes) - seen == NO_PAGES


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


@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_where_only_the_text_is_twice_as_large_no_field_is_cut_off(
    chromium: Browser, sandbox: Sandbox, width: int
) -> None:
    with visitor(chromium, sandbox, lang="zh-TW", who=1, width=width) as guest:
        guest.prove()
        for path in ("/consents?lang=zh-TW", "/download", "/counter"):
            guest.open(path)
            open_details(guest)
            guest.page.evaluate("document.documentElement.style.fontSize = '200%'")
            assert not guest.page.evaluate("document.documentElement.scrollWidth > window.innerWidth"), path
            cut = guest.page.evaluate(
                """[...document.querySelectorAll('select, input:not([type=hidden], [type=checkbox])')]
                .filter(item => item.clientHeight < 1.2 * parseFloat(getComputedStyle(item).fontSize))
                .map(item => item.outerHTML.slice(0, 80))"""
            )
            assert not cut, path


def test_where_only_the_text_is_twice_as_large_a_word_longer_than_its_line_breaks(
    chromium: Browser, sandbox: Sandbox
) -> None:
    with visitor(chromium, sandbox, lang="en", who=1, width=NARROW) as guest:
        guest.prove()
        guest.let_fetch("ris.personal")
        for path in ("/consents?lang=en", "/messages", "/counter"):
            guest.open(path)
            links = guest.page.locator("main :is(h2 a, .tap)")  # those with names in them
            assert links.count(), path
            links.evaluate_all("links => links.forEach(link => { link.textContent = 'Donaudampfschifffahrten' })")
            guest.page.evaluate("document.documentElement.style.fontSize = '200%'")
            assert not guest.page.evaluate("document.documentElement.scrollWidth > window.innerWidth"), path


@pytest.mark.parametrize("lang", LANGUAGES)
def test_on_the_smallest_telephone_the_other_language_stands_in_the_line_of_the_account(
    chromium: Browser, sandbox: Sandbox, lang: str
) -> None:
    with visitor(chromium, sandbox, lang=lang, who=1, width=NARROW) as guest:
        guest.prove()
        switches = []
        for path, tag in (("/record", "a"), ("/verify", "button")):
            guest.open(f"{path}?lang={lang}")
            entries = [
                *guest.page.locator(".masthead-menu > li").all(),
                guest.page.locator(f".masthead-menu {tag}[lang]"),
            ]
            places = [box for entry in entries if (box := entry.bounding_box())]
            assert len(places) == 4, "who is signed in, the way out, the other language, and what changes to it"
            middles = [place["y"] + place["height"] / 2 for place in places]
            assert max(middles) - min(middles) < 5, path
            switches.append(places[-1]["width"])
        # As wide whether it sends a form or not, with whatever fonts there are.
        assert switches[0] == switches[1]
