"""A citizen downloads own data: chosen, agreed to, fetched by keys of this browser alone, each once, and verified."""

import json
import time
from datetime import date
from typing import Any

import requests
from joserfc.jwk import ECKey

from client_examples.bank_web.client import dpop_proof
from client_examples.bank_web.package import Package, open_package

from .. import promises
from ..browser import Browser, Page
from ..citizens import Citizen
from ..promises import Say, check
from ..sandbox import Sandbox
from ..settings import new_key

CLIENTS = ("bank",)
RECIPIENT = "mydata-download"  # the name by which agencies know a citizen who downloads
LARGE, SLOW, WITHOUT_RECORD = "ris.id-card-image", "fia.income", "bli.pension"
WITHOUT_JOSE = "nhi.enrolment"  # whose data the proxy's connector encrypts
DATASETS = ("ris.personal", LARGE, SLOW, WITHOUT_RECORD, WITHOUT_JOSE)
PARAMETERS = {
    # Not the year that others ask for: what was prepared for somebody is there at once for who asks for the same.
    "fia.income/tax_year": str(date.today().year - 1913),
    "nhi.enrolment/period/first": "2025-01",
    "nhi.enrolment/period/last": "2025-06",
}
LATER = (202, 502, 503, 504)
MOST_WAITING_S = 60
TIMEOUT_S = 90


class Download:
    """What the script of the page does: two keys that nobody else has, the tokens for them, a fetch for each."""

    def __init__(self, browser: Browser, page: Page) -> None:
        self.browser, self.url = browser, page.url
        self.origin = "/".join(page.url.split("/")[:3])
        (self.csrf,) = (item.value for item in page.form_with("csrf").controls if item.name == "csrf")
        self.proof_key, self.recipient_key = ECKey.generate_key("P-256"), new_key("enc")
        self.granted: list[dict[str, Any]] = []

    def ask(self, browser: Browser | None = None) -> requests.Response:
        """Send the public keys; what comes back has the tokens."""
        url = f"{self.url}/tokens"
        jwk = json.dumps(self.recipient_key.as_dict(private=False))
        form = {"csrf": self.csrf, "recipient_jwk": jwk}
        return (browser or self.browser).send(url, form, {"DPoP": dpop_proof(self.proof_key, "POST", url)})

    def fetch(self, granted: dict[str, Any]) -> requests.Response:
        """Ask the proxy once, as a page of the platform."""
        url, token = granted["locations"][0], granted["access_token"]
        proof = dpop_proof(self.proof_key, "GET", url, access_token=token)
        headers = {"Authorization": f"DPoP {token}", "DPoP": proof, "Origin": self.origin}
        answer = requests.get(url, headers=headers, timeout=TIMEOUT_S)
        allowed = answer.headers.get("Access-Control-Allow-Origin")
        check(allowed == self.origin, f"pages of the platform may read it, and no other: {allowed}")
        return answer

    def open(self, answer: requests.Response, granted: dict[str, Any], agencies: list[dict[str, Any]]) -> Package:
        """Decrypt and verify what came."""
        offers = {dataset["id"]: (agency, dataset) for agency in agencies for dataset in agency["datasets"]}
        agency, dataset = offers[granted["dataset"]]
        return open_package(answer.content, self.recipient_key, agency, dataset, granted, RECIPIENT)


def drive(sandbox: Sandbox, canary: str, say: Say) -> str:
    """Download five datasets, try everything a second time and as somebody else; return what was verified."""
    # What it encrypted in other scenes, for the agency without JOSE, may still be in its memory.
    sandbox.restart("proxy")
    browser = Browser("en")
    page = choose(sandbox, browser, sandbox.citizens[1], say)
    reference = page.url.rsplit("/", 1)[-1]
    download = Download(browser, page)
    refused_to_others(sandbox, download, say)
    answer = download.ask()
    check(answer.status_code == 200, f"the tokens are issued, not {answer.status_code} {answer.text[:300]}")
    download.granted = answer.json()["authorization_details"]
    again = download.ask()
    check(again.status_code == 409, f"the keys are taken once, not {again.status_code}")
    cross_origin(download, sandbox)
    sizes = fetch_all(sandbox, download, canary, say)
    say("each token a second time")
    for granted in download.granted:
        expected = 404 if granted["dataset"] == WITHOUT_RECORD else 401
        status = download.fetch(granted).status_code
        check(status == expected, f"{granted['dataset']}: a second use is answered {expected}, not {status}")
    entries = promises.read_record(browser, sandbox, reference)
    delivered = sum("was downloaded" in entry for entry in entries)
    check(delivered == len(DATASETS) - 1, f"each delivery is on the record: {entries}")
    promises.nothing_left_behind(sandbox, canary, say)
    return (
        f"{delivered} datasets downloaded (one slow, one of {max(sizes) // 1_000_000} MB, one from an agency without "
        "JOSE), 1 without a record, all verified by their agencies' keys; another citizen and another sign-in get "
        "nothing, keys are taken once, no spent token works again, only pages of the platform may read the proxy's "
        "answers; what agencies with JOSE sent was never readable in the memory of server, worker and proxy; nothing "
        "left behind in logs, database, temporary and working folders"
    )


