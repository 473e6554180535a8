"""Both banks, unmodified, against the real servers: every product, a refusal, and agencies that misbehave."""

import re
from collections.abc import Iterator

import pytest
import requests

from client_examples.sandbox.browser import Browser, Page
from client_examples.sandbox.promises import REFERENCE, asked_to_sign_in, sign_in
from client_examples.sandbox.sandbox import Sandbox
from tests.support.waiting import wait_until

BANKS = {"bank": 0, "node-bank": 1}  # with the citizen who visits it


class Visit:
    """One citizen at one bank's web site, signed in at the platform when first asked."""

    def __init__(self, sandbox: Sandbox, bank: str) -> None:
        self.url = sandbox.bank_url if bank == "bank" else sandbox.node_bank_url
        self.citizen = sandbox.citizens[BANKS[bank]]
        self.browser = Browser()

    def apply(self, purpose: str) -> Page:
        """Press the product's button; returns the platform's consent page."""
        start = self.browser.open(self.url)
        (form,) = (form for form in start.forms if form.action == f"/apply/{purpose}")
        page = self.browser.press(start, form)
        if asked_to_sign_in(page):
            page = sign_in(self.browser, page, self.citizen, lambda _step: None)
        return page

    def agree(self, purpose: str) -> Page:
        return self.browser.submit(self.apply(purpose), "consent-approve")


@pytest.fixture(scope="module", params=BANKS)
def visit(sandbox: Sandbox, request: pytest.FixtureRequest) -> Visit:
    return Visit(sandbox, request.param)


@pytest.fixture
def agency(sandbox: Sandbox) -> Iterator[str]:
    """The address at which an agency's behaviour is switched; it behaves again afterwards."""
    yield f"{sandbox.agency_url}/admin/bli"
    requests.put(f"{sandbox.agency_url}/admin/bli/ok", timeout=10)


def statuses(page: Page) -> list[str]:
    return [part.split('"')[0] for part in page.html.split('data-status="')[1:]]


def test_an_address_that_there_is_not_is_a_page_of_the_bank(visit: Visit) -> None:
    answer = requests.get(f"{visit.url}/none", headers={"Accept-Language": "en"}, timeout=10)
    assert (answer.status_code, "There is no such page" in answer.text) == (404, True)
    assert '<a href="/">Start again</a>' in answer.text


@pytest.mark.parametrize(
    ("preferred", "tag"),
    [("en-US,en;q=0.9", "en"), ("zh-Hant-TW,zh;q=0.9,en;q=0.8", "zh-Hant-TW"), ("ja", "zh-Hant-TW")],
)
def test_a_bank_begins_in_the_language_of_the_browser(visit: Visit, preferred: str, tag: str) -> None:
    answer = requests.get(visit.url, headers={"Accept-Language": preferred}, timeout=10)
    assert f'<html lang="{tag}">' in answer.text


def test_a_credit_card_needs_three_datasets(visit: Visit) -> None:
    question = visit.apply("credit-card")
    reference = re.search(REFERENCE, question.text)
    assert reference is not None
    page = visit.browser.submit(question, "consent-approve")
    assert page.status == 200, page.text
    assert page.text.count(reference[0]) == 3, "of each dataset, for whoever calls"
    assert statuses(page) == ["done", "done", "done"]
    assert visit.citizen.name in page.text
    assert re.search(r"<dd>[1-9][0-9]*,[0-9]{3}</dd>", page.html), "an amount as people write it"
    assert "<dd>民國 113 年</dd>" in page.html
    assert "<dd>2024 (ROC year 113)</dd>" in visit.browser.open(f"{visit.url}/result?lang=en").html
    visit.browser.open(f"{visit.url}/result?lang=zh-TW")


def test_a_loan_waits_for_the_slow_agency(visit: Visit) -> None:
    page = visit.agree("personal-loan")
    pension = "done" if int(visit.citizen.national_id[-1]) % 2 else "no-record"
    assert statuses(page) == ["preparing", pension, "done"]
    assert statuses(visit.browser.settle(page)) == ["done", pension, "done"]


def test_a_result_read_again_fetches_nothing_again(visit: Visit) -> None:
    page = visit.agree("credit-card")
    assert visit.browser.open(page.url).text == page.text


def test_a_citizen_who_refuses_sends_nothing(visit: Visit) -> None:
    page = visit.browser.submit(visit.apply("credit-card"), "consent-deny")
    assert page.status == 400
    assert "您選擇不同意，因此沒有送出任何資料。" in page.text


@pytest.mark.parametrize("mode", ["wrong-signature", "wrong-schema"])
def test_a_package_that_must_not_be_believed_is_not_shown(visit: Visit, agency: str, mode: str) -> None:
    requests.put(f"{agency}/{mode}", timeout=10)
    page = visit.agree("credit-card")
    assert statuses(page) == ["failed", "failed", "done"]


def test_an_agency_that_is_down_is_asked_again(visit: Visit, agency: str) -> None:
    requests.put(f"{agency}/down", timeout=10)
    page = visit.agree("credit-card")
    assert statuses(page) == ["waiting", "waiting", "done"]
    requests.put(f"{agency}/ok", timeout=10)
    assert statuses(visit.browser.settle(page)) == ["done", "done", "done"]


def test_the_bank_asks_no_more_once_it_is_stopped_and_erases_when_it_is_asked(sandbox: Sandbox, agency: str) -> None:
    visit = Visit(sandbox, "bank")
    requests.put(f"{agency}/down", timeout=10)
    asked = visit.apply("credit-card")
    reference = re.search(REFERENCE, asked.text)
    assert reference is not None
    page = visit.browser.submit(asked, "consent-approve")
    assert statuses(page) == ["waiting", "waiting", "done"]
    question = visit.browser.open(f"{sandbox.issuer}/consent/{reference[0]}/stop")
    visit.browser.submit(question, "stop-confirm")
    heard = sandbox.processes["bank"]
    wait_until(lambda: "ended: " in heard.log_tail(), "the bank is told")
    assert statuses(visit.browser.open(page.url)) == ["ended", "ended", "done"]
    question = visit.browser.open(f"{sandbox.issuer}/consent/{reference[0]}/correct")
    wrong = {"field": "fia.income-certificate/gross_income", "value": "1"}
    visit.browser.submit(question, "correct-confirm", fields=wrong)
    detail = f"{sandbox.issuer}/consents/{reference[0]}"
    wait_until(lambda: "機關已更正。" in visit.browser.open(detail).text, "the agency answers what is to be corrected")
    question = visit.browser.open(f"{sandbox.issuer}/consent/{reference[0]}/erase")
    visit.browser.submit(question, "erase-confirm")
    wait_until(lambda: "erased: " in heard.log_tail(), "the bank is asked, erases, and says so")
    assert visit.browser.open(page.url).status == 400
    assert "刪除您的資料：" in visit.browser.open(detail).text


def test_a_large_scan_reaches_the_bank(sandbox: Sandbox) -> None:
    visit = Visit(sandbox, "bank")
    visit.citizen = sandbox.citizens[2]
    page = visit.agree("long-term-care")
    assert statuses(page) == ["done", "done"]
    assert "scan.png（20.4 MB）" in page.text
