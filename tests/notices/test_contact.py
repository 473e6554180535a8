"""Contact data: changed by who has just proved who they are, verified by a code that arrives, told to old and new."""

import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update
from werkzeug.test import TestResponse

from authz_server.audit.models import AuditEntry
from authz_server.config import MailSettings, Settings, SmsSettings
from authz_server.core import clock
from authz_server.database import Base
from authz_server.identity import contact
from authz_server.identity.contact import WrongCode
from authz_server.identity.models import Citizen, CitizenSession, ContactChange
from authz_server.identity.visits import FRESH
from tests.core.servers import serving
from tests.notices.conftest import SENDER
from tests.notices.support import Hands
from tests.notices.test_email import text_of
from tests.notices.test_sms import answered
from tests.support.platform import CitizenBrowser, Platform, hidden_fields
from tests.support.protocol import rows, services_of, writing
from tests.support.smtp import PostOffice

OLD, NEW = "citizen1@citizen.example", "new@citizen.example"
EMAIL, PHONE = "/account/contact/email", "/account/contact/phone"


@pytest.fixture
def settings(settings: Settings, office: PostOffice, tmp_path: Path) -> Settings:
    """A server that can send e-mail and, if a gateway were there, SMS."""
    (tmp_path / "token").write_text("t", encoding="utf-8")
    mail = MailSettings(host="127.0.0.1", port=office.port, sender=SENDER, tls="none")
    return replace(settings, mail=mail, sms=SmsSettings(url="http://127.0.0.1:9", token_file=tmp_path / "token"))


@pytest.fixture
def citizen(own_platform: Platform, hands: Hands) -> CitizenBrowser:
    """Somebody who has just signed in; nothing is left to be told of that."""
    return own_platform.citizen()


def submit(citizen: CitizenBrowser, path: str, **fields: str) -> TestResponse:
    """Fill in the form at this address."""
    form = hidden_fields(citizen.client.get(path).text) | fields
    return citizen.client.post(f"{path}?lang=en", data=form)


def code_to(hands: Hands, office: PostOffice, recipient: str) -> str:
    """The code in the newest letter to an address."""
    hands.tick()
    hands.deliver("email")
    assert office.recipients[-1] == recipient
    found = re.search(r"Code: (\d{6})\b", text_of(office.letters[-1]))
    assert found is not None
    return found[1]


def row_of(platform: Platform) -> Any:
    (row,) = rows(platform, Citizen, username="citizen1")
    return row


def weaken(platform: Platform) -> None:
    """Let every session be one of level 4."""
    with writing(platform) as session:
        session.execute(update(CitizenSession).values(level=4))


def told(platform: Platform) -> list[tuple[str, str | None]]:
    return [(row.event, row.reason) for row in rows(platform, AuditEntry) if row.event.startswith("contact.")]


def test_a_new_address_counts_once_its_code_was_typed_and_the_old_one_is_told(
    own_platform: Platform, hands: Hands, office: PostOffice, citizen: CitizenBrowser
) -> None:
    assert submit(citizen, EMAIL, value=f" {NEW} ").location == f"{EMAIL}/code"
    code = code_to(hands, office, NEW)
    assert row_of(own_platform).email == OLD, "nothing has changed yet"
    clock.advance(timedelta(minutes=1))
    assert submit(citizen, f"{EMAIL}/code", code=code).location == "/account/contact?saved=1"
    row = row_of(own_platform)
    assert (row.email, row.email_verified_at) == (NEW, clock.now())
    assert told(own_platform) == [("contact.proposed", "email"), ("contact.changed", "email")]
    office.recipients.clear()
    hands.tick()
    assert (hands.deliver("email"), hands.deliver("email_before")) == (1, 1)
    assert office.recipients == [NEW, OLD]
    for letter in office.letters[-2:]:
        assert letter["Subject"].startswith("Your contact data was changed")
        assert "/not-me?key=mdn_" in text_of(letter)
        assert NEW not in text_of(letter) + text_of(letter, "html")


def test_the_letter_with_the_code_says_nothing_of_whose_account_it_is(
    hands: Hands, office: PostOffice, citizen: CitizenBrowser
) -> None:
    submit(citizen, EMAIL, value=NEW)
    code = code_to(hands, office, NEW)
    content = text_of(office.letters[-1]) + text_of(office.letters[-1], "html") + office.letters[-1]["Subject"]
    for word in ("測試市民甲", OLD, "not-me", "/record", "A123456789"):
        assert word not in content
    assert code not in office.letters[-1]["Subject"], "a locked telephone shows subjects"


def test_a_code_that_is_good_for_seconds_is_told_so_on_the_page_and_in_the_letter(
    own_platform: Platform, hands: Hands, citizen: CitizenBrowser, office: PostOffice
) -> None:
    known = services_of(own_platform)
    settings = replace(known.settings, limits=replace(known.settings.limits, contact_code_ttl_s=45))
    own_platform.app.extensions["mydata"] = replace(known, settings=settings)
    hands.channels = Hands(own_platform).channels
    submit(citizen, EMAIL, value=NEW)
    assert "is good for 45 seconds." in citizen.client.get(f"{EMAIL}/code?lang=en").text
    code_to(hands, office, NEW)
    assert "within 45 seconds." in text_of(office.letters[-1])