def choose(sandbox: Sandbox, browser: Browser, citizen: Citizen, say: Say) -> Page:
    """Fill the basket, prove who one is, agree; return the page that fetches."""
    page = browser.open(f"{sandbox.issuer}/download?lang=en")
    check("labour" in page.text.lower() or "Labor" in page.text, f"the catalogue is shown: {page.text[:300]}")
    page = browser.submit(page, "continue", fields={"dataset": DATASETS})
    page = promises.sign_in(browser, page, citizen, say) if promises.asked_to_sign_in(page) else page
    say(f"{page.title}: {len(DATASETS)} datasets")
    page = browser.submit(page, "continue")
    check(page.status == 400 and "missing" in page.text, f"parameters are asked for: {page.status}")
    page = browser.submit(page, "continue", fields=PARAMETERS)
    page = promises.sign_in(browser, page, citizen, say) if promises.asked_to_sign_in(page) else page
    say(f"the platform asks: {page.title}")
    check("Nobody but you gets it" in page.text, f"it says that nobody else gets it: {page.text[:600]}")
    page = browser.submit(page, "consent-approve")
    check("/download/T" in page.url and "code=" not in page.url, f"agreed, and no code is in an address: {page.url}")
    return page


def refused_to_others(sandbox: Sandbox, download: Download, say: Say) -> None:
    """The address of the page is worth nothing in another browser."""
    for citizen, who in ((sandbox.citizens[0], "another citizen"), (sandbox.citizens[1], "another sign-in")):
        say(f"{who} tries the address")
        other = Browser("en")
        promises.sign_in(other, other.open(f"{sandbox.issuer}/sign-in?method=certificate&lang=en"), citizen, say)
        page = other.open(download.url)
        check("fetching" not in {form.action for form in page.forms} and "csrf" not in page.html, f"{who}: no form")
        answer = download.ask(other)
        check(answer.status_code in {400, 403}, f"{who} gets no tokens, but {answer.status_code}")


def cross_origin(download: Download, sandbox: Sandbox) -> None:
    """A browser that asks whether a page may fetch is told yes for the platform's own, and no for any other."""
    url = download.granted[0]["locations"][0]
    for origin, status in ((download.origin, 204), (sandbox.bank_url, 405)):
        asked = {"Origin": origin, "Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "dpop"}
        answer = requests.options(url, headers=asked, timeout=TIMEOUT_S)
        check(answer.status_code == status, f"{origin} may fetch by a script: {status}, not {answer.status_code}")


def fetch_all(sandbox: Sandbox, download: Download, canary: str, say: Say) -> list[int]:
    """Fetch every dataset to its end, and verify it; the sizes."""
    agencies = requests.get(f"{sandbox.issuer}/catalogue", timeout=TIMEOUT_S).json()["agencies"]
    sizes, prepared = [], set()
    check({item["dataset"] for item in download.granted} == set(DATASETS), "everything is granted")
    for granted in sorted(download.granted, key=lambda item: item["dataset"] == WITHOUT_JOSE):
        name, deadline = granted["dataset"], time.monotonic() + MOST_WAITING_S
        if name == WITHOUT_JOSE:
            promises.nothing_in_memory(sandbox, canary, say)
        answer = download.fetch(granted)
        while answer.status_code in LATER and time.monotonic() < deadline:
            prepared.add(name)
            wait_s = int(answer.headers["Retry-After"])
            say(f"{name}: preparing, again in {wait_s} s")
            time.sleep(wait_s)
            answer = download.fetch(granted)
        if name == WITHOUT_RECORD:
            check(answer.status_code == 404, f"{name}: no record, not {answer.status_code}")
            continue
        check(answer.status_code == 200, f"{name}: delivered, not {answer.status_code} {answer.text[:300]}")
        package = download.open(answer, granted, agencies)
        check(canary in str(package.data), f"{name}: holds the text that is looked for afterwards")
        sizes.append(len(answer.content))
        say(f"{name}: {len(answer.content)} bytes, signed by {package.manifest['iss']}")
    check(SLOW in prepared, f"{SLOW} was first answered with 'preparing'")
    check(max(sizes) > promises.LARGE_BYTES, f"{LARGE} has 20 MB")
    return sizes
