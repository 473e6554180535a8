"""A download in a real browser, under the content security policy as it is, and what it leaves nowhere else."""

import contextlib
import io
import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Dialog, Error, FilePayload, Route, expect

from authz_server.catalogue.counties import ENGLISH
from authz_server.catalogue.parameters import TYPES, this_year
from authz_server.clients import own
from client_examples.sandbox.sandbox import Sandbox
from tests.browser.support import LANGUAGES, Visitor, violations, visitor

pytestmark = pytest.mark.browser
SIGNED = {"zh-TW": "內容完整", "en": "and intact"}
NO_RECORD = {"zh-TW": "機關沒有您的這項資料", "en": "The agency has no record of you here"}
PREPARING = {"zh-TW": "機關準備中", "en": "The agency is preparing it"}
INSIDE = {"zh-TW": "給付單位", "en": "Payer"}  # how the catalogue calls what stands inside of a field
YEAR_NAME = {"zh-TW": "所得年度", "en": "Tax year"}
ASKED = {"zh-TW": "縣市 {county}、課稅年度 {year}", "en": "County or city {county}, Tax year {year}"}
CLIENT = {"zh-TW": "第一示範銀行", "en": "First Sample Bank"}
BROWSER = {"zh-TW": "下載它的那個瀏覽器", "en": "The browser that it was downloaded in"}
# What every script would try to read of the keys; they are made before anything of the page can see them.
SPY = """
for (const name of ['generateKey', 'exportKey']) {
  const real = crypto.subtle[name].bind(crypto.subtle)
  crypto.subtle[name] = async (...given) => {
    const made = await real(...given)
    window.made = [...(window.made ?? []), made]
    return made
  }
}
"""
# What the page has said of a dataset, with the state in which it said so, also if that was over in a moment.
LISTENER = """
window.said = []
new MutationObserver(changes => {
  for (const { target } of changes) window.said.push([target.dataset.dataset, target.dataset.state, target.textContent])
}).observe(document, { subtree: true, attributeFilter: ['data-state'] })
"""
FIELD = re.compile(r'(?:combobox|textbox) ".*"')  # in what a screen reader is given
READABLE = """async () => {
  const pairs = window.made.filter(one => one.privateKey)
  const tried = pairs.flatMap(pair => ['jwk', 'pkcs8'].map(format => crypto.subtle.exportKey(format, pair.privateKey)))
  const outcomes = await Promise.allSettled(tried)
  return [pairs.map(pair => pair.privateKey.extractable), outcomes.map(one => one.status)]
}"""
# What the files of a package are called when they are saved, beside those that the page makes of it.
NAMES = """async () => {
  const { savedAs } = await import('/static/package.js')
  return [...savedAs('x', ['a.pdf', 'b/a.PDF', 'scan.png', 'more.json', 'list.csv']).values()]
}"""
# A county, by a catalogue that names none: of a host with the release before, or kept from then by the browser.
OF_OLD = "async () => (await import('/static/package.js')).written('county', '臺北市', undefined)"
# A file in the hand of whoever drops it on the page.
DROPPED = """([name, type, octets]) => {
  const transfer = new DataTransfer()
  transfer.items.add(new File([new Uint8Array(octets)], name, { type }))
  return transfer
}"""


@contextmanager
def downloading(chromium: Browser, sandbox: Sandbox, lang: str, who: int, *datasets: str) -> Iterator[Visitor]:
    """A citizen who has agreed to a download, and waits for the page to end."""
    with visitor(chromium, sandbox, lang=lang, who=who, scripts=True, strict=True) as guest:
        guest.prove()
        guest.page.add_init_script(SPY + LISTENER)
        guest.open(f"/download?lang={lang}")
        for dataset in datasets:
            guest.page.check(f"[id='{dataset}']")
        guest.page.click("#continue")
        for choice in guest.page.locator("#basket select").all():
            # What was prepared for one of the languages is there at once for who asks for the same again.
            choice.select_option(index=2 if lang == "en" else 1)
        guest.page.click("#continue")
        guest.page.click("#consent-approve")
        yield guest


