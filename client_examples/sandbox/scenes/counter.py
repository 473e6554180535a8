"""Two citizens take data to a counter, one in a photograph and one on paper; nobody gets anything for it twice."""

import io
import re
import time
from datetime import date

from PIL import Image, ImageDraw, ImageFilter

from .. import promises
from ..browser import Browser, Page
from ..citizens import Citizen
from ..promises import Say, check
from ..sandbox import Sandbox

CLIENTS = ("desk",)
OFFICE = "district-office-of-samples"
YEAR = str(date.today().year - 1912)
MOST_WAITING_S = 60


def drive(sandbox: Sandbox, canary: str, say: Say) -> str:
    """Drive both visits and check everything; return what was verified, in a line."""
    first, second = sandbox.citizens[0], sandbox.citizens[1]
    own, reference = agree(sandbox, first, "childcare-grant", {"fia.income-certificate/tax_year": YEAR}, say)
    saved = own.save(f"{sandbox.issuer}/counter/{reference}/barcode.png")
    visit(sandbox, first, own, reference, ("telephone.png", photographed(saved)), canary, say)
    read = promises.read_record(own, sandbox, reference)
    check(any("barcode and one-time code were accepted" in entry for entry in read), f"the visit is on record: {read}")
    check(any("was delivered to" in entry for entry in read), f"so is each delivery: {read}")
    letter = promises.wait_for_letter(sandbox, first.email, "Your barcode was accepted")
    check("Counter 3, First District Office of Samples" in letter, f"the message names office and counter: {letter}")
    own, reference = agree(sandbox, second, "proof-of-address", {}, say)
    saved = own.save(f"{sandbox.issuer}/counter/{reference}/barcode.pdf")
    visit(sandbox, second, own, reference, ("barcode.pdf", saved), canary, say)
    promises.nothing_left_behind(sandbox, canary, say)
    return (
        "a photographed PNG and a PDF were read at the counter; one-time codes came by page and by message; each "
        "barcode worked once; office, counter and deliveries are on record; nothing left behind"
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


def visit(
    sandbox: Sandbox, citizen: Citizen, own: Browser, reference: str, file: tuple[str, bytes], canary: str, say: Say
) -> None:
    """Let the clerk read a file, tell them the code, see that they have the data, and that it works once."""
    clerk, address = Browser(language="en"), f"{sandbox.issuer}/counter/{reference}"
    say(f"the clerk uploads {file[0]}")
    start = clerk.open(f"{sandbox.desk_url}/?lang=en")
    page = clerk.upload(start, "file", *file)
    check("Is this the person in front of you?" in page.title, f"the barcode was read: {page.text[:300]}")
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
        time.sleep(int(page.headers["Refresh"]))
        page = clerk.open(page.url)
    check(page.status == 200 and canary in page.text, f"the clerk sees the data ({page.status}): {page.text[:300]}")
    check(page.headers["Cache-Control"] == "no-store", "it may not be cached")
    say("the barcode a second time")
    page = clerk.upload(start, "file", *file)
    check("can’t be used here now" in page.text, f"it is refused: {page.text[:300]}")
    page = clerk.submit(clerk.open(f"{sandbox.desk_url}/data"), "clear")
    check(canary not in _again(clerk, sandbox).text, "what was cleared is gone")
    check("was accepted" in own.open(address).text, "the citizen's page says what happened")


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
