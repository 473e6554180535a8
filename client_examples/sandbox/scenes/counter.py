"""A citizen takes data to a counter in a photograph, and somebody goes for another with a sheet of paper; nobody gets
anything for it twice."""

import io
import re
import time
from datetime import date

from PIL import Image, ImageDraw, ImageFilter

from .. import promises
from ..browser import Browser, Page
from ..citizens import OFFICE, Citizen
from ..promises import Say, check
from ..sandbox import Sandbox

CLIENTS = ("desk",)
YEAR = str(date.today().year - 1912)
MOST_WAITING_S = 60


def drive(sandbox: Sandbox, canary: str, say: Say) -> str:
    """Drive both visits and check everything; return what was verified, in a line."""
    first, second, agent = sandbox.citizens
    administrator, clerk, _ = sandbox.staff
    nobody_works_here(sandbox, administrator, say)
    desk = start_work(sandbox, clerk, say)
    own, reference = agree(sandbox, first, "childcare-grant", {"fia.income/tax_year": YEAR}, say)
    saved = own.save(f"{sandbox.issuer}/counter/{reference}/barcode.png")
    address = f"{sandbox.issuer}/counter/{reference}"
    wait_until_ready(sandbox, first, own, address, say)
    visit(sandbox, desk, first, own, address, ("telephone.png", photographed(saved)), canary, say)
    read = promises.read_record(own, sandbox, reference)
    check(any("barcode and one-time code were accepted" in entry for entry in read), f"the visit is on record: {read}")
    check(any("was delivered to" in entry for entry in read), f"so is each delivery: {read}")
    for done in ("First District Office of Samples printed", "First District Office of Samples saved a copy of"):
        check(any(done in entry for entry in read), f"and what the clerk did with it: {read}")
    check(not any("is preparing" in entry for entry in read), f"nobody had to wait at the counter: {read}")
    letter = promises.wait_for_letter(sandbox, first.email, "Your barcode was accepted")
    where = "Counter 3, First District Office of Samples, clerk 測○○○戊"
    check(where in letter, f"the message names office, counter and clerk: {letter}")
    own, reference = agree(sandbox, second, "proof-of-address", {}, say)
    theirs = send(sandbox, own, reference, agent, say)
    address = f"{sandbox.issuer}/agent/{reference}"
    visit(sandbox, desk, agent, theirs, address, ("barcode.pdf", theirs.save(f"{address}/barcode.pdf")), canary, say)
    read = promises.read_record(own, sandbox, reference)
    check(any("Your agent's barcode and one-time code were accepted" in entry for entry in read), f"theirs: {read}")
    read = promises.read_record(theirs, sandbox, reference)
    check(any("that you brought for somebody were accepted" in entry for entry in read), f"the agent's: {read}")
    check(not any("delivered" in entry for entry in read), f"nothing of the data is on the agent's record: {read}")
    promises.wait_for_letter(sandbox, second.email, "Your agent's barcode was accepted")
    dismiss(sandbox, desk, clerk, say)
    promises.nothing_left_behind(sandbox, canary, say)
    return (
        "slow data was ready when the citizen came; "
        "a clerk signed in at the desk by name, and nobody else could; "
        "a photographed PNG and an agent's PDF were read at the counter; one-time codes came by page and by message, "
        "to whoever had the barcode; each barcode worked once; what was printed and saved was recorded first; "
        "office, counter, agent and deliveries are on record; "
        "nothing left behind"
    )


def agree(sandbox: Sandbox, citizen: Citizen, service: str, fields: dict[str, str], say: Say) -> tuple[Browser, str]:
    """Choose a service of the office, read, agree, have the barcode shown; the browser and the reference number."""
    browser = Browser(language="en")
    say(f"{citizen.username} chooses {service} of {OFFICE}")
    page = browser.open(f"{sandbox.issuer}/counter/offices/{OFFICE}/{service}?lang=en")
    page = promises.sign_in(browser, page, citizen, say)
    page = browser.submit(page, "continue", fields=fields)
    page = promises.sign_in(browser, page, citizen, say) if promises.asked_to_sign_in(page) else page
    say(f"the platform asks: {page.title}")
    page = browser.submit(page, "consent-approve")
    page = browser.submit(page, "show")
    check("Show it at the counter" in page.text, f"the barcode is shown: {page.text[:300]}")
    return browser, page.url.rpartition("/")[2]