@pytest.mark.parametrize(("lang", "who"), [("zh-TW", 1), ("en", 1)])
def test_a_download_from_the_catalogue_to_the_saved_files(
    chromium: Browser, sandbox: Sandbox, tmp_path: Path, lang: str, who: int
) -> None:
    problems: list[str] = []
    datasets = ("bli.pension", "fia.income", "fia.house-tax", "ris.id-card-image")
    with downloading(chromium, sandbox, lang, who, *datasets) as guest:
        page = guest.page
        page.on(
            "console", lambda message: problems.append(message.text) if "Content Security" in message.text else None
        )
        expect(page).to_have_title(re.compile(r"\(4/4\)"))
        preparing = [text for *what, text in page.evaluate("said") if what == ["fia.income", "preparing"]]
        assert preparing
        assert PREPARING[lang] in preparing[0]
        expect(page.locator("[data-dataset='bli.pension']")).to_contain_text(NO_RECORD[lang])
        for dataset in ("fia.income", "ris.id-card-image"):
            card = page.locator(f"[data-dataset='{dataset}']")
            expect(card).to_contain_text(SIGNED[lang])
            assert card.locator("tbody tr").count() >= 12
        expect(page.locator("[data-dataset='fia.income'] dt").first).to_have_text(INSIDE[lang])
        expect(page.locator("[data-dataset='fia.income'] tbody")).to_contain_text(re.compile("[0-9],[0-9]{3}"))
        expect(page.locator("[data-dataset='fia.income'] tbody")).to_contain_text(f"{YEAR_NAME[lang]}{year(lang)}")
        expect(page.locator("[data-dataset='fia.house-tax'] tbody")).to_contain_text(county(lang))
        image = page.locator("[data-dataset='ris.id-card-image'] img[src^=blob]")
        assert image.evaluate("image => image.decode().then(() => image.naturalWidth)") > 500
        page.click("[data-dataset='fia.income'] [data-documents] summary")
        expect(page.locator("[data-dataset='fia.income'] iframe[src^=blob]")).to_be_visible()
        assert page.evaluate(READABLE) == [[False, False], ["rejected"] * 4]
        assert asked_before_leaving(guest) == "beforeunload", "what is not saved would be lost"
        saved = save(guest, "fia.income", tmp_path)
        assert saved["zip"].startswith(b"PK")
        assert saved["pdf"].startswith(b"%PDF")
        assert saved["csv"].decode("utf-8-sig").count("\r\n") > 12
        with zipfile.ZipFile(io.BytesIO(saved["zip"])) as archive:
            assert archive.read("data.json") == saved["json"]
        assert asked_before_leaving(guest) == "beforeunload"
        save(guest, "ris.id-card-image", tmp_path, "zip")
        assert page.evaluate(NAMES) == ["x-a.pdf", "x-b-a.PDF", "x.png", "x-more.json", "x-list.csv"]
        assert page.evaluate(OF_OLD) == "臺北市"
        page.on("dialog", lambda dialog: problems.append(dialog.type))
        verify_in_the_browser(guest, save(guest, "fia.house-tax", tmp_path, "zip")["zip"], lang)
    assert problems == []


def year(lang: str) -> str:
    """The tax year that was chosen, as all pages write it."""
    chosen = this_year() - (1 if lang == "en" else 0)
    return TYPES["year"].display(str(chosen), lang)


def county(lang: str) -> str:
    """The county that was chosen."""
    return TYPES["county"].display(list(ENGLISH)[1 if lang == "en" else 0], lang)


def asked_before_leaving(guest: Visitor) -> str:
    """Set out for another page, and stay when the browser asks; what it was that asked."""
    guest.page.once("dialog", stay)
    with guest.page.expect_event("dialog") as asked:
        guest.page.evaluate("() => { setTimeout(() => location.assign('/verify')) }")
    return str(asked.value.type)


def stay(dialog: Dialog) -> None:
    """Say that one does not want to leave; a browser that is slow may have closed the question meanwhile."""
    with contextlib.suppress(Error):
        dialog.dismiss()


def save(guest: Visitor, dataset: str, folder: Path, *kinds: str) -> dict[str, bytes]:
    """Press the buttons that save these kinds, or all; what the files hold, by ending."""
    saved = {}
    for kind in kinds or ("zip", "pdf", "json", "csv"):
        with guest.page.expect_download() as found:
            guest.page.click(f"[data-dataset='{dataset}'] [data-kind={kind}]")
        name = found.value.suggested_filename
        assert re.fullmatch(rf"{dataset}-T[0-9A-Z-]+\.{kind}", name)
        found.value.save_as(folder / name)
        saved[kind] = (folder / name).read_bytes()
    return saved


def verify_in_the_browser(guest: Visitor, package: bytes, lang: str) -> None:
    """On the page that verifies: intact, then changed, and nothing of it is sent to any server."""
    sent: list[str] = []
    guest.page.on("request", lambda request: sent.append(request.method) if request.post_data_buffer else None)
    guest.open("/verify")
    changed = bytearray(package)
    changed[package.index(b'"name"')] ^= 1
    for octets, verdict in ((package, "verdict-good"), (bytes(changed), "verdict-bad")):
        file: FilePayload = {"name": "package.zip", "mimeType": "application/zip", "buffer": octets}
        guest.page.set_input_files("#document", files=[file])
        guest.page.wait_for_selector(f"#package-verdict.{verdict}")
        if verdict == "verdict-good":
            for said in (ASKED[lang].format(year=year(lang), county=county(lang)), BROWSER[lang]):
                expect(guest.page.locator("#package-verdict")).to_contain_text(said)
        drop(guest, "package.zip", "application/zip", octets)
        guest.page.wait_for_selector(f"#package-verdict.{verdict}")
    be_for_a_client(guest)
    drop(guest, "package.zip", "application/zip", package)
    expect(guest.page.locator("#package-verdict")).to_contain_text(CLIENT[lang])
    guest.page.click("#verify-submit")  # which has nothing to send, and leads to the verdict
    expect(guest.page.locator("#package-verdict")).to_be_focused()
    assert sent == []
    drop(guest, "receipt.json", "application/json", b"{}")  # which the form sends, as if it had been chosen
    expect(guest.page.locator("#document")).to_have_value(re.compile(r"receipt\.json$"))
    expect(guest.page.locator("#package-verdict")).to_be_hidden()