def test_a_telephone_is_verified_by_sms(own_platform: Platform, settings: Settings, tmp_path: Path) -> None:
    with clock.frozen(clock.now()), serving(answered(b"202 Accepted")) as gateway:
        sms = SmsSettings(url=f"http://127.0.0.1:{gateway.port}", token_file=tmp_path / "token")
        hands, citizen = Hands(own_platform, sms=sms), own_platform.citizen()
        assert submit(citizen, PHONE, value="0900-000 009").location == f"{PHONE}/code"
        hands.tick()
        hands.deliver("sms")
        body = gateway.requests[-1].partition(b"\r\n\r\n")[2].decode()
        assert '"to":"0900000009"' in body
        found = re.search(r"code is (\d{6}),", body)
        assert found is not None
        assert submit(citizen, f"{PHONE}/code", code=found[1]).status_code == 303
        assert row_of(own_platform).phone == "0900000009"
        hands.tick()
        assert len(hands.notices("sms_before")) == 0, "there was none before"


def test_a_code_is_good_once_and_for_nothing_but_its_own_change(
    own_platform: Platform, hands: Hands, office: PostOffice, citizen: CitizenBrowser
) -> None:
    submit(citizen, EMAIL, value="first@citizen.example")
    first = code_to(hands, office, "first@citizen.example")
    submit(citizen, EMAIL, value=NEW)
    second = code_to(hands, office, NEW)
    assert submit(citizen, f"{EMAIL}/code", code=first).status_code == 400
    assert submit(citizen, f"{EMAIL}/code", code=second).status_code == 303
    assert row_of(own_platform).email == NEW
    changed = len(told(own_platform))
    form = hidden_fields(citizen.client.get(EMAIL).text)
    assert citizen.client.post(f"{EMAIL}/code", data=form | {"code": second}).status_code == 400
    assert len(told(own_platform)) == changed


def test_five_wrong_codes_end_it_and_the_right_one_comes_too_late(
    own_platform: Platform, hands: Hands, office: PostOffice, citizen: CitizenBrowser
) -> None:
    submit(citizen, EMAIL, value=NEW)
    code = code_to(hands, office, NEW)
    wrong = "000000" if code != "000000" else "000001"
    for _ in range(own_platform.settings.limits.contact_code_tries):
        assert submit(citizen, f"{EMAIL}/code", code=wrong).status_code == 400
    form = hidden_fields(citizen.client.get(EMAIL).text)
    page = citizen.client.post(f"{EMAIL}/code?lang=en", data=form | {"code": code})
    assert page.status_code == 400
    assert "There is no code to type any more" in page.text
    assert row_of(own_platform).email == OLD


def test_of_guesses_at_the_same_moment_no_more_are_looked_at(
    own_platform: Platform, settings: Settings, citizen: CitizenBrowser
) -> None:
    submit(citizen, EMAIL, value=NEW)
    secret, now, limits = b"s" * 32, clock.now(), settings.limits
    citizen_id = row_of(own_platform).id
    with writing(own_platform) as session:
        change = contact.find_open(session, citizen_id, "email", limits=limits, now=now)
    assert change is not None
    right = change.code(secret)

    def guess(number: int) -> str:
        code = f"{(int(right) + 1 + number) % 1_000_000:06}"
        with writing(own_platform) as session:
            try:
                contact.verify(session, citizen_id, "email", code, server_secret=secret, limits=limits, now=now)
            except WrongCode:
                return "wrong"
        return "right"

    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(guess, range(16))) == {"wrong"}
    (row,) = rows(own_platform, ContactChange)
    assert row.tries == limits.contact_code_tries


def test_a_code_is_over_after_its_time_and_is_not_sent_any_more(
    own_platform: Platform, hands: Hands, office: PostOffice, citizen: CitizenBrowser
) -> None:
    office.data = "451 later"
    submit(citizen, EMAIL, value=NEW)
    hands.tick()
    hands.deliver("email")
    clock.advance(timedelta(seconds=own_platform.settings.limits.contact_code_ttl_s))
    office.data = ""
    assert hands.deliver("email") == 1
    assert office.letters == []
    assert hands.notices("email")[-1].failure == "too late"
    assert own_platform.citizen().client.get(f"{EMAIL}/code").location == EMAIL


def test_of_two_codes_the_newer_one_counts_on_every_host_whatever_its_clock_says(
    own_platform: Platform, citizen: CitizenBrowser, hands: Hands, office: PostOffice
) -> None:
    with clock.frozen(clock.now()):
        submit(citizen, EMAIL, value="elder@citizen.example")
        clock.advance(timedelta(seconds=own_platform.settings.limits.contact_code_ttl_s + 1))
        citizen = own_platform.citizen()
        submit(citizen, EMAIL, value=NEW)
        code = code_to(hands, office, NEW)
        clock.advance(timedelta(seconds=-2))  # on another host
        assert NEW in citizen.client.get(f"{EMAIL}/code").text
        assert submit(citizen, f"{EMAIL}/code", code=code).location == "/account/contact?saved=1"


