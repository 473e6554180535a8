"""A citizen stops a consent while it is being fetched, a thousand times: no byte leaves after that was promised."""

import os
import random
import re
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import count

from client_examples.bank_web.client import Journey, dpop_proof

from .. import promises
from ..browser import Browser, Page
from ..checker import LARGE
from ..citizens import Citizen
from ..counted_fetch import CountedFetch
from ..promises import Say, check
from ..sandbox import Sandbox

SMALL = "ris.personal"
RACES = int(os.environ.get("SANDBOX_RACES", "1000"))
MOST_MORE = 100  # races, should fewer not have come to every end
LARGE_EVERY = 20  # of so many races one is about 20 MB: there the stop falls into the time in which they arrive
SLOW_EVERY = 5  # of those, one has a recipient that takes its time
SLOW_REST_S = 0.05
# What may be on its way to a slow recipient when a consent ends, and can't be called back (docs/deploy.md).
MOST_ON_ITS_WAY_BYTES = 2 * 1024 * 1024
# What the page says of a dataset, and what it has to mean.
SAYS = {"Delivered on": "delivered", "not delivered": "stopped", "Broken off on": "broken off"}


@dataclass
class Tally:
    """What the races came to; shared by all who race."""

    ended: Counter[str] = field(default_factory=Counter)
    stops_s: list[float] = field(default_factory=list)
    durations_s: dict[str, float] = field(default_factory=lambda: {SMALL: 0.05, LARGE: 0.1})
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def unseen(self) -> list[str]:
        """The ends to which no race has come yet."""
        return [how for how in SAYS.values() if not self.ended[how]]

    def add(self, ended: str, stop_s: float, fetch: CountedFetch, dataset: str) -> None:
        with self.lock:
            self.ended[ended] += 1
            self.stops_s.append(stop_s)
            if fetch.is_complete:  # so that the next stop falls into the time of a fetch, wherever in it
                took_s = fetch.took_s if dataset == SMALL else fetch.body_took_s
                self.durations_s[dataset] += (took_s - self.durations_s[dataset]) / 8


def drive(sandbox: Sandbox, canary: str, say: Say) -> str:
    """Race, with a browser for each citizen; return what was verified, in a line."""
    tally, numbers = Tally(), count()
    say(f"{RACES} times: a fetch begins, and somewhere in it the citizen presses the button")
    with ThreadPoolExecutor(len(sandbox.citizens)) as threads:
        for racing in [threads.submit(race_on, sandbox, citizen, numbers, tally, say) for citizen in sandbox.citizens]:
            racing.result()
    promises.nothing_left_behind(sandbox, canary, say)
    check(not tally.unseen, f"the races were close: some ended as each of {tally.unseen}: {dict(tally.ended)}")
    slowest = sorted(tally.stops_s)[len(tally.stops_s) * 99 // 100]
    ended = ", ".join(f"{tally.ended[how]} {how}" for how in SAYS.values())
    return (
        f"{sum(tally.ended.values())} stops raced against a fetch ({ended}): where the page does not say delivered, "
        f"not a byte came after it; what is stopped never came whole; neither token works afterwards; "
        f"99 of 100 stops answered within {slowest:.2f} s"
    )


def race_on(sandbox: Sandbox, citizen: Citizen, numbers: Iterator[int], tally: Tally, say: Say) -> None:
    """Race until the last number is taken, and on until every end was seen: to some of them only large ones come."""
    browser = Browser("en", stop_at=sandbox.checker.redirect_uri)
    browser.open(f"{sandbox.issuer}/?lang=en")
    # For the large dataset the strongest proof is demanded, which is good for the small one, too.
    promises.arrive(browser, sandbox.checker.ask(LARGE, locale="en")[1], citizen, say)
    for number in iter(lambda: next(numbers), None):
        if number >= RACES and (not tally.unseen or number >= RACES + MOST_MORE):
            return
        if number and number % 100 == 0:
            say(f"{number} raced: {dict(tally.ended)}")
        is_large = number % LARGE_EVERY == 0 or number >= RACES
        is_slow = is_large and number % (LARGE_EVERY * SLOW_EVERY) == 0
        race(sandbox, browser, LARGE if is_large else SMALL, SLOW_REST_S if is_slow else 0, tally)


def race(sandbox: Sandbox, browser: Browser, dataset: str, rest_s: float, tally: Tally) -> None:
    """Let one consent be fetched and stopped at once; check that the page, the client and the tokens agree."""
    asked, reference = consent_to(sandbox, browser, dataset)
    (grant,) = (fetch.grant for fetch in asked.fetches)
    question = browser.open(f"{sandbox.issuer}/consent/{reference}/stop")
    fetch = CountedFetch(asked, grant["access_token"], grant["locations"][0], rest_s=rest_s)
    at_s = random.uniform(0, 1.3 * tally.durations_s[dataset])  # noqa: S311 - only a moment
    fetch.start()
    if dataset == LARGE:
        fetch.began.wait()
    time.sleep(at_s)
    pressed = time.monotonic()
    page = browser.submit(question, "stop-confirm")
    before = fetch.arrived()
    stop_s = time.monotonic() - pressed
    fetch.end()
    ended = what_it_says(page)
    late = fetch.arrived() - before if fetch.status == 200 else 0
    told = f"{reference}: the page says {ended}; status {fetch.status}, {fetch.body_bytes} of {fetch.announced_bytes}"
    check(fetch.is_complete == (ended == "delivered"), f"what came whole is called delivered, and only that: {told}")
    check(fetch.status != 200 or ended != "stopped", f"of what was stopped nothing came: {told}")
    if ended != "delivered":
        most = MOST_ON_ITS_WAY_BYTES if rest_s else 0
        check(late <= most, f"{late} bytes came after the page had said {ended}: {told}")
    nothing_opens(sandbox, asked)
    tally.add(ended, stop_s, fetch, dataset)


def consent_to(sandbox: Sandbox, browser: Browser, dataset: str) -> tuple[Journey, str]:
    """Ask, agree, and take the tokens: the request with them, and its reference number."""
    checker = sandbox.checker
    asked, address = checker.ask(dataset, locale="en")
    page = browser.open(address)
    reference = re.search(promises.REFERENCE, page.text)
    check(reference, f"the page shows a reference number: {page.text[:300]}")
    browser.submit(page, "consent-approve")
    checker.take_answer(asked, browser.stopped_at)
    return asked, reference[0] if reference else ""


def what_it_says(page: Page) -> str:
    """How the page that answers a stop says that the dataset ended."""
    found = [ended for words, ended in SAYS.items() if words in page.text]
    check(len(found) == 1, f"the page says how it ended: {page.status} {page.text[:600]}")
    return found[0]


def nothing_opens(sandbox: Sandbox, asked: Journey) -> None:
    """The dataset token and the access token are refused."""
    (grant,) = (fetch.grant for fetch in asked.fetches)
    for url, token in (
        (grant["locations"][0], grant["access_token"]),
        (f"{sandbox.issuer}/userinfo", asked.access_token),
    ):
        proof = dpop_proof(asked.dpop_key, "GET", url, access_token=token)
        headers = {"Authorization": f"DPoP {token}", "DPoP": proof}
        answer = sandbox.checker.client.http.get(url, headers=headers, timeout=60)
        check(answer.status_code == 401, f"{url.partition('?')[0]} is refused, not answered {answer.status_code}")
