"""The "not me" link: asks by GET, stops everything by POST, once, within thirty days."""

import re
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import parse_qsl, urlsplit

import pytest
from flask.testing import FlaskClient
from sqlalchemy import delete, select
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from authz_server.audit.models import AuditEntry
from authz_server.core import clock
from authz_server.database import Base
from authz_server.identity.models import Citizen, CitizenSession
from authz_server.notices import not_me
from authz_server.notices.models import NOTICE
from tests.notices.support import Hands
from tests.support.platform import Platform, hidden_fields
from tests.support.protocol import Fetch, rows, writing
from tests.support.smtp import PostOffice
from tests.support.waiting import left_meanwhile


def link_in_the_mail(hands: Hands, office: PostOffice, event: str = "sign_in.locked") -> str:
    """What the newest letter about an event leads to, without the host."""
    hands.happened(event)
    hands.tick()
    hands.deliver("email")
    body = office.letters[-1].get_body(("plain",))
    assert body is not None
    found = re.search(r"https://mydata\.example(/not-me\?key=\S+&lang=en)", body.get_content())
    assert found is not None
    return found[1]


def key_of(link: str) -> str:
    return dict(parse_qsl(urlsplit(link).query))["key"]


def press(browser: FlaskClient, link: str) -> TestResponse:
    """Follow the link and press its button."""
    page = browser.get(link)
    return browser.post("/not-me", data=hidden_fields(page.text), follow_redirects=True)


def frozen(platform: Platform, username: str = "citizen1") -> bool:
    (citizen,) = rows(platform, Citizen, username=username)
    return citizen.frozen_at is not None


def told(platform: Platform) -> list[str]:
    return [entry.event for entry in rows(platform, AuditEntry) if entry.event.startswith("account.f")]


@pytest.fixture
def link(hands: Hands, office: PostOffice) -> str:
    return link_in_the_mail(hands, office)


def test_following_the_link_changes_nothing_and_says_what_the_button_does(own_platform: Platform, link: str) -> None:
    before = rows(own_platform, Citizen) + rows(own_platform, AuditEntry)
    for method in ("GET", "HEAD"):
        page = own_platform.browser().open(link, method=method)
        assert page.status_code == 200
    page = own_platform.browser().get(link)
    assert "Not you?" in page.text
    assert "You do not need to sign in." in page.text
    assert "Sign in by two different ways" in page.text, "which it takes to open the account afterwards"
    assert page.headers["Cache-Control"] == "no-store"
    assert page.headers["Referrer-Policy"] == "no-referrer"
    assert rows(own_platform, Citizen) + rows(own_platform, AuditEntry) == before


def test_in_the_other_language_a_form_that_was_too_old_is_still_of_that_message(
    own_platform: Platform, link: str
) -> None:
    browser = own_platform.browser()
    form = hidden_fields(browser.get(link).text)
    browser.delete_cookie("__Host-mydata-form")  # signed in elsewhere meanwhile
    stale = browser.post("/not-me", data=form)
    assert (stale.status_code, 'form="not-me" name="lang"' in stale.text) == (403, True)
    switched = browser.post("/not-me", data=hidden_fields(stale.text) | {"lang": "zh-TW"})
    assert (switched.status_code, "不是您嗎？" in switched.text) == (200, True)
    assert not frozen(own_platform)
    assert browser.post("/not-me", data=hidden_fields(switched.text)).status_code == 303
    assert frozen(own_platform)


def test_the_button_stops_everything_without_a_sign_in(own_platform: Platform, link: str) -> None:
    citizen = own_platform.citizen()
    (granted,) = own_platform.tokens(own_platform.detail("ris.personal"), citizen=citizen)["authorization_details"]
    code = own_platform.code(own_platform.detail("ris.personal"), citizen=citizen)
    page = press(own_platform.browser(), link)
    assert page.status_code == 200
    assert "Everything is stopped" in page.text
    assert frozen(own_platform)
    assert citizen.client.get("/record").status_code == 303, "every session has ended"
    assert Fetch(own_platform, granted["access_token"]).exchange().status_code == 400
    assert own_platform.bank.redeem(code).status_code == 400
    reasons = [entry.reason for entry in rows(own_platform, AuditEntry, event="account.frozen")]
    assert reasons == ["not_me"]
    assert not frozen(own_platform, "citizen2")


def test_a_second_time_changes_nothing_and_shows_the_same_page(
    own_platform: Platform, hands: Hands, office: PostOffice, link: str
) -> None:
    unused = link_in_the_mail(hands, office, "method.added")
    press(own_platform.browser(), link)
    own_platform.citizen()
    before = rows(own_platform, AuditEntry), rows(own_platform, CitizenSession)
    browser = own_platform.browser()
    form = hidden_fields(browser.get(unused).text) | {"key": key_of(link)}
    page = browser.post("/not-me", data=form, follow_redirects=True, headers={"Accept-Language": "en"})
    assert page.status_code == 200
    assert "Everything is stopped" in page.text
    assert "not-me-confirm" not in page.text
    assert (rows(own_platform, AuditEntry), rows(own_platform, CitizenSession)) == before, "nobody is signed out again"