def wait_until_ready(sandbox: Sandbox, citizen: Citizen, own: Browser, address: str, say: Say) -> None:
    """Stay at home until the page and a message say that the slow data is ready; the agency was asked at once."""
    page, deadline = own.open(address), time.monotonic() + MOST_WAITING_S
    check(
        "the agency has been asked already" in page.text or "You can go now" in page.text, f"asked: {page.text[:600]}"
    )
    while "You can go now" not in page.text and time.monotonic() < deadline:
        time.sleep(1)
        page = own.open(address)
    check("You can go now" in page.text, f"the page says when to go: {page.text[:600]}")
    promises.wait_for_letter(sandbox, citizen.email, "is ready")
    say("the agency has the slow data ready, and the citizen goes")


def send(sandbox: Sandbox, own: Browser, reference: str, agent: Citizen, say: Say) -> Browser:
    """Let somebody else go: the citizen names them, they accept, the citizen confirms; the agent's browser."""
    naming, theirs = f"{sandbox.issuer}/counter/{reference}/agent", Browser(language="en")
    say(f"{agent.username} is to go instead")
    page = own.submit(own.open(naming), "invite", fields={"national_id": agent.national_id})
    invitation = re.search(r'id="invitation">([^<]+)<', page.html)
    check(invitation, f"there is an invitation: {page.text[:300]}")
    page = promises.sign_in(theirs, theirs.open(f"{sandbox.issuer}/agent?lang=en"), agent, say)
    page = theirs.submit(page, "open", fields={"invitation": invitation[1] if invitation else ""})
    page = promises.sign_in(theirs, page, agent, say) if promises.asked_to_sign_in(page) else page
    page = theirs.submit(page, "accept")
    check("has to confirm" in page.text, f"nothing is handed over yet: {page.text[:300]}")
    own.submit(own.open(naming), "confirm")
    page = theirs.submit(theirs.open(page.url), "show")
    check("Show it at the counter" in page.text, f"the agent has the barcode: {page.text[:300]}")
    return theirs


def start_work(sandbox: Sandbox, clerk: Citizen, say: Say) -> Browser:
    """Sign in at the desk, through the platform; the browser of the desk."""
    desk = Browser(language="en")
    desk.open(f"{sandbox.issuer}/?lang=en")
    page = desk.submit(desk.open(f"{sandbox.desk_url}/?lang=en"), "sign-in")
    page = promises.sign_in(desk, page, clerk, say)
    check("which they read as 測○○○戊" in page.text, f"the platform says what that means: {page.text[:300]}")
    page = desk.submit(page, "desk-start")
    check("Clerk 測○○○戊" in page.text, f"the desk says who is signed in: {page.text[:300]}")
    return desk


def nobody_works_here(sandbox: Sandbox, administrator: Citizen, say: Say) -> None:
    """See that a desk without a clerk reads nothing, and that administering an office is no work at its desk."""
    desk = Browser(language="en")
    desk.open(f"{sandbox.issuer}/?lang=en")
    page = desk.open(f"{sandbox.desk_url}/camera?lang=en")
    check("Sign in at this counter" in page.title, f"nothing is open before: {page.title}")
    page = promises.sign_in(desk, desk.submit(page, "sign-in"), administrator, say)
    check("but no clerk" in page.text, f"the platform says why not: {page.text[:300]}")
    page = desk.submit(page, "desk-cancel")
    check("Nobody has signed in" in page.text, f"back at the desk: {page.text[:300]}")


def dismiss(sandbox: Sandbox, desk: Browser, clerk: Citizen, say: Say) -> None:
    """End the clerk's appointment; the next barcode is not read any more."""
    say("the operator ends the clerk's appointment")
    sandbox.commands(["office", "dismiss", OFFICE, clerk.username, "--role", "clerk"])
    page = desk.submit(desk.open(f"{sandbox.desk_url}/?lang=en"), "go", fields={"barcode": "0" * 40})
    check("sign in again" in page.text and page.status == 400, f"at the next step it is over: {page.text[:300]}")