def be_for_a_client(guest: Visitor) -> None:
    """From now on the recipient is one that the platform has in its list, and no browser."""
    of_list = {own.CLIENT_ID: {"zh": CLIENT["zh-TW"], "en": CLIENT["en"]}}
    guest.page.route("**/recipients", lambda route: route.fulfill(json=of_list))
    guest.page.evaluate(
        "() => document.getElementById('verify-texts').content.querySelector('[data-name^=\"client:\"]').remove()"
    )


def drop(guest: Visitor, name: str, kind: str, octets: bytes) -> None:
    """Drop a file on the page."""
    transfer = guest.page.evaluate_handle(DROPPED, [name, kind, list(octets)])
    guest.page.dispatch_event("main", "dragover", {"dataTransfer": transfer})
    guest.page.dispatch_event("main", "drop", {"dataTransfer": transfer})


def test_what_is_not_intact_is_neither_shown_nor_saved(chromium: Browser, sandbox: Sandbox) -> None:
    with visitor(chromium, sandbox, lang="en", who=2, scripts=True, strict=True) as guest:
        guest.prove()
        # Whoever stands between could change what comes, and does.
        guest.page.route("**/data/ris.personal", spoil)
        guest.open("/download/basket?lang=en&dataset=ris.personal")
        guest.page.click("#continue")
        guest.page.click("#consent-approve")
        expect(guest.page).to_have_title(re.compile(r"\(1/1\)"))
        card = guest.page.locator("[data-dataset='ris.personal']")
        expect(card).to_contain_text("Do not use it")
        assert card.locator("button:visible, td:visible").count() == 0


def test_keys_of_agencies_are_looked_up_anew(chromium: Browser, sandbox: Sandbox) -> None:
    with visitor(chromium, sandbox, lang="en", who=2, scripts=True, strict=True) as guest:
        guest.prove()
        guest.open("/verify")
        file: FilePayload = {"name": "package.zip", "mimeType": "application/zip", "buffer": b"PK\x03\x04 nothing"}
        for _ in ("first", "again, when the browser has a copy"):
            with guest.page.expect_request("**/catalogue") as asked:
                guest.page.set_input_files("#document", files=[file])
            assert asked.value.all_headers().get("cache-control") == "max-age=0"
            guest.page.wait_for_selector("#package-verdict.verdict-bad")
        guest.open("/download/basket?lang=en&dataset=ris.personal")
        guest.page.click("#continue")
        with guest.page.expect_request("**/catalogue") as asked:
            guest.page.click("#consent-approve")
        assert asked.value.all_headers().get("cache-control") == "max-age=0"
        expect(guest.page.locator("[data-dataset='ris.personal']")).to_contain_text(SIGNED["en"])


def spoil(route: Route) -> None:
    """Let the answer through with one character changed."""
    answer = route.fetch()
    body = bytearray(answer.body())
    body[len(body) // 2] = ord("A") if body[len(body) // 2] != ord("A") else ord("B")
    route.fulfill(response=answer, body=bytes(body))


def test_without_javascript_the_page_says_why_it_is_needed(chromium: Browser, sandbox: Sandbox) -> None:
    with visitor(chromium, sandbox, lang="en", who=2) as guest:
        guest.prove()
        guest.open("/download/basket?lang=en&dataset=ris.personal")
        guest.page.click("#continue")
        guest.page.click("#consent-approve")
        assert "This page needs JavaScript" in guest.page.inner_text("main")


@pytest.mark.parametrize("lang", LANGUAGES)
def test_fields_of_the_same_name_are_told_apart_by_whoever_hears_the_page(
    chromium: Browser, sandbox: Sandbox, lang: str
) -> None:
    chosen = ("fia.income", "fia.house-tax", "bli.contributions", "nhi.premiums")
    with visitor(chromium, sandbox, lang=lang, who=1, scripts=True, strict=True, judged=True) as guest:
        guest.prove()
        guest.open(f"/download/basket?lang={lang}&" + "&".join(f"dataset={one}" for one in chosen))
        cards = guest.page.locator("#basket .card").all()
        heard = [
            (card.locator("h2").inner_text(), [field.split('"')[1] for field in FIELD.findall(card.aria_snapshot())])
            for card in cards
        ]
        names = [name for _, names in heard for name in names]
        assert len(names) == len(set(names)) == 7
        bracketed = "({})" if lang == "en" else "（{}）"
        assert [one for dataset, names in heard for one in names if not one.endswith(bracketed.format(dataset))] == []
        assert violations(guest.page) == []
