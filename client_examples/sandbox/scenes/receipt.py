"""Receipts and the record are taken home, and verified offline: to the bit, and from before a key was rotated, too."""

import io
import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import requests
from pypdf import PdfReader

from .. import promises
from ..browser import Browser
from ..promises import Say, check
from ..sandbox import Sandbox

DATASET = "ris.personal"
CHANGES = 40  # of each file: one bit each, at places all over it
HAN = ("同意收據", "沙盒檢查員", "個人戶籍資料", "檢查沙盒是否遵守承諾")
INTACT, NOT_INTACT, UNDECIDED = "intact", "not intact", "cannot be judged"
STATUS = {NOT_INTACT: 1, UNDECIDED: 2, INTACT: 0}  # the first of them that is found


def drive(sandbox: Sandbox, canary: str, say: Say) -> str:
    """Agree, fetch, save, rotate, save again; stop the servers and verify; return what was verified, in a line."""
    citizen, checker = sandbox.citizens[0], sandbox.checker
    office = sandbox.work / "office"
    office.mkdir()
    request, address = checker.ask(DATASET)
    browser = Browser(stop_at=checker.redirect_uri)
    page = promises.arrive(browser, address, citizen, say)
    reference = promises.decide(browser, page, checker, say)
    checker.take_answer(request, browser.stopped_at)
    checker.fetch_all(request, say)
    offered_everywhere(sandbox, browser, reference, say)
    old = save(sandbox, browser, office, reference, "old")
    say("the operator rotates the key; the citizen takes the same files again")
    sandbox.commands(["rotate-key"])
    sandbox.restart("server")
    new = save(sandbox, browser, office, reference, "new")
    say("every server is stopped; an office has the files and the published keys, nothing else")
    sandbox.halt()
    verify(sandbox, office, "old-jwks.json", dict.fromkeys(old, INTACT) | dict.fromkeys(new, UNDECIDED))
    verify(sandbox, office, "new-jwks.json", dict.fromkeys([*old, *new], INTACT))
    read_pdf(office / "old-receipt.pdf", reference, say)
    changed = change_bits(office, old)
    say(f"{len(changed)} times one bit is changed, all over the files")
    verify(sandbox, office, "new-jwks.json", dict.fromkeys(changed, NOT_INTACT))
    promises.nothing_left_behind(sandbox, canary, say)
    return (
        f"receipt (JSON and PDF) and record verified offline by the published keys alone, after a key rotation, too; "
        f"{len(changed)} one-bit changes all over them, each found; the PDF shows Han characters; "
        "keys older than a signature judge nothing; the receipt is offered on the outcome page, in the record and by "
        "message"
    )


def offered_everywhere(sandbox: Sandbox, browser: Browser, reference: str, say: Say) -> None:
    """The receipt is linked on the outcome page, in the record, and in the message of the consent."""
    receipt = f"{sandbox.issuer}/consent/{reference}/receipt.pdf"
    for url in (f"{sandbox.issuer}/consent/{reference}/outcome", f"{sandbox.issuer}/consents/{reference}"):
        say(f"{url} offers the receipt")
        links = browser.open(url).links.values()
        check(receipt in links, f"the receipt is offered at {url}: {list(links)}")
    # To its end: at night there is another one, about the hour.
    subject = "You agreed to share data with Sandbox Checker"
    letter = promises.wait_for_letter(sandbox, sandbox.citizens[0].email, subject, about=reference, whole=True)
    say("the message of the consent offers it")
    check(receipt in letter, f"the message offers the receipt: {letter}")


def save(sandbox: Sandbox, browser: Browser, office: Path, reference: str, when: str) -> list[str]:
    """Save the three signed files and the keys of now; return the names of the files."""
    (office / f"{when}-jwks.json").write_bytes(requests.get(f"{sandbox.issuer}/jwks", timeout=30).content)
    consent, record = f"{sandbox.issuer}/consent/{reference}", f"{sandbox.issuer}/record/export"
    files = {
        f"{when}-receipt.json": f"{consent}/receipt.json",
        f"{when}-receipt.pdf": f"{consent}/receipt.pdf",
        f"{when}-record.json": f"{record}.json",
    }
    for name, url in files.items():
        (office / name).write_bytes(browser.save(url))
    table = browser.save(f"{record}.csv").decode("utf-8-sig")
    check(reference in table and "token.delivered" in table, f"the table has the fetch: {table[:300]}")
    return list(files)


def verify(sandbox: Sandbox, office: Path, keys: str, expected: Mapping[str, str]) -> None:
    """Run the command for all files, as somebody without settings: each has to be found to be what is expected."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MYDATA_")}
    command = [str(sandbox.mydata), "verify", *expected, "--keys", keys, "--issuer", sandbox.issuer]
    done = subprocess.run(command, cwd=office, env=environment, capture_output=True, text=True, check=False)
    sandbox.say(f"mydata verify, {len(expected)} files, {keys}: exit status {done.returncode}")
    said = done.stdout + done.stderr
    verdicts = dict(re.findall(r"^(\S+): (intact|not intact|cannot be judged): ", said, re.MULTILINE))
    wrong = {name: verdicts.get(name) for name in expected if verdicts.get(name) != expected[name]}
    check(not wrong, f"every file is what it has to be, not {wrong}: {said[:2000]}")
    status = next(STATUS[verdict] for verdict in STATUS if verdict in expected.values())
    check(done.returncode == status, f"exit status {status}, not {done.returncode}: {said[:2000]}")


def read_pdf(file: Path, reference: str, say: Say) -> None:
    """The PDF, signature and all, is one that other programs read, and its Han characters are text."""
    pages = PdfReader(io.BytesIO(file.read_bytes()), strict=True).pages
    text = re.sub(r"\s", "", "".join(page.extract_text() for page in pages))
    say(f"the PDF has {len(pages)} pages and {sum('一' <= letter <= '鿿' for letter in text)} Han characters")
    for words in (*HAN, reference):
        check(words in text, f"the PDF says {words}: {text[:600]}")


def change_bits(office: Path, files: Sequence[str]) -> list[str]:
    """Write copies of which each differs by one bit: in the header, in the last octets, and in between."""
    names = []
    for file in files:
        octets = (office / file).read_bytes()
        for number in range(CHANGES):
            place = (len(octets) - 1) * number // (CHANGES - 1)
            changed = bytearray(octets)
            changed[place] ^= 1 << number % 8
            name = f"changed-{place}-{file}"
            (office / name).write_bytes(changed)
            names.append(name)
    return names