def visit(
    sandbox: Sandbox,
    clerk: Browser,
    citizen: Citizen,
    own: Browser,
    address: str,
    file: tuple[str, bytes],
    canary: str,
    say: Say,
) -> None:
    """Let the clerk read a file, tell them the code, see that they have the data, and that it works once.

    Args: clerk: the browser of the desk; citizen: who stands there, with their browser and the address of their page.
    """
    comes = "agent" if "/agent/" in address else "person"
    say(f"the clerk uploads {file[0]}")
    start = clerk.open(f"{sandbox.desk_url}/?lang=en")
    page = clerk.upload(start, "file", *file)
    check(f"Is this the {comes} in front of you?" in page.title, f"the barcode was read: {page.text[:300]}")
    code = re.search(r'id="code">([0-9]{6})<', own.open(address).html)
    check(code, "the citizen's page shows the one-time code")
    told = code[1] if code else ""
    letter = promises.wait_for_letter(sandbox, citizen.email, "Your code")
    check(told in letter and "Office" not in letter, f"the message has the code, and nothing else: {letter}")
    say("the citizen tells the code; the server of the first is killed between redemption and fetch")
    clerk.stop_at = f"{sandbox.desk_url}/data"
    clerk.submit(page, "redeem", fields={"code": told, "same": "1"})
    check(clerk.stopped_at, "the barcode was redeemed")
    if citizen is sandbox.citizens[0]:
        sandbox.kill("server")
        sandbox.restart("server")
    page = clerk.open(clerk.stopped_at)
    deadline = time.monotonic() + MOST_WAITING_S
    while "being prepared" in page.title and time.monotonic() < deadline:
        time.sleep(int(page.headers["Refresh"].partition(";")[0]))
        page = clerk.open(page.url)
    check(page.status == 200 and canary in page.text, f"the clerk sees the data ({page.status}): {page.text[:300]}")
    check(page.headers["Cache-Control"] == "no-store", "it may not be cached")
    clerk.stop_at = ""
    print_and_save(clerk, page, canary, say)
    say("the barcode a second time")
    page = clerk.upload(start, "file", *file)
    check("can’t be used here now" in page.text, f"it is refused: {page.text[:300]}")
    page = clerk.submit(clerk.open(f"{sandbox.desk_url}/data"), "clear")
    check(canary not in _again(clerk, sandbox).text, "what was cleared is gone")
    check("was accepted" in own.open(address).text, "the citizen's page says what happened")


def print_and_save(clerk: Browser, page: Page, canary: str, say: Say) -> None:
    """Do what the office is registered for; the platform has it on the citizen's record first."""
    (dataset, *_) = re.findall(r'id="print-([^"]+)"', page.html)
    say(f"the clerk prints {dataset}, and saves it as the agency signed it")
    printed = clerk.submit(page, f"print-{dataset}")
    check('class="printing"' in printed.html and canary in printed.text, f"it may be printed: {printed.text[:300]}")
    check('class="printing"' not in clerk.open(page.url).html, "once")
    saved = clerk.submit(page, f"save-{dataset}")
    check("manifest.jws" in saved.html, f"the signed package is saved: {saved.headers}")


def _again(clerk: Browser, sandbox: Sandbox) -> Page:
    return clerk.open(f"{sandbox.desk_url}/data")


def photographed(picture: bytes) -> bytes:
    """As a telephone would have it: askew, from the side, on a dark desk, badly lit and a little out of focus."""
    with Image.open(io.BytesIO(picture)) as opened:
        shown = opened.convert("L")
    desk = Image.new("L", (shown.width + 500, shown.height + 500), 70)
    desk.paste(shown, (250, 250))
    light = Image.linear_gradient("L").resize(desk.size).point(lambda value: 255 - value // 3)
    lit = Image.composite(desk, Image.new("L", desk.size, 30), light)
    width, height = lit.size
    corners = (40, 0, 0, height, width - 20, height - 60, width, 50)
    askew = lit.rotate(7, Image.Resampling.BICUBIC, fillcolor=60).transform(
        lit.size, Image.Transform.QUAD, corners, Image.Resampling.BICUBIC
    )
    ImageDraw.Draw(askew).ellipse((width - 300, 20, width - 40, 200), fill=235)  # a lamp mirrored in the screen
    output = io.BytesIO()
    askew.filter(ImageFilter.GaussianBlur(1.5)).save(output, "PNG")
    return output.getvalue()