def test_a_used_link_can_t_undo_that_the_account_was_opened_again(
    own_platform: Platform, hands: Hands, link: str
) -> None:
    press(own_platform.browser(), link)
    hands.change(frozen_at=None)
    page = own_platform.browser().get(link)
    assert "Your account was opened again since." in page.text
    assert not frozen(own_platform)


def test_afterwards_who_it_is_has_to_be_proved_by_two_ways_again(own_platform: Platform, link: str) -> None:
    (before,) = rows(own_platform, Citizen, username="citizen1")
    press(own_platform.browser(), link)
    (after,) = rows(own_platform, Citizen, username="citizen1")
    assert before.verified_at is not None
    assert after.verified_at is None


def test_the_link_of_another_message_works_still_and_signs_everybody_out_once_more(
    own_platform: Platform, hands: Hands, office: PostOffice, link: str
) -> None:
    other = link_in_the_mail(hands, office, "method.added")
    press(own_platform.browser(), link)
    citizen = own_platform.citizen()
    press(own_platform.browser(), other)
    assert citizen.client.get("/record").status_code == 303
    assert told(own_platform) == ["account.frozen"], "frozen once"


def test_eight_at_once_stop_everything_once(own_platform: Platform, link: str) -> None:
    key, secret = key_of(link), own_platform.app.extensions["mydata"].secret
    named, now = not_me.verify(key, secret), clock.now()

    def use(_number: int) -> bool:
        with writing(own_platform) as session:
            return not_me.use(session, named, now=now)

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(use, range(8))) == 1
    assert told(own_platform) == ["account.frozen"]


def test_who_leaves_in_that_very_moment_and_the_link_wait_for_each_other_in_one_order(
    own_platform: Platform, link: str
) -> None:
    named, now = not_me.verify(key_of(link), own_platform.app.extensions["mydata"].secret), clock.now()
    (citizen,) = rows(own_platform, Citizen, username="citizen1")

    def use() -> bool:
        with Session(own_platform.engine) as other, other.begin():
            return not_me.use(other, named, now=now)

    used = left_meanwhile(own_platform.settings, own_platform.engine, citizen.id, use)
    assert not used, "its message is gone"


def test_after_thirty_days_it_is_over(own_platform: Platform, link: str) -> None:
    browser = own_platform.browser()
    form = hidden_fields(browser.get(link).text)
    clock.advance(not_me.GOOD_FOR)
    assert "This link is too old" in own_platform.browser().get(link).text
    assert "This link is too old" in browser.post("/not-me?lang=en", data=form, follow_redirects=True).text
    assert not frozen(own_platform)


def test_when_its_message_is_gone_it_is_no_link_any_more(own_platform: Platform, link: str) -> None:
    with writing(own_platform) as session:
        session.execute(delete(NOTICE))
    assert own_platform.browser().get(link).status_code == 404


@pytest.mark.parametrize("form", [{}, {"csrf": "x"}, {"csrf": ""}])
def test_a_form_from_elsewhere_stops_nothing(own_platform: Platform, link: str, form: dict[str, str]) -> None:
    browser = own_platform.browser()
    browser.get(link)
    page = browser.post("/not-me?lang=en", data=form | {"key": key_of(link)})
    assert page.status_code == 403
    assert "Nothing was stopped yet" in page.text
    assert not frozen(own_platform)


def test_every_altered_link_is_unknown(own_platform: Platform, link: str) -> None:
    path, key = "/not-me", key_of(link)
    number, channel, mac = re.fullmatch(r"mdn_(\d+)-(\w+)-(.{43})", key).groups()  # type: ignore[union-attr]  # it is one
    altered = [
        "", "x", key[:-1], key + "A", key.upper(), f"mdn_{int(number) + 1}-{channel}-{mac}", f"mdn_{number}-web-{mac}",
        f"mdn_0{number}-{channel}-{mac}"[:-1] + "!", f"mdn_-1-{channel}-{mac}", "\ud800", key.replace("mdn_", "mds_"),
    ]  # fmt: skip
    altered += [
        f"mdn_{number}-{channel}-{mac[:at]}{'A' if mac[at] != 'A' else 'B'}{mac[at + 1 :]}" for at in range(0, 42, 7)
    ]
    for bad in altered:
        page = own_platform.browser().get(path, query_string={"key": bad.encode("utf-8", "surrogatepass")})
        assert page.status_code == 404, bad
        assert "not-me-confirm" not in page.text
    assert own_platform.browser().get("/not-me").status_code == 404


def test_the_secret_of_the_link_rests_nowhere(own_platform: Platform, link: str) -> None:
    mac = key_of(link)[-43:]
    for table in Base.metadata.sorted_tables:
        with own_platform.engine.connect() as connection:
            assert mac not in repr(connection.execute(select(table)).all()), table.name
