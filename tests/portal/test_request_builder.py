"""The pages on which a developer puts a request together: what they refuse, and that what they make is text."""

import ast
import html
import re
import tomllib
from dataclasses import replace
from typing import Any

import pytest
from werkzeug.test import TestResponse

from authz_server import extensions
from authz_server.catalogue import loader
from authz_server.portal import request_builder
from tests.support.platform import ISSUER, Platform, hidden_fields
from tests.support.typography import spaced

CATALOGUE = loader.load()
INCOME, PERSONAL = "fia.income", "ris.personal"
RIGHT = {"client_id": "jia-bank", "purpose": "loan", "redirect_uri": "https://jia-bank.example/callback"}


def built(
    platform: Platform, *datasets: str, shown_in: str = "en", changes: dict[str, str] | None = None
) -> TestResponse:
    """The page after the form for these datasets was sent."""
    browser = platform.browser()
    address = "/developer/request?" + "&".join(f"dataset={name}" for name in datasets)
    form = hidden_fields(browser.get(f"{address}&lang={shown_in}").text)
    return browser.post(address, data=form | RIGHT | (changes or {}))


def text_of(page: TestResponse, name: str) -> str:
    """What the page gives to copy."""
    found = re.search(rf'<pre [^>]*id="{re.escape(name)}">(.*?)</pre>', page.text, re.DOTALL)
    assert found, page.text
    return html.unescape(found[1])


def details_of(page: TestResponse) -> list[dict[str, Any]]:
    """What the program sends."""
    for statement in ast.parse(text_of(page, "push.py")).body:
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "DETAILS":
            found: list[dict[str, Any]] = ast.literal_eval(statement.value)
            return found
    raise AssertionError("no DETAILS")


def test_all_that_can_be_asked_for_can_be_chosen(platform: Platform) -> None:
    page = platform.browser().get("/developer/datasets?lang=en&dataset=fia.income").text
    for dataset in CATALOGUE.scopes:
        assert f'value="{dataset}"' in page
    assert re.findall(r'value="([^"]*)" checked', page) == [INCOME]


@pytest.mark.parametrize("chosen", ["", "dataset=fia.nothing"])
def test_who_chose_nothing_is_told_so(platform: Platform, chosen: str) -> None:
    page = platform.browser().get(f"/developer/request?lang=en&{chosen}")
    assert page.status_code == 400
    assert "Choose the data that you want to ask for." in page.text


def test_who_chose_more_than_one_request_may_ask_for_is_told_so(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(request_builder, "MAX_DETAILS", 1)
    assert built(platform, PERSONAL, PERSONAL).status_code == 200, "one dataset, named twice"
    page = platform.browser().get(f"/developer/request?lang=en&dataset={INCOME}&dataset={PERSONAL}")
    assert page.status_code == 400
    assert "Choose at most 1 at a time." in page.text
    assert re.findall(r'value="([^"]*)" checked', page.text) == [INCOME, PERSONAL]


def test_what_is_chosen_stands_in_every_text(platform: Platform) -> None:
    chosen = {
        f"field/{INCOME}/total_income": "required",
        f"field/{INCOME}/payers": "optional",
        f"field/{INCOME}/name": "optional",  # which the form does not ask, for it goes always
        f"{INCOME}/tax_year": "113",
    }
    page = built(platform, INCOME, PERSONAL, changes=chosen)
    assert page.status_code == 200
    always = CATALOGUE.dataset(INCOME).required_fields
    income, personal = details_of(page)
    assert income == {
        "type": "dataset",
        "dataset": INCOME,
        "purpose": "loan",
        "fields_required": list(CATALOGUE.dataset(INCOME).in_order(always | {"total_income"})),
        "fields_optional": ["payers"],
        "parameters": {"tax_year": "113"},
    }
    assert "parameters" not in personal
    assert set(personal["fields_required"]) == CATALOGUE.dataset(PERSONAL).required_fields
    registered = tomllib.loads(text_of(page, "purpose.toml"))["purposes"]["loan"]["datasets"]
    assert registered[INCOME]["fields_required"] == income["fields_required"]
    assert set(registered[PERSONAL].pop("justification")) == {"zh", "en"}
    assert registered[PERSONAL] == {name: personal[name] for name in ("fields_required", "fields_optional")}
    for name in ("push.py", "push.sh"):
        for value in (ISSUER, "jia-bank", RIGHT["redirect_uri"]):
            assert value in text_of(page, name)


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("client_id", "Jia Bank", "client_id: 3 to 64 small letters, digits and hyphens."),
        ("client_id", "", "client_id: 3 to 64 small letters, digits and hyphens."),
        ("client_id", "jia$(id)", "client_id: 3 to 64 small letters, digits and hyphens."),
        ("purpose", 'loan"]', "Purpose: small letters, digits and hyphens."),
        (
            "redirect_uri",
            "http://jia-bank.example/callback",
            "redirect_uri: a whole https address, without a fragment.",
        ),
        (
            "redirect_uri",
            "https://jia-bank.example/'$(id)'",
            "redirect_uri: a whole https address, without a fragment.",
        ),
        (f"{INCOME}/tax_year", "1", "is not valid."),
        (f"{INCOME}/tax_year", "", "is missing."),
    ],
)
def test_what_is_wrong_is_said_at_its_field_and_nothing_is_made(
    platform: Platform, name: str, value: str, told: str
) -> None:
    page = built(platform, INCOME, changes={f"{INCOME}/tax_year": "113", name: value})
    assert page.status_code == 400
    assert f'href="#{name}"' in page.text
    assert html.unescape(page.text).count(told) == 2, "in the summary and at the field"
    assert "<pre" not in page.text


