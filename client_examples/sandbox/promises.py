"""What every scene does on its way, and the looks that it takes at the promises."""

import html
import re
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import requests

from . import checker as wanted
from . import traces
from .browser import Browser, Page
from .checker import Checker, Got
from .citizens import Citizen
from .sandbox import DATABASE, Sandbox

LARGE_BYTES = 20 * 1000 * 1000
MOST_PAGES = 20
LETTER_LIMIT_S = 60
LOOK_EVERY_S = 0.2
REFERENCE = r"T[0-9A-Z]{4}-[0-9A-Z]{4}-[0-9A-Z]{4}"

Say = Callable[[str], None]


class PromiseBroken(Exception):
    """What should have held, and what was seen instead."""


def check(holds: object, promise: str) -> None:
    """Raise PromiseBroken unless it holds."""
    if not holds:
        raise PromiseBroken(promise)


def new_canary() -> str:
    """A text for every record that is found nowhere else; short, so that it fits into most fields."""
    return f"CANARY{secrets.token_hex(8)}"


def asked_to_sign_in(page: Page) -> bool:
    """Whether the page is the platform's sign-in page."""
    return any(control.id == "login-submit" for form in page.forms for control in form.controls)


def sign_in(browser: Browser, page: Page, citizen: Citizen, say: Say) -> Page:
    """Sign in where the platform asks for it, by password if that is offered first; return the page after it."""
    if any(control.name == "username" for form in page.forms for control in form.controls):
        say(f"{citizen.username} signs in with password and one-time code")
        fields = {"username": citizen.username, "password": citizen.password, "one_time_code": citizen.one_time_code()}
        return browser.submit(page, "login-submit", fields=fields)
    say(f"{citizen.username} signs in with the Citizen Digital Certificate")
    # A passkey is a browser's with a device; what is offered first may be that.
    other = [url for url in page.links.values() if "method=certificate" in url]
    page = browser.open(other[0]) if other else page
    page = browser.submit(page, "login-submit")
    text = re.search(r"mydata sign-in \S+ \S+", page.text)
    check(text, f"the page shows a text to sign: {page.text[:300]}")
    return browser.submit(page, "login-submit", fields={"pasted": citizen.sign(text[0] if text else "")})


def arrive(browser: Browser, address: str, citizen: Citizen, say: Say) -> Page:
    """Go where a request leads, and prove who one is if that is asked on the way; return the page after it."""
    page = browser.open(address)
    return sign_in(browser, page, citizen, say) if asked_to_sign_in(page) else page


def unfreeze(sandbox: Sandbox, browser: Browser, citizen: Citizen, say: Say) -> None:
    """Open a frozen account again, proving once more who one is if that is asked on the way."""
    page = browser.submit(browser.open(f"{sandbox.issuer}/account/unfreeze"), "unfreeze-confirm")
    if asked_to_sign_in(page):
        page = browser.submit(sign_in(browser, page, citizen, say), "unfreeze-confirm")
    check("no longer frozen" in page.text, f"the account is open again: {page.text[:300]}")


def decide(browser: Browser, page: Page, checker: Checker, say: Say) -> str:
    """Read the consent page, tick one optional field, agree; return the reference number that the page shows."""
    say(f"the platform asks: {page.title}")
    form = page.form_with("consent-approve")
    boxes = [control for control in form.controls if control.kind == "checkbox"]
    check(len(boxes) == 2 and not any(box.checked for box in boxes), "two optional fields are offered, none is ticked")
    (ticked,) = (box.value for box in boxes if box.value.endswith(f"/{wanted.TICKED}"))
    reference = re.search(REFERENCE, page.text)
    check(reference, "the page shows a reference number")
    browser.submit(page, "consent-approve", fields={"optional": [ticked]})
    check(browser.stopped_at.startswith(checker.redirect_uri), f"the citizen is sent back, not to {browser.stopped_at}")
    say(f"agreed, with the optional field {wanted.TICKED} and without {wanted.UNTICKED}")
    return reference[0] if reference else ""


def check_fetched(found: Mapping[str, Got], canary: str) -> None:
    """Every dataset came as it should, with the fields that were granted and no other."""
    check(set(found) == {dataset for dataset, *_ in wanted.WANTED}, f"every dataset is granted, not {sorted(found)}")
    for name, got in found.items():
        expected = "no-record" if name == wanted.WITHOUT_RECORD else "done"
        check(got.status == expected, f"{name}: {expected}, not {got.status}")
        if got.status == "done":
            check(set(got.data) == set(got.fields), f"{name}: exactly the granted fields, not {sorted(got.data)}")
            check(canary in str(got.data), f"{name}: holds the text that is looked for afterwards")
    check(wanted.TICKED in found["ris.personal"].data, "the optional field that was ticked is there")
    check(wanted.UNTICKED not in found["ris.personal"].data, "the optional field that was not ticked is not there")
    check(found[wanted.SLOW].was_preparing, f"{wanted.SLOW}: was first answered with 'preparing'")
    size_bytes = found[wanted.LARGE].size_bytes
    check(size_bytes >= LARGE_BYTES, f"{wanted.LARGE}: 20 MB, not {size_bytes} bytes")


