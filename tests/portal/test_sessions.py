"""Where the citizen is signed in, and signing out there from here."""

import re
from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy.orm import Session

from authz_server import worker
from authz_server.audit.models import AuditEntry
from authz_server.core import clock
from authz_server.identity import sessions
from authz_server.identity.browsers import Browser
from authz_server.identity.models import Citizen, CitizenSession
from tests.support.platform import CitizenBrowser, Platform, hidden_fields
from tests.support.protocol import everything, rows, shut_out_once_seen

PATH = "/account/sessions"
FIREFOX = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0"


@pytest.fixture
def here(own_platform: Platform) -> Iterator[CitizenBrowser]:
    """A citizen who is signed in in two browsers, and one of another citizen."""
    with clock.frozen(clock.now()):
        yield own_platform.citizen()


@pytest.fixture
def there(own_platform: Platform, here: CitizenBrowser) -> CitizenBrowser:
    """The second browser, which says what it is."""
    citizen = own_platform.citizen(signed_in=False)
    with Session(own_platform.engine) as session, session.begin():
        (row,) = rows(own_platform, Citizen, username="citizen1")
        browser = Browser(secret="there", user_agent=FIREFOX)
        secret = sessions.open_session(
            session, row.id, level=5, amr=("otp",), method="email_code", now=clock.now(), browser=browser
        )
    citizen.client.set_cookie("__Host-mydata", secret)
    return citizen


def page(browser: CitizenBrowser, query: str = "") -> str:
    return " ".join(browser.client.get(f"{PATH}?lang=en{query}").text.split())


def names(browser: CitizenBrowser) -> list[str]:
    return re.findall(r'name="end" value="([0-9a-f]{32})"', browser.client.get(PATH).text)


def end(browser: CitizenBrowser, name: str) -> str:
    answer = browser.client.post(PATH, data={**hidden_fields(browser.client.get(PATH).text), "end": name})
    assert answer.status_code == 303
    return answer.location


def signed_in(browser: CitizenBrowser) -> bool:
    return browser.client.get(PATH).status_code == 200


def test_the_list_says_where_since_when_and_how_and_marks_this_browser(
    here: CitizenBrowser, there: CitizenBrowser
) -> None:
    shown = page(here)
    assert shown.count("This browser") == 1
    assert shown.index("A browser of unknown kind") < shown.index("This browser") < shown.index("Firefox on Windows")
    assert "Password and one-time code<br>Identity level 1" in shown
    assert "For your own pages only; no data can be shared with it" in shown
    assert shown.count("Signed in since") == 2
    assert "Windows 上的 Firefox" in here.client.get(f"{PATH}?lang=zh-TW").text
    cookies = [browser.client.get_cookie("__Host-mydata") for browser in (here, there)]
    assert not [cookie for cookie in cookies if cookie is None or cookie.value in shown]
    assert "127.0.0.1" not in shown


def test_a_browser_is_signed_out_from_here_at_once_and_the_citizen_is_told(
    here: CitizenBrowser, there: CitizenBrowser, own_platform: Platform
) -> None:
    (name,) = names(here)
    more, somebody = own_platform.citizen(), own_platform.citizen("citizen2")
    assert end(here, name) == f"{PATH}?ended=1"
    assert "Signed out there." in page(here, "&ended=1")
    assert [signed_in(browser) for browser in (here, there, more, somebody)] == [True, False, True, True]
    (entry,) = rows(own_platform, AuditEntry, event="session.ended")
    assert (entry.actor, entry.reason, entry.success) == ("citizen", None, True)
    assert "You signed another browser out of your account" in here.client.get("/record?lang=en").text
    worker.tick(own_platform.engine, now=clock.now())
    assert "Your account was signed out in a browser" in here.client.get("/messages?lang=en").text


def test_all_others_are_signed_out_and_what_was_over_is_no_event(
    here: CitizenBrowser, there: CitizenBrowser, own_platform: Platform
) -> None:
    more, somebody = own_platform.citizen(), own_platform.citizen("citizen2")
    assert end(here, "others") == f"{PATH}?ended=1"
    assert [signed_in(browser) for browser in (here, there, more, somebody)] == [True, False, False, True]
    assert end(here, "others") == f"{PATH}?ended=0"
    (entry,) = rows(own_platform, AuditEntry, event="session.ended")
    assert entry.reason == "all_others"
    assert "You are signed in nowhere else." in page(here)


def test_a_browser_that_was_not_used_for_too_long_is_signed_in_no_longer(
    here: CitizenBrowser, there: CitizenBrowser, own_platform: Platform
) -> None:
    (name,) = names(here)
    clock.advance(timedelta(minutes=19))
    assert signed_in(here)
    clock.advance(timedelta(minutes=2))
    assert names(here) == []
    assert end(here, name) == end(here, "others") == f"{PATH}?ended=0"
    assert not rows(own_platform, AuditEntry, event="session.ended")


def test_the_sessions_of_somebody_else_are_as_if_they_were_not_there(
    here: CitizenBrowser, there: CitizenBrowser, own_platform: Platform
) -> None:
    """Class 26: one answer for another citizen's, for none's, for what is no name, and for this browser's own."""
    thief = own_platform.citizen("citizen2")
    (name,), own = names(here), rows(own_platform, CitizenSession)
    for guess in (name, "0" * 32, name[:-1], name.upper(), "", "é", "x" * 5000, "all_others"):
        assert end(thief, guess) == f"{PATH}?ended=0", guess
    assert rows(own_platform, CitizenSession) == own
    assert (signed_in(here), signed_in(there)) == (True, True)
    assert not rows(own_platform, AuditEntry, event="session.ended")


def test_who_is_signed_out_while_the_request_is_under_way_signs_nobody_out(
    own_platform: Platform, here: CitizenBrowser, there: CitizenBrowser, monkeypatch: pytest.MonkeyPatch
) -> None:
    form = hidden_fields(there.client.get(PATH).text) | {"end": "others"}
    before = shut_out_once_seen(monkeypatch, own_platform, here.username, "signed out")
    answer = there.client.post(PATH, data=form)
    assert (answer.status_code, answer.location) == (303, PATH)
    assert everything(own_platform) == before[0]


def test_a_foreign_page_signs_nobody_out(here: CitizenBrowser, there: CitizenBrowser) -> None:
    (name,) = names(here)
    for forged in ({}, {"csrf": "x"}, {"csrf": hidden_fields(there.client.get(PATH).text)["csrf"]}):
        answer = here.client.post(PATH, data={**forged, "end": name})
        assert answer.status_code == 403
    assert (signed_in(here), signed_in(there)) == (True, True)