def test_of_a_dataset_of_which_nothing_goes_always_a_field_has_to_be_chosen(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = extensions.services
    dataset = CATALOGUE.dataset(PERSONAL)
    bare = replace(dataset, fields=tuple(replace(field, required=False) for field in dataset.fields))
    agency = replace(CATALOGUE.agency(dataset.agency_id), datasets=(bare,))
    catalogue = replace(CATALOGUE, agencies=(agency,))
    monkeypatch.setattr(request_builder, "services", lambda: replace(known(), catalogue=catalogue))
    first = f"field/{PERSONAL}/{bare.field_ids[0]}"
    page = built(platform, PERSONAL)
    assert page.status_code == 400
    assert f'href="#{first}"' in page.text
    assert f'id="{first}-error"' in page.text
    (chosen,) = details_of(built(platform, PERSONAL, changes={first: "optional"}))
    assert (chosen["fields_required"], chosen["fields_optional"]) == ([], [bare.field_ids[0]])


def test_a_redirect_uri_of_shell_characters_is_one_word_of_the_shell(platform: Platform) -> None:
    uri = "https://jia-bank.example/callback?a=$(id)&b=1;c"
    page = built(platform, PERSONAL, changes={"redirect_uri": uri})
    assert f"redirect_uri='{uri}'" in text_of(page, "push.sh")
    assert f'REDIRECT_URI = "{uri}"' in text_of(page, "push.py")


def test_a_form_of_another_browser_is_refused_and_keeps_what_was_typed(platform: Platform) -> None:
    page = built(platform, PERSONAL, changes={"csrf": "x", "client_id": "typed-already"})
    assert page.status_code == 403
    assert 'value="typed-already"' in page.text
    assert "<pre" not in page.text


def test_the_language_is_switched_without_losing_what_was_typed(platform: Platform) -> None:
    page = built(platform, PERSONAL, changes={"lang": "zh-TW", "purpose": "typed-already"})
    assert page.status_code == 200
    assert "產生請求" in page.text
    assert 'value="typed-already"' in page.text
    assert "<pre" not in page.text


@pytest.mark.parametrize("shown_in", ["en", "zh-TW"])
def test_the_pages_are_set_as_the_others_are(platform: Platform, shown_in: str) -> None:
    page = built(platform, INCOME, shown_in=shown_in, changes={f"{INCOME}/tax_year": "113"})
    assert page.status_code == 200
    assert not spaced(re.sub(r"<pre.*?</pre>", "", page.text, flags=re.DOTALL))