def read_record(browser: Browser, sandbox: Sandbox, reference: str = "") -> list[str]:
    """The sentences of the citizen's own record, oldest first, as the pages show them; about one request, if named."""
    entries: list[tuple[str, str]] = []
    url = f"{sandbox.issuer}/record?lang=en"
    for _ in range(MOST_PAGES):
        page = browser.open(url)
        check(page.status == 200, f"the record can be read, not {page.status}")
        for entry in re.findall(r'<time datetime="([^"]+)">(.*?)</li>', page.html, re.DOTALL):
            sentence = re.search(r"<p>(.*?)</p>", entry[1], re.DOTALL)
            if reference in entry[1] and sentence is not None:
                entries.append((entry[0], " ".join(html.unescape(re.sub(r"<[^>]*>", "", sentence[1])).split())))
        older = re.search(r'href="([^"]+)" rel="next"', page.html)
        if older is None:
            break
        url = sandbox.issuer + html.unescape(older[1])
    check(entries == sorted(entries, key=lambda entry: entry[0], reverse=True), "the record is in order, newest first")
    return [sentence for _, sentence in reversed(entries)]


def wait_for_letter(sandbox: Sandbox, to: str, words: str, *, about: str = "", whole: bool = False) -> str:
    """The text of the newest message to an address or number with these words in its subject, once it has arrived.

    Args: about: the reference number that its text has to name; whole: the words are all that its subject says, in one
    of the languages.
    """
    deadline = time.monotonic() + LETTER_LIMIT_S
    while time.monotonic() < deadline:
        letters = requests.get(f"{sandbox.mailbox_url}/letters.json", params={"to": to}, timeout=30).json()
        for letter in letters:
            said = letter["subject"].split(" / ") if whole else letter["subject"]
            if words in said and about in letter["text"]:
                return str(letter["text"])
        time.sleep(LOOK_EVERY_S)
    raise PromiseBroken(f"a message about {words!r} arrives within {LETTER_LIMIT_S} s")


# What the record says of a dataset, as a letter each (the first that fits), and in which order it has to be said.
LETTERS = {
    "may fetch": "I",
    "delivery": "S",
    "began": "L",
    "is preparing": "P",
    "was delivered": "D",
    "no record": "N",
    "refused": "R",
}
EXPECTED = {"done": r"IL(PL)*S?DR*", "no-record": r"I(LN)+"}


def check_record(entries: Sequence[str], found: Mapping[str, Got], names: Mapping[str, str]) -> None:
    """Every step is on the record, in order.  Args: names: what the catalogue calls each dataset in English."""
    check(len(entries) >= 2, f"the record has entries: {entries}")
    check("asked for your data" in entries[0] and "You agreed" in entries[1], f"asked, then agreed: {entries[:2]}")
    for name, got in found.items():
        of_dataset = [entry for entry in entries if names[name] in entry]
        letters = "".join(next((LETTERS[words] for words in LETTERS if words in entry), "?") for entry in of_dataset)
        what = f"{name}, {got.status}: {letters}: {of_dataset}"
        check(re.fullmatch(EXPECTED[got.status], letters), f"the record is complete and in order: {what}")
        check(("P" in letters) == got.was_preparing, f"'preparing' is on the record if it was said: {what}")


def nothing_in_memory(sandbox: Sandbox, canary: str, say: Say) -> None:
    """Search the memory of the platform's processes for the data. That it is found is seen at the agencies."""
    say("searching the memory of the platform's processes for the data")
    check(Path("/proc/self/mem").exists(), "memory can be searched, as on Linux")
    names = ("server", "worker", "proxy", "agency")
    found = [name for name in names if traces.in_memory(sandbox.processes[name].pid, canary)]
    check(found[-1:] == ["agency"], "the agencies hold the data, and the search finds it")
    check(len(found) == 1, f"no process of the platform ever had the data in a form that it can read: {found[:-1]}")


def nothing_left_behind(sandbox: Sandbox, canary: str, say: Say) -> None:
    """Search for the data where it must not be."""
    say("searching logs, database, temporary and working folders for the data")
    found = traces.in_folder(sandbox.work, canary)
    if sandbox.postgres is not None:
        found += traces.in_folder(sandbox.postgres.directory, canary)
        dump = sandbox.postgres.dump(DATABASE)
    else:
        dump = traces.sqlite_dump(sandbox.work / "server" / "mydata.sqlite3")
    check(b"audit_entry" in dump, "the dump holds the tables")
    check(not traces.in_bytes(dump, canary), "the database holds no data")
    check(not found, f"no file holds data: {', '.join(map(str, found))}")
