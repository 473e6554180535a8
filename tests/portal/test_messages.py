"""The inbox: every message, read when it is opened, nobody else's; and where else a citizen is told."""

import re
from html import unescape
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from authz_server import worker
from authz_server.audit.models import AuditEntry
from authz_server.audit.service import Entry, record
from authz_server.clients import own
from authz_server.core import clock
from authz_server.database import db, table_of
from authz_server.identity.models import Citizen
from authz_server.notices import inbox
from authz_server.notices.models import NOTICE, Notice
from authz_server.notices.wording import TOLD
from authz_server.portal.messages import PER_PAGE
from tests.bench.count import counting
from tests.support.platform import Platform, hidden_fields
from tests.support.protocol import rows, writing


class Someone:
    """A citizen with messages, at a browser."""

    def __init__(self, platform: Platform, *events: str, username: str = "citizen1", **about: Any) -> None:
        self.platform = platform
        self.browser = platform.citizen(username)
        with Session(platform.engine) as session, session.begin():
            found = session.scalars(select(Citizen.id).where(Citizen.username == username)).one()
            entries = [
                Entry(at=clock.now(), event=event, success=True, actor="citizen", citizen_id=found, **about)
                for event in events
            ]
            if entries:
                record(session, *entries)
        worker.tick(platform.engine, now=clock.now())

    def get(self, path: str) -> TestResponse:
        return self.browser.client.get(path, headers={"Accept-Language": "en"})

    def ids(self) -> list[int]:
        """The messages of the first page, in its order."""
        return [int(number) for number in re.findall(r'href="/messages/(\d+)"', self.get("/messages").text)]

    def unread(self) -> int:
        """What the navigation says."""
        found = re.search(r"\((\d+) unread\)", self.get("/account").text)
        return int(found[1]) if found else 0


def test_every_kind_of_message_can_be_opened_in_both_languages(own_platform: Platform) -> None:
    someone = Someone(own_platform, *TOLD)
    pages = [someone.get("/messages")]
    while older := re.search(r'href="(/messages\?before=\d+)"', pages[-1].text):
        pages.append(someone.get(older[1]))
    for told in TOLD.values():
        title = told.title.en.format(client="somebody", dataset="")
        assert any(" ".join(title.split()) in " ".join(unescape(page.text).split()) for page in pages), title
    for number in someone.ids():
        for lang in ("en", "zh-TW"):
            page = someone.browser.client.get(f"/messages/{number}?lang={lang}")
            assert page.status_code == 200
            closed = TOLD["account.left"].title.get(lang) in page.text  # then there is nothing left to stop
            assert ("/not-me?key=mdn_" in page.text) is not closed


def test_one_that_a_newer_release_told_of_is_shown_by_its_name_and_its_facts(own_platform: Platform) -> None:
    someone = Someone(own_platform, "sign_in.locked")
    with writing(own_platform) as session:
        session.execute(table_of(AuditEntry).update().values(event="later.invented"))
    (number,) = someone.ids()
    page = someone.get(f"/messages/{number}")
    assert page.status_code == 200
    assert "<h1>later.invented</h1>" in page.text
    assert "Taiwan time" in page.text
    assert "/not-me?key=mdn_" in page.text


def test_of_a_download_it_speaks_of_the_citizens_own_browser(own_platform: Platform) -> None:
    events = ("token.delivered", "token.failed", "token.expired", "consent.denied", "consent.withdrawn")
    someone = Someone(own_platform, *events, client_id=own.CLIENT_ID, dataset_id="fia.income")
    page = unescape(someone.get("/messages").text)
    for title in (
        '"Personal income" was downloaded to your own browser',
        '"Personal income" could not be delivered to your own browser',
        'Your own browser did not fetch "Personal income" in time',
        "You did not agree to download your data",
        "Your download was stopped",
    ):
        assert title in page
    record_page = unescape(someone.get("/record").text)
    assert '"Personal income" was downloaded to your own browser' in record_page
    assert 'Your own browser did not fetch "Personal income" in time' in record_page


