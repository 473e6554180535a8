"""A citizen stops everything: what was open is refused everywhere, until a strong sign-in opens the account again."""

import json
import re

import requests
from joserfc.jwk import ECKey

from client_examples.bank_web.client import Journey, Refused, client_assertion, dpop_proof

from .. import promises
from ..browser import Browser
from ..promises import Say, check
from ..sandbox import Sandbox
from ..settings import PROXY_CLIENT_ID

DATASET = "ris.personal"


def drive(sandbox: Sandbox, canary: str, say: Say) -> str:
    """Consent, freeze, try everything, unfreeze, consent again; return what was verified, in a line."""
    browser, elsewhere = (Browser("en", stop_at=sandbox.checker.redirect_uri) for _ in range(2))
    for each in (browser, elsewhere):
        each.open(f"{sandbox.issuer}/?lang=en")
        promises.arrive(each, f"{sandbox.issuer}/record", sandbox.citizens[0], say)
    say("three consents: one is fetched, one has its tokens, of one the code is not redeemed yet")
    fetched, waiting, coming = (agree(sandbox, browser, say) for _ in range(3))
    for asked, answer in (fetched, waiting):
        sandbox.checker.take_answer(asked, answer)
    check(fetch(sandbox, fetched[0], canary), "the first is fetched")
    check(is_active(sandbox, waiting[0]), "the second is good to be fetched")
    question = browser.open(f"{sandbox.issuer}/account/freeze")
    say(f"the page asks: {question.title}")
    page = browser.submit(question, "freeze-confirm")
    check("Everything is stopped" in page.text, f"everything is stopped: {page.text[:300]}")
    check("/sign-in" in elsewhere.open(f"{sandbox.issuer}/record").url, "the other browser is signed out")
    everything_is_refused(sandbox, fetched[0], waiting[0], coming, say)
    reference = nothing_can_be_agreed_to(sandbox, browser, say)
    say("unfreezing, with a sign-in of level 3 or stronger, not older than five minutes")
    promises.unfreeze(sandbox, browser, sandbox.citizens[0], say)
    check(status(waiting[0]) == 401, "what was stopped stays stopped")
    again, answer = agree(sandbox, browser, say)
    sandbox.checker.take_answer(again, answer)
    check(fetch(sandbox, again, canary), "a new consent works")
    told = browser.open(f"{sandbox.issuer}/record?lang=en").text
    for sentence in ("Everything was stopped", "You unfroze your account", reference):
        check(sentence in told, f"the record tells it: {sentence}")
    promises.nothing_left_behind(sandbox, canary, say)
    return (
        "after one button: dataset token, code, introspection and UserInfo refused, also of what was fetched; nothing "
        "can be agreed to, other browsers are signed out; after a strong sign-in a new consent works, and what was "
        "stopped stays stopped; all of it is on the record"
    )


def agree(sandbox: Sandbox, browser: Browser, say: Say) -> tuple[Journey, str]:
    """Ask and agree: the request, and the address with its answer."""
    asked, address = sandbox.checker.ask(DATASET, locale="en")
    browser.submit(promises.arrive(browser, address, sandbox.citizens[0], say), "consent-approve")
    return asked, browser.stopped_at


def fetch(sandbox: Sandbox, asked: Journey, canary: str) -> bool:
    """Fetch the dataset; whether it came and is the right one."""
    (fetch,) = asked.fetches
    sandbox.checker.client.fetch(asked, fetch)
    return fetch.package is not None and canary in str(fetch.package.data)


def status(asked: Journey) -> int:
    """What the proxy answers to the dataset token."""
    (fetch,) = asked.fetches
    return _get(asked, fetch.grant["locations"][0], fetch.grant["access_token"])


def is_active(sandbox: Sandbox, asked: Journey) -> bool:
    """What introspection says of the dataset token, to the proxy."""
    keys = json.loads((sandbox.work / "proxy" / "keys.json").read_text())["keys"]
    (key,) = (ECKey.import_key(jwk) for jwk in keys if jwk["use"] == "sig")
    (fetch,) = asked.fetches
    form = {"token": fetch.grant["access_token"]} | client_assertion(PROXY_CLIENT_ID, sandbox.issuer, key)
    answer = requests.post(f"{sandbox.issuer}/introspect", data=form, timeout=60)
    check(answer.status_code == 200, f"introspection answers, not {answer.status_code} {answer.text}")
    return bool(answer.json()["active"])


def everything_is_refused(
    sandbox: Sandbox, fetched: Journey, waiting: Journey, coming: tuple[Journey, str], say: Say
) -> None:
    """Present all that there is."""
    say("presenting the dataset token, to the proxy and to introspection")
    check(status(waiting) == 401, "the dataset token is refused")
    check(not is_active(sandbox, waiting), "introspection calls it inactive")
    say("presenting the access tokens at UserInfo, and the code")
    for asked in (fetched, waiting):
        check(_get(asked, f"{sandbox.issuer}/userinfo", asked.access_token) == 401, "UserInfo is refused")
    try:
        sandbox.checker.take_answer(*coming)
    except Refused as refused:
        check("invalid_grant" in str(refused), f"the code is refused as such, not {refused}")
    else:
        check(False, "the code is refused")


def nothing_can_be_agreed_to(sandbox: Sandbox, browser: Browser, say: Say) -> str:
    """Ask once more: the page says why not, and refusing works; its reference number."""
    _, address = sandbox.checker.ask(DATASET, locale="en")
    page = browser.open(address)
    say(f"asked once more, the page says: {page.title}")
    check("You have stopped everything" in page.text, f"the page says why: {page.text[:300]}")
    reference = re.search(promises.REFERENCE, page.text)
    browser.submit(page, "consent-deny")
    check("error=access_denied" in browser.stopped_at, f"refusing works: {browser.stopped_at}")
    return reference[0] if reference else "no reference number"


def _get(asked: Journey, url: str, token: str) -> int:
    proof = dpop_proof(asked.dpop_key, "GET", url, access_token=token)
    return requests.get(url, headers={"Authorization": f"DPoP {token}", "DPoP": proof}, timeout=60).status_code
