"""The online service from the first click to the record: at two banks' web sites, and a dataset of every kind."""

from .. import promises
from ..browser import Browser
from ..citizens import Citizen
from ..promises import Say, check
from ..sandbox import Sandbox

CLIENTS = ("bank", "node-bank")


def drive(sandbox: Sandbox, canary: str, say: Say) -> str:
    """Drive both journeys and check everything; return what was verified, in a line."""
    through_the_bank(sandbox.bank_url, sandbox.citizens[0], canary, say)
    through_the_bank(sandbox.node_bank_url, sandbox.citizens[2], canary, say)
    told = as_a_client(sandbox, sandbox.citizens[1], canary, say)
    promises.nothing_left_behind(sandbox, canary, say)
    nothing = "nothing left behind in logs, database, temporary and working folders"
    return f"both banks' web sites show the data; {told}; {nothing}"


def through_the_bank(url: str, citizen: Citizen, canary: str, say: Say) -> None:
    """Apply at a bank's web site, as a citizen does, and see the data there."""
    browser = Browser()
    say(f"the citizen {citizen.username} applies at a bank's web site, {url}")
    start = browser.open(url)
    products = [form for form in start.forms if form.action.startswith("/apply/")]
    check(products, f"the bank offers a product: {start.text[:300]}")
    page = browser.press(start, products[0])
    page = promises.sign_in(browser, page, citizen, say)
    say(f"the platform asks: {page.title}")
    page = browser.submit(page, "consent-approve")
    say("agreed; the bank fetches")
    page = browser.settle(page)
    check(page.status == 200 and canary in page.text, f"the bank shows the data ({page.status}): {page.text[:300]}")


def as_a_client(sandbox: Sandbox, citizen: Citizen, canary: str, say: Say) -> str:
    """Ask for a dataset of every kind, fetch each, try each token a second time, read the record."""
    checker = sandbox.checker
    request, address = checker.ask()
    browser = Browser(stop_at=checker.redirect_uri)
    page = promises.sign_in(browser, browser.open(address), citizen, say)
    reference = promises.decide(browser, page, checker, say)
    checker.take_answer(request, browser.stopped_at)
    found = {got.dataset: got for got in checker.fetch_all(request, say)}
    promises.check_fetched(found, canary)
    say("each token a second time")
    for got in found.values():
        again = checker.try_again(request, got)
        check(again == got.expected_again, f"{got.dataset}: a second use is answered {got.expected_again}, not {again}")
    entries = promises.read_record(browser, sandbox, reference)
    say(f"the citizen's record of {reference}, oldest first:")
    for entry in entries:
        say(f"   {entry}")
    promises.check_record(entries, found, checker.names())
    delivered = sum(got.status == "done" for got in found.values())
    return (
        f"{delivered} datasets fetched (one slow, one of 20 MB, one from an agency without JOSE), 1 without a record; "
        f"no spent token works again; record complete and in order ({len(entries)} entries)"
    )
