"""What is made once for many: never mixed up, never more than it may be, and nobody's words are markup."""

import re

from authz_server.consent import views
from authz_server.consent.remembered import MOST, Remembered, Slotted, slots
from tests.support.platform import Platform, hidden_fields


def test_words_are_put_where_their_slots_are_as_text_and_nothing_else() -> None:
    named = slots("name", "place")
    page = Slotted(f'<p title="{named["place"]}">{named["name"]}, {named["place"]}</p>')
    words = {"name": "<b>A & B</b>", "place": '"here"'}
    assert page.fill(words) == '<p title="&#34;here&#34;">&lt;b&gt;A &amp; B&lt;/b&gt;, &#34;here&#34;</p>'


def test_a_word_that_looks_like_a_slot_is_a_word() -> None:
    named = slots("name", "place")
    filled = Slotted(f"{named['name']} {named['place']}").fill({"name": named["place"], "place": "here"})
    assert filled == f"{named['place']} here"


def test_a_page_is_filled_anew_for_everybody() -> None:
    page = Slotted(f"for {slots('name')['name']}")
    assert [page.fill({"name": name}) for name in ("one", "two", "one")] == ["for one", "for two", "for one"]


def test_what_is_asked_for_again_was_made_once_and_there_is_never_too_much_of_it() -> None:
    remembered: Remembered[int] = Remembered()
    made: list[int] = []

    def get(number: int) -> int:
        def make() -> int:
            made.append(number)
            return number

        return remembered.get(number, make)

    numbers = [0, 0, *range(MOST), 0]
    assert [get(number) for number in numbers] == numbers
    assert made == list(range(MOST))
    assert [get(MOST), get(0)] == [MOST, 0]
    assert made == [*range(MOST), MOST, 0]


def test_what_somebody_ticked_is_not_kept(platform: Platform) -> None:
    citizen = platform.citizen()
    page = citizen.authorize(platform.bank.client_id, platform.bank.push(platform.detail("ris.personal")))
    action = re.search(r'action="(/consent/[^"/]+)"', page.text)
    assert action is not None
    kept = dict(views._PAGES._made)
    for ticked in ("0/made-up", "x" * 1000):
        form = hidden_fields(page.text) | {"optional": ticked, "lang": "en"}
        assert citizen.client.post(action[1], data=form).status_code == 200
    assert dict(views._PAGES._made) == kept