def test_a_message_says_who_what_when_and_where_else_it_went(own_platform: Platform) -> None:
    someone = Someone(own_platform)
    own_platform.code(own_platform.detail("ris.personal"), citizen=someone.browser)
    worker.tick(own_platform.engine, now=clock.now())
    (number, *_) = someone.ids()
    with writing(own_platform) as session:
        (citizen_id,) = {row.citizen_id for row in rows(own_platform, Notice, audit_entry_id=number)}
        for channel, done in (("email", {"delivered_at": clock.now()}), ("sms", {"failed_at": clock.now()})):
            about = {"audit_entry_id": number, "channel": channel, "citizen_id": citizen_id, "attempts": 1}
            session.execute(NOTICE.insert().values(about | {"created_at": clock.now()} | done))
    page = someone.get(f"/messages/{number}").text
    for said in (
        "You agreed to share data with First Sample Bank",
        "02-0000-0000",
        "Personal household registration",
        "(Taiwan time)",
        "Handed over on",
        "Could not be delivered",
    ):
        assert said in page


def test_opening_it_counts_it_as_read_and_the_navigation_says_how_many_are_not(own_platform: Platform) -> None:
    someone = Someone(own_platform, "sign_in.locked", "method.added")
    assert someone.unread() == 2
    newest, oldest = someone.ids()
    someone.get(f"/messages/{oldest}")
    assert someone.unread() == 1
    read_at = {row.audit_entry_id: row.read_at for row in rows(own_platform, Notice)}
    assert (read_at[newest], read_at[oldest] is None) == (None, False)
    someone.get(f"/messages/{newest}")
    assert someone.unread() == 0
    assert "Mark all as read" not in someone.get("/messages").text


def test_all_are_marked_up_to_what_was_on_the_page(own_platform: Platform) -> None:
    someone = Someone(own_platform, "sign_in.locked", "method.added")
    form = hidden_fields(someone.get("/messages").text)
    Someone(own_platform, "method.removed")
    assert someone.browser.client.post("/messages/read", data=form).location == "/messages"
    assert someone.unread() == 1


@pytest.mark.parametrize("change", [{"csrf": "x"}, {"csrf": None}])
def test_a_form_from_elsewhere_marks_nothing(own_platform: Platform, change: dict[str, Any]) -> None:
    someone = Someone(own_platform, "sign_in.locked")
    form = hidden_fields(someone.get("/messages").text) | change
    someone.browser.client.post("/messages/read", data={name: value for name, value in form.items() if value})
    assert someone.unread() == 1


def test_nobody_else_sees_or_marks_them(own_platform: Platform) -> None:
    someone, other = Someone(own_platform, "sign_in.locked"), Someone(own_platform, username="citizen2")
    (number,) = someone.ids()
    assert other.ids() == []
    assert "There are no messages yet." in other.get("/messages").text
    assert other.get(f"/messages/{number}").status_code == 404
    with writing(own_platform) as session:
        citizen_id = session.scalars(select(Citizen.id).where(Citizen.username == "citizen2")).one()
        inbox.read_all(session, citizen_id, up_to=number, now=clock.now())
    assert someone.unread() == 1


def test_older_messages_are_a_page_away(own_platform: Platform) -> None:
    someone = Someone(own_platform, *["sign_in.locked"] * (PER_PAGE + 2))
    first = someone.ids()
    assert len(first) == PER_PAGE
    assert first == sorted(first, reverse=True)
    older = someone.get(f"/messages?before={first[-1]}")
    assert len(re.findall(r'href="/messages/\d+"', older.text)) == 2
    assert "Newest messages" in older.text
    assert "Older messages" not in older.text


@pytest.mark.parametrize("number", ["x", "-1", "9" * 30, "0"])
def test_what_is_no_message_is_not_found(own_platform: Platform, number: str) -> None:
    someone = Someone(own_platform)
    assert someone.get(f"/messages/{number}").status_code == 404
    assert someone.browser.client.post("/messages/read", data={"up_to": number}).status_code in {303, 404}


def test_the_count_costs_one_statement_where_there_is_a_navigation_and_none_elsewhere(own_platform: Platform) -> None:
    someone = Someone(own_platform, "sign_in.locked")
    bank = own_platform.bank
    consent = f"/authorize?client_id={bank.client_id}&request_uri={bank.push(own_platform.detail('ris.personal'))}"
    with own_platform.app.app_context():
        engine = db.engine
    for path, expected in (("/account", 1), (consent, 0)):
        assert someone.get(path).status_code in {200, 303}
        with counting(engine) as counted:
            someone.browser.client.get(path, follow_redirects=True)
        assert sum("notice." in text for text in counted.statement_texts) == expected, counted.statement_texts


def test_a_server_without_other_channels_offers_none(own_platform: Platform) -> None:
    assert "nowhere else at present" in Someone(own_platform).get("/account/notices").text