def test_no_more_codes_than_five_a_day(own_platform: Platform, citizen: CitizenBrowser) -> None:
    for number in range(own_platform.settings.limits.contact_codes_per_day):
        assert submit(citizen, EMAIL, value=f"a{number}@citizen.example").status_code == 303
    page = submit(citizen, EMAIL, value=NEW)
    assert page.status_code == 429
    assert "No more codes are sent today." in page.text
    clock.advance(timedelta(days=1))
    assert submit(own_platform.citizen(), EMAIL, value=NEW).status_code == 303


def test_an_address_that_is_removed_is_told_once_more(
    own_platform: Platform, hands: Hands, office: PostOffice, citizen: CitizenBrowser
) -> None:
    assert submit(citizen, f"{EMAIL}/remove").location == "/account/contact?saved=1"
    assert (row_of(own_platform).email, row_of(own_platform).email_verified_at) == (None, None)
    hands.tick()
    assert (hands.deliver("email"), hands.deliver("email_before")) == (0, 1)
    assert office.recipients == [OLD]
    assert citizen.client.get(f"{EMAIL}/remove").location == "/account/contact"


@pytest.mark.parametrize(("path", "fields"), [(EMAIL, {"value": NEW}), (f"{EMAIL}/remove", {})])
@pytest.mark.parametrize("lacking", ["again", "level"])
def test_an_old_or_weak_sign_in_changes_nothing_and_is_told_so(
    own_platform: Platform, citizen: CitizenBrowser, path: str, fields: dict[str, str], lacking: str
) -> None:
    form = hidden_fields(citizen.client.get(path).text) | fields
    if lacking == "again":
        clock.advance(FRESH + timedelta(seconds=1))
    else:
        weaken(own_platform)
    page = citizen.client.get(f"{path}?lang=en")
    assert "csrf" not in hidden_fields(page.text)
    assert f"/sign-in?return_to=%2Faccount%2Fcontact%2F{path.partition('contact/')[2].replace('/', '%2F')}" in page.text
    assert citizen.client.post(path, data=form).status_code == 403
    assert row_of(own_platform).email == OLD
    assert told(own_platform) == []


BAD = [
    "",
    "x",
    "mailto:x@c.example",
    "a@b..example",
    "a,b@c.example",
    "<a>@c.example",
    ".a@c.example",
    "a@c",
    "a@b c",
    "a b@c.example",
    "甲@c.example",
    "a" * 250 + "@c.example",
    "a@c.example\r\nBcc: b@c.example",
]


@pytest.mark.parametrize("value", BAD)
def test_what_is_no_address_is_refused_and_kept_in_the_form(
    own_platform: Platform, citizen: CitizenBrowser, value: str
) -> None:
    page = submit(citizen, EMAIL, value=value)
    assert page.status_code == 400
    assert "Enter an e-mail address" in page.text
    assert told(own_platform) == []


def test_switching_the_language_keeps_what_was_typed_and_sends_nothing(
    own_platform: Platform, citizen: CitizenBrowser
) -> None:
    assert 'form="contact" name="lang"' in citizen.client.get(EMAIL).text
    page = submit(citizen, EMAIL, value=NEW, lang="en")
    assert (page.status_code, told(own_platform)) == (200, [])
    assert f'value="{NEW}"' in page.text


@pytest.mark.parametrize("csrf", ["", "x"])
def test_a_form_from_elsewhere_changes_nothing(own_platform: Platform, citizen: CitizenBrowser, csrf: str) -> None:
    for path in (EMAIL, f"{EMAIL}/remove"):
        assert submit(citizen, path, csrf=csrf, value=NEW).status_code == 403
    assert told(own_platform) == []


def test_another_citizen_s_code_is_none_of_ours(
    own_platform: Platform, hands: Hands, office: PostOffice, citizen: CitizenBrowser
) -> None:
    submit(citizen, EMAIL, value=NEW)
    code = code_to(hands, office, NEW)
    other = own_platform.citizen("citizen2")
    form = hidden_fields(other.client.get(EMAIL).text)
    assert other.client.post(f"{EMAIL}/code", data=form | {"code": code}).status_code == 400
    assert row_of(own_platform).email == OLD


def test_other_kinds_are_not_found(citizen: CitizenBrowser) -> None:
    for path in ("/account/contact/pigeon", "/account/contact/email/none"):
        assert citizen.client.get(path).status_code == 404


def test_the_code_rests_nowhere(
    own_platform: Platform, hands: Hands, office: PostOffice, citizen: CitizenBrowser
) -> None:
    submit(citizen, EMAIL, value=NEW)
    code = code_to(hands, office, NEW)
    for table in Base.metadata.sorted_tables:
        if "used_identifier" in table.name:
            continue
        with own_platform.engine.connect() as connection:
            for row in connection.execute(table.select()):
                assert code not in {str(value) for value in row}, table.name
