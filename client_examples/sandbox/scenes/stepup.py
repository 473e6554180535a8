"""A citizen is signed in with less than a dataset demands: more is proved in mid-flow, and the request isn't lost."""

import json
import re

import requests

from client_examples.bank_web.client import Refused

from .. import promises
from ..browser import Browser, Page
from ..promises import Say, check
from ..sandbox import Sandbox

ENOUGH, MORE = "nhi.enrolment", "ris.id-card-image"  # demand level 3, and level 1
ACR = "urn:mydata:acr:level-"
UNMET = "unmet_authentication_requirements"


def drive(sandbox: Sandbox, canary: str, say: Say) -> str:
    """Step up for a dataset, then let a demand fail; return what was verified, in a line."""
    checker, browser = sandbox.checker, signed_in_with_less(sandbox, say)
    _, address = checker.ask(ENOUGH, locale="en")
    check("consent-approve" in browser.open(address).html, "what demands no more is asked at once")
    weak = browser.cookie("mydata")
    asked, address = checker.ask(ENOUGH, MORE, locale="en", claims=demand(f"{ACR}1"))
    page = browser.open(address)
    reference = asks_for_more(sandbox, page, say)
    page = promises.sign_in(browser, page, sandbox.citizens[2], say)
    check("consent-approve" in page.html and reference in page.text, f"the same request goes on: {page.text[:300]}")
    check(weak and browser.cookie("mydata") not in {"", weak}, "the session id changed")
    old = requests.get(f"{sandbox.issuer}/record", cookies={"mydata": weak}, allow_redirects=False, timeout=60)
    check("/sign-in" in old.headers.get("Location", ""), f"the old session id opens nothing: {old.status_code}")
    browser.submit(page, "consent-approve")
    acr = checker.take_answer(asked, browser.stopped_at)["acr"]
    check(acr == f"{ACR}1", f"the client gets the acr that it demanded, not {acr}")
    for got in checker.fetch_all(asked, say):
        check(got.status == "done" and canary in str(got.data), f"{got.dataset} is fetched, not {got.status}")
    nobody_can_meet(sandbox, say)
    promises.nothing_left_behind(sandbox, canary, say)
    return (
        "signed in at level 3, asked in mid-flow for level 1, with the dataset that demands it and only ways that "
        "suffice; the same request went on, the session id changed and the old one opens nothing, the client got the "
        f"acr it demanded and the data; an unknown acr is refused when pushed, and one that nobody can meet "
        f"ends with {UNMET}"
    )


def signed_in_with_less(sandbox: Sandbox, say: Say) -> Browser:
    """A browser with a session of level 3."""
    browser = Browser("en", stop_at=sandbox.checker.redirect_uri)
    page = browser.open(f"{sandbox.issuer}/sign-in?method=password_totp&lang=en")
    check("one_time_code" in page.html, "the password is offered for the own pages")
    promises.sign_in(browser, page, sandbox.citizens[2], say)
    check("/sign-in" not in browser.open(f"{sandbox.issuer}/record").url, "the citizen is signed in")
    return browser


def asks_for_more(sandbox: Sandbox, page: Page, say: Say) -> str:
    """The page says what it demands and for what, and offers only what suffices; its reference number."""
    say(f"in mid-flow the platform asks: {page.title}")
    name = sandbox.checker.names()[MORE]
    for words in ("You are signed in, but", "Identity level demanded: 1", f"It is demanded for: {name}."):
        check(words in page.text, f"the page says {words!r}: {page.text[:600]}")
    fields = {control.name for form in page.forms for control in form.controls}
    ways = [url for url in page.links.values() if "method=" in url]
    check("one_time_code" not in fields and not ways, f"only what suffices is offered, not {ways}")
    reference = re.search(promises.REFERENCE, page.text)
    check(reference, "the page shows the reference number")
    return reference[0] if reference else ""


def nobody_can_meet(sandbox: Sandbox, say: Say) -> None:
    """Demand what the platform does not know, and what it can't prove any more."""
    say("demanding an acr that the platform does not know")
    try:
        sandbox.checker.ask(ENOUGH, claims=demand("urn:example:unknown"))
    except Refused as refused:
        check("invalid_request" in str(refused), f"it is refused as such, not {refused}")
    else:
        check(False, "an unknown acr is refused when it is pushed")
    say("the operator takes certificates out of the settings; demanding level 1")
    settings = sandbox.work / "server" / "mydata.toml"
    before = settings.read_text()
    settings.write_text(before.replace("certificate = 1\n", ""))
    sandbox.restart("server")
    browser = Browser("en", stop_at=sandbox.checker.redirect_uri)
    _, address = sandbox.checker.ask(ENOUGH, locale="en", claims=demand(f"{ACR}1"))
    page = browser.open(address)
    check("is strong enough for this request" in page.text, f"the page says why it ends: {page.text[:600]}")
    browser.submit(page, "login-cancel")
    check(f"error={UNMET}" in browser.stopped_at, f"the client is told: {browser.stopped_at}")
    settings.write_text(before)
    sandbox.processes["server"].stop()  # the next scene starts it with these


def demand(acr: str) -> str:
    """The claims parameter that demands this acr (OpenID Connect Core section 5.5.1.1)."""
    return json.dumps({"id_token": {"acr": {"essential": True, "value": acr}}})
