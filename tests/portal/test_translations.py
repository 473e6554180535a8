"""Both languages are complete: what the sources say in English, the catalogue says in 繁體中文, and nothing else."""

import re
from datetime import UTC, datetime
from functools import cache
from string import Formatter

import pytest
from babel.messages.catalog import Catalog
from babel.messages.extract import DEFAULT_KEYWORDS, extract_from_dir
from babel.messages.mofile import read_mo
from babel.messages.pofile import read_po

from authz_server.consent.wording import SENTENCES, day, duration, say
from authz_server.notices.phrases import SENTENCES as MESSAGES
from authz_server.notices.wording import TOLD
from tests.support.tree import ROOT
from tests.support.typography import WIDE_PUNCTUATION

FOLDER = ROOT / "authz_server" / "translations" / "zh_Hant_TW" / "LC_MESSAGES"
METHODS = [("**.py", "python"), ("templates/**.html", "jinja2")]  # as in translations/babel.cfg
PLACE = re.compile(r"%\(\w+\)s")
HAN = re.compile(r"[一-鿿]")
# A text of a template, and a space between it and what follows it in its line, be it a line end.
SPACED = re.compile(
    r"""_\((?P<quote>["'])(?P<text>(?:(?!(?P=quote)).)*)(?P=quote)[^{}]*\}\}
    (?:\{%[^%]*%\}|</?(?:a|span|strong)\b[^>]*>)*\s+(?:\{%\s[^%]*%\}\s*)*(?=\{\{|<(?:a|span|strong)\b)""",
    re.VERBOSE,
)


@cache
def catalogue() -> Catalog:
    with (FOLDER / "messages.po").open("rb") as file:
        return read_po(file, locale="zh_Hant_TW")


@cache
def translations() -> dict[str, str]:
    return {str(message.id): str(message.string) for message in catalogue() if message.id}


def test_every_text_of_pages_and_code_is_in_the_catalogue_and_no_other() -> None:
    keywords = {**DEFAULT_KEYWORDS, "lazy_gettext": None}
    options = {"templates/**.html": {"trimmed": "true"}}
    found = {
        str(text) for _, _, text, _, _ in extract_from_dir(ROOT / "authz_server", METHODS, options, keywords=keywords)
    }
    assert found == set(translations())


def test_every_text_is_translated_and_none_is_fuzzy() -> None:
    assert not [text for text, translated in translations().items() if not HAN.search(translated)]
    assert not [message.id for message in catalogue() if message.id and message.fuzzy]
    assert not list(catalogue().obsolete)


def test_no_translation_repeats_the_sentence_that_it_translates() -> None:
    assert not [text for text, translated in translations().items() if " " in text and text in translated]


def test_a_translation_has_the_places_of_its_text() -> None:
    wrong = [
        text
        for text, translated in translations().items()
        if sorted(PLACE.findall(text)) != sorted(PLACE.findall(translated))
    ]
    assert not wrong


def test_a_time_is_parted_from_what_follows_it_in_chinese() -> None:
    closed = re.compile(r"%\((when|time)\)s[一-鿿]")
    assert not [text for text, translated in translations().items() if closed.search(translated)]


def test_the_compiled_catalogue_is_the_readable_one() -> None:
    with (FOLDER / "messages.mo").open("rb") as file:
        compiled = read_mo(file)
    assert {str(message.id): str(message.string) for message in compiled if message.id} == translations()


def test_no_page_has_text_outside_the_catalogue() -> None:
    for path in sorted((ROOT / "authz_server" / "templates").glob("*.html")):
        text = re.sub(r"\{#.*?#\}|\{%.*?%\}|\{\{.*?\}\}|<[^>]*>", " ", path.read_text(encoding="utf-8"), flags=re.S)
        assert not re.findall(r"[^\W\d_]{2,}", text), path.name


def test_no_template_puts_a_space_after_what_ends_in_wide_punctuation_in_chinese() -> None:
    spaced = [
        (path.name, text)
        for path in sorted((ROOT / "authz_server" / "templates").rglob("*.html"))
        for _, text in SPACED.findall(path.read_text(encoding="utf-8"))
        if translations()[text].endswith(tuple(WIDE_PUNCTUATION))
    ]
    assert not spaced


@pytest.mark.parametrize("event", TOLD)
def test_a_message_says_the_same_in_both_languages(event: str) -> None:
    told = TOLD[event]
    texts = [(told.title.zh, told.title.en), (told.more.zh, told.more.en)]
    places = [
        {place for text in of_language for _, place, _, _ in Formatter().parse(text) if place}
        for of_language in zip(*texts, strict=True)
    ]
    assert places[0] == places[1] <= {"client", "dataset", "lock"}
    for zh, en in texts:
        assert HAN.search(zh)
        assert not HAN.search(en)


@pytest.mark.parametrize("name", MESSAGES)
def test_what_stands_in_every_message_says_the_same_in_both_languages(name: str) -> None:
    zh, en = MESSAGES[name]
    assert {place for _, place, _, _ in Formatter().parse(zh)} == {place for _, place, _, _ in Formatter().parse(en)}
    assert not HAN.search(en)


@pytest.mark.parametrize("name", SENTENCES)
def test_a_sentence_of_the_notice_says_the_same_in_both_languages(name: str) -> None:
    zh, en = SENTENCES[name]
    places = [{place for _, place, _, _ in Formatter().parse(text) if place} for text in (zh, en)]
    # "of the client" is "they" in English, where the sentence before has named it.
    assert places[0] - places[1] <= {"client"}
    assert places[1] <= places[0]
    assert HAN.search(zh)
    assert not HAN.search(en)


def test_a_name_with_braces_stays_a_name() -> None:
    assert say("title", "en", client="{0} {client}") == "Share your data with {0} {client}?"


@pytest.mark.parametrize(
    ("seconds", "zh", "en"),
    [
        (1, "1 秒", "1 second"),
        (45, "45 秒", "45 seconds"),
        (60, "1 分鐘", "1 minute"),
        (90, "90 秒", "90 seconds"),
        (600, "10 分鐘", "10 minutes"),
        (7200, "2 小時", "2 hours"),
    ],
)
def test_a_wait_is_told_as_people_think_of_it(seconds: int, zh: str, en: str) -> None:
    assert duration(seconds, "zh-TW").strip() == zh
    assert duration(seconds, "en") == en


def test_a_day_is_the_day_in_taiwan() -> None:
    late = datetime(2026, 11, 23, 16, 30, tzinfo=UTC)
    assert day(late, "en") == "24 November 2026"
    assert day(late, "zh-TW") == "2026 年 11 月 24 日"
