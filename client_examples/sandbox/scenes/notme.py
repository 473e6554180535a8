"""The "not me" link: a consent is told by e-mail, the link in it stops everything; a second time changes nothing."""

import re

from client_examples.bank_web.client import Journey as Request

from .. import promises
from ..browser import Browser, Page
from ..checker import Got
from ..citizens import Citizen
from ..promises import Say, check
from ..sandbox import Sandbox

AGREED, FROZEN = "You agreed to share data with Sandbox Checker", "Your account is frozen"


def drive(sandbox: Sandbox, canary: str, say: Say) -> str:
    """Somebody agrees in a citizen's name; the citizen reads the e-mail and stops it. Return what was verified."""
    # Nobody else freezes this one's account: letters about that name no reference number.
    citizen, checker = sandbox.citizens[2], sandbox.checker
    request, address = checker.ask()
    intruder = Browser(stop_at=checker.redirect_uri)
    page = promises.sign_in(intruder, intruder.open(address), citizen, say)
    reference = promises.decide(intruder, page, checker, say)
    checker.take_answer(request, intruder.stopped_at)
    first, second, *_ = (checker.granted(fetch) for fetch in request.fetches)
    link = link_in(sandbox, citizen, AGREED, say, about=reference)
    reader = Browser(language="en")
    page = followed(reader, link, say)
    check(checker.try_again(request, first) == 200, "following the link changed nothing: a token still works")
    say("the citizen presses the button")
    page = reader.submit(page, "not-me-confirm")
    check("Everything is stopped" in page.title, f"the page says that everything is stopped: {page.title}")
    refused = refused_token(sandbox, request, second, say)
    check("login-submit" in intruder.open(f"{sandbox.issuer}/record").html, "the intruder is signed out")
    link_in(sandbox, citizen, FROZEN, say)
    own = nothing_more(sandbox, citizen, reader, page, say)
    say("the citizen opens the account again, which takes a second way to prove who one is")
    promises.unfreeze(sandbox, own, citizen, say)
    promises.nothing_left_behind(sandbox, canary, say)
    return (
        "consent told by e-mail over SMTP; following the link changed nothing; its button froze the account without a "
        f"sign-in, signed everybody out, and the client's token is answered {refused}; a second use changed nothing"
    )


def link_in(sandbox: Sandbox, citizen: Citizen, subject: str, say: Say, *, about: str = "") -> str:
    """The "not me" link of a letter that has arrived."""
    text = promises.wait_for_letter(sandbox, citizen.email, subject, about=about)
    say(f"an e-mail to {citizen.email}: {subject}")
    found = re.search(r"http\S+/not-me\?key=\S+&lang=en", text)
    check(found, f"the e-mail has the link: {text}")
    return found[0] if found else ""


def followed(reader: Browser, link: str, say: Say) -> Page:
    """The page that the link leads to, opened as often as programs do that look at mails."""
    say("the link is followed, twice: by a program that looks at mails, and by the citizen")
    reader.open(link)
    page = reader.open(link)
    check(page.status == 200 and "Not you?" in page.title, f"the page asks first: {page.title}")
    return page


def refused_token(sandbox: Sandbox, request: Request, got: Got, say: Say) -> int:
    """The status with which a token is refused that was good before."""
    status = sandbox.checker.try_again(request, got)
    say(f"the client's token is answered {status}")
    check(status == 401, f"a token that was not used yet is refused, not answered {status}")
    return status


def nothing_more(sandbox: Sandbox, citizen: Citizen, reader: Browser, page: Page, say: Say) -> Browser:
    """Using the link again neither ends a session nor leaves an entry; the browser with that session."""
    own = Browser(language="en")
    promises.sign_in(own, own.open(f"{sandbox.issuer}/sign-in"), citizen, say)
    # The entries alone: how many messages are unread stands on the page, too, and the worker has some on their way.
    before = promises.read_record(own, sandbox)
    check(before, "the record says what was stopped")
    say("the link a second time")
    again = reader.open(page.url)
    check("Everything is stopped" in again.title, f"the link shows what it did: {again.title}")
    check(not again.forms, "there is no button any more")
    after = promises.read_record(own, sandbox)
    check(after == before, f"the second use changed nothing, and signed nobody out: {before}, {after}")
    return own
