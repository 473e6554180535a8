"""A citizen closes the account: everything ends, nothing says who it was, and what the law keeps stays."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from authz_server import leaving, worker
from authz_server.audit.models import AuditEntry
from authz_server.config import MailSettings
from authz_server.consent.models import AuthorizationCode, AuthorizationRequest, Consent
from authz_server.core import clock
from authz_server.identity import credentials, sessions
from authz_server.identity import service as identity
from authz_server.identity.errors import AccountProblem
from authz_server.identity.methods.password_totp import set_totp
from authz_server.identity.models import CITIZEN, Citizen, CitizenSession, Credential
from authz_server.identity.subjects import pairwise_subject
from authz_server.notices.models import Notice, NoticeChoice
from authz_server.tokens.models import AccessToken, DatasetToken
from tests.notices.support import Hands
from tests.support.platform import PASSWORD, CitizenBrowser, Platform, answer_of, hidden_fields
from tests.support.protocol import Fetch, everything, refused, rows, services_of, userinfo, writing
from tests.support.smtp import PostOffice, post_office

LEAVE, CONFIRM = "/account/leave", "/account/leave/confirm"
NAME, NATIONAL_ID, EMAIL = "測試市民甲", "A123456789", "citizen1@citizen.example"

# Columns of an account, as they are once it is nobody's.
OF_NOBODY = {
    "name": "",
    "birthdate": date.min,
    "locale": "",
    "totp_last_step": 0,
    **dict.fromkeys(("email", "email_verified_at", "phone", "phone_verified_at", "password_hash")),
    **dict.fromkeys(("totp_secret_encrypted", "verified_at", "frozen_at")),
}


@pytest.fixture(autouse=True)
def still() -> Iterator[None]:
    """A moment of the test's own, in which every sign-in is fresh."""
    with clock.frozen(clock.now()):
        yield


def browser_of(platform: Platform, *, level: int = 3, age: timedelta = timedelta()) -> CitizenBrowser:
    """A browser in which the citizen signed in a while ago."""
    browser = CitizenBrowser(platform.browser(), "citizen1", platform.totp_secrets["citizen1"])
    with Session(platform.engine) as session, session.begin():
        secret = sessions.open_session(
            session, citizen_id(platform), level=level, amr=("pwd", "otp"), now=clock.now() - age
        )
    browser.client.set_cookie("__Host-mydata", secret)
    return browser


def citizen_id(platform: Platform) -> int:
    return int(rows(platform, Citizen, username="citizen1")[0].id)


def press(browser: CitizenBrowser) -> Any:
    """Close the account with what the last page offers."""
    return browser.client.post(CONFIRM, data=hidden_fields(browser.client.get(CONFIRM).text))


def leave(platform: Platform) -> int:
    """Close the first citizen's account; its number."""
    number = citizen_id(platform)
    answer = press(browser_of(platform))
    assert (answer.status_code, answer.location.partition("?")[0]) == (303, "/account/left")
    return number


def tokens(platform: Platform) -> dict[str, Any]:
    """What a bank gets after a consent that says which tax year."""
    detail = platform.detail("fia.property", tax_year="113")
    granted: dict[str, Any] = platform.tokens(detail)["authorization_details"][0]
    return granted


def text_of(platform: Platform) -> str:
    """Every value of every table."""
    return str(everything(platform))


def test_the_first_page_says_what_it_means_and_closes_nothing(own_platform: Platform) -> None:
    tokens(own_platform)
    page = browser_of(own_platform, age=timedelta(minutes=10)).client.get(f"{LEAVE}?lang=en").text
    for said in ("Close your account?", "First Sample Bank", "For 2 years", "Nothing joins it"):
        assert said in page
    assert "<form" not in page.partition("<main")[2].partition("</main")[0]
    assert rows(own_platform, Citizen, username="citizen1")[0].left_at is None


@pytest.mark.parametrize("days", [400, 365])
def test_a_record_that_is_not_kept_for_several_whole_years_is_told_in_days(own_platform: Platform, days: int) -> None:
    known = services_of(own_platform)
    limits = replace(known.settings.limits, record_days=days)
    own_platform.app.extensions["mydata"] = replace(known, settings=replace(known.settings, limits=limits))
    browser = browser_of(own_platform)
    assert f"For {days} days" in browser.client.get(f"{LEAVE}?lang=en").text
    assert f"{days} days" in own_platform.browser().get("/account/left?lang=en").text
    still_there = browser.client.get("/account/left")
    assert (still_there.status_code, still_there.location) == (303, "/account"), "nothing was closed"


@pytest.mark.parametrize(
    ("level", "age", "said"),
    [(3, timedelta(minutes=6), "five minutes"), (4, timedelta(), "not strong enough"), (5, timedelta(), "not strong")],
)
def test_a_sign_in_that_is_old_or_weak_is_asked_for_a_better_one(
    own_platform: Platform, level: int, age: timedelta, said: str
) -> None:
    browser = browser_of(own_platform, level=level, age=age)
    page = browser.client.get(f"{CONFIRM}?lang=en")
    assert said in page.text
    assert 'href="/sign-in?return_to=%2Faccount%2Fleave%2Fconfirm' in page.text
    assert "again=1" in page.text
    assert "leave-confirm" not in page.text
    fresh = hidden_fields(browser_of(own_platform).client.get(CONFIRM).text)
    for form in (fresh, {}):
        assert browser.client.post(CONFIRM, data=form).status_code == 403
    assert rows(own_platform, Citizen, username="citizen1")[0].left_at is None


def test_after_signing_in_again_the_last_question_is_asked(own_platform: Platform) -> None:
    browser = browser_of(own_platform, age=timedelta(minutes=6))
    address = browser.client.get(CONFIRM).text.partition('href="/sign-in?')[2].partition('"')[0]
    answer = browser.sign_in(f"/sign-in?{address.replace('&amp;', '&')}")
    assert answer.location.startswith(CONFIRM)
    assert "leave-confirm" in browser.client.get(answer.location).text


@pytest.mark.parametrize("token", ["", "x", "é"])
def test_the_form_of_another_page_closes_nothing(own_platform: Platform, token: str) -> None:
    browser = browser_of(own_platform)
    answer = browser.client.post(f"{CONFIRM}?lang=en", data={"csrf": token})
    assert answer.status_code == 403
    assert "Your account is still open" in answer.text
    assert rows(own_platform, Citizen, username="citizen1")[0].left_at is None


def test_of_two_tokens_none_closes_anything(own_platform: Platform) -> None:
    browser = browser_of(own_platform)
    token = hidden_fields(browser.client.get(CONFIRM).text)["csrf"]
    assert browser.client.post(CONFIRM, data={"csrf": [token, "x"]}).status_code == 400
    assert rows(own_platform, Citizen, username="citizen1")[0].left_at is None


def test_everything_ends_at_once(own_platform: Platform) -> None:
    waiting, leased = tokens(own_platform), tokens(own_platform)
    jkt = own_platform.bank.dpop_key.thumbprint
    lease = own_platform.proxy.exchange(leased["access_token"], "fia.property", jkt=jkt).get_json()["lease"]
    code, access = own_platform.code(), own_platform.tokens()["access_token"]
    elsewhere, last = browser_of(own_platform), browser_of(own_platform)
    asked = own_platform.citizen()
    page = asked.authorize(own_platform.bank.client_id, own_platform.bank.push())
    assert press(last).status_code == 303
    refused(Fetch(own_platform, waiting["access_token"], "fia.property").exchange(), 400)
    for outcome in ("delivering", "delivered"):
        refused(own_platform.proxy.report(lease, outcome), 409, "lease_not_usable")
    refused(own_platform.bank.redeem(code), 400, "invalid_grant")
    refused(userinfo(own_platform.bank, access), 401)
    assert asked.decide(page).location.startswith("/sign-in")
    for browser in (elsewhere, last, asked):
        assert browser.client.get("/record").location.startswith("/sign-in")
    assert last.client.get_cookie("__Host-mydata") is None


def test_nothing_that_says_who_it_was_is_left_in_any_table(own_platform: Platform) -> None:
    tokens(own_platform)
    number, now = citizen_id(own_platform), clock.now()
    with writing(own_platform) as session:
        for method in ("passkey", "certificate"):
            values: Any = {"external_id": f"external-{method}", "label": "測試", "data": {"name": NAME}}
            credentials.add(session, number, method=method, now=now, **values)
        session.add(NoticeChoice(citizen_id=number, channel="sms", wanted=True))
    worker.tick(own_platform.engine, now=now)
    before = text_of(own_platform)
    canaries = (NAME, NATIONAL_ID, EMAIL, "citizen1", "external-passkey", "'113'")
    assert [canary for canary in canaries if canary not in before] == []
    leave(own_platform)
    after = text_of(own_platform)
    assert [canary for canary in canaries if canary in after] == []
    own = {"citizen_id": number}
    for model in (CitizenSession, Credential, NoticeChoice, Notice, AuthorizationRequest):
        assert rows(own_platform, model, **own) == [], model
    assert "citizen2" in after, "of others everything is there"


def test_of_the_account_a_row_stays_in_which_every_column_is_that_of_nobody(own_platform: Platform) -> None:
    number, now = citizen_id(own_platform), clock.now()
    chosen: dict[str, Any] = {
        "locale": "en",
        "phone": "0912345678",
        "phone_verified_at": now,
        "frozen_at": now,
        "totp_last_step": 1,
    }
    with writing(own_platform) as session:
        session.execute(update(CITIZEN).where(CITIZEN.c.id == number).values(chosen))
    (person,) = rows(own_platform, Citizen, id=number)
    assert [name for name, empty in OF_NOBODY.items() if getattr(person, name) == empty] == []
    with writing(own_platform) as session:
        leaving.leave(session, number, actor="operator", settings=own_platform.settings, now=now)
    (shell,) = rows(own_platform, Citizen, id=number)
    assert {name: getattr(shell, name) for name in OF_NOBODY} == OF_NOBODY
    random = {"username": shell.username, "national_id": shell.national_id}
    assert [name for name, value in random.items() if not value.startswith("-")] == []
    kept = {"id": number, "created_at": person.created_at, "suspended_at": now, "left_at": now}
    assert {name: getattr(shell, name) for name in kept} == kept
    assert {*OF_NOBODY, *random, *kept} == set(CITIZEN.c.keys())


def test_what_the_law_keeps_stays_under_the_number(own_platform: Platform) -> None:
    tokens(own_platform)
    number = leave(own_platform)
    kept = rows(own_platform, AuditEntry, citizen_id=number)
    happened = [entry.event for entry in kept]
    for event in ("consent.requested", "consent.approved", "token.issued", "token.revoked", "account.left"):
        assert event in happened
    approved = next(entry for entry in kept if entry.event == "consent.approved")
    assert (approved.client_id, approved.success) == (own_platform.bank.client_id, True)
    (consent,) = rows(own_platform, Consent, citizen_id=number)
    (detail,) = consent.granted
    assert (detail["dataset"], detail["parameters"], consent.notice) == ("fia.property", {}, {})
    assert detail["fields"]
    assert consent.notice_sha256
    for model in (DatasetToken, AccessToken, AuthorizationCode):
        assert rows(own_platform, model, citizen_id=number), "until their day is over"


def test_the_same_person_may_come_back_and_nothing_joins_the_two(own_platform: Platform) -> None:
    tokens(own_platform)
    old = leave(own_platform)
    services = services_of(own_platform)
    person = identity.Person(username="citizen1", name=NAME, national_id=NATIONAL_ID, birthdate=date(1980, 1, 2))
    with writing(own_platform) as session:
        enrolment = identity.create_citizen(
            session,
            person,
            password=PASSWORD,
            server_secret=services.secret,
            now=clock.now(),
            checked_in_person=True,
        )
    own_platform.totp_secrets["citizen1"] = enrolment.totp_secret
    new = enrolment.citizen_id
    assert new != old
    subjects = {pairwise_subject(services.secret, own_platform.bank.client_id, number) for number in (old, new)}
    assert len(subjects) == 2
    browser = browser_of(own_platform)
    record = browser.client.get("/record?lang=en").text
    assert "First Sample Bank" not in record
    assert answer_of(browser.decide(browser.authorize(own_platform.bank.client_id, own_platform.bank.push())))["code"]


@pytest.fixture
def office() -> Iterator[PostOffice]:
    with post_office() as made:
        yield made


@pytest.fixture
def hands(own_platform: Platform, office: PostOffice) -> Hands:
    """A worker of a server that sends e-mail."""
    mail = MailSettings(host="127.0.0.1", port=office.port, sender="notices@mydata.example", tls="none")
    hands = Hands(own_platform, mail=mail)
    own_platform.app.extensions["mydata"] = hands.services
    return hands


def test_a_last_message_goes_to_the_verified_address_which_is_then_forgotten(
    own_platform: Platform, hands: Hands, office: PostOffice
) -> None:
    tokens(own_platform)
    leave(own_platform)
    hands.tick()
    assert [row.address for row in rows(own_platform, Notice)] == [EMAIL]
    hands.deliver("email")
    assert office.recipients == [EMAIL]
    (letter,) = office.letters
    assert letter["Subject"].startswith("Your account was closed / ")
    body = letter.get_body(("plain",))
    assert body is not None
    assert "/not-me" not in body.get_content()
    assert "/record" not in body.get_content()
    assert EMAIL not in text_of(own_platform)
    clock.advance(timedelta(minutes=1))
    hands.tick()
    worker.purge(own_platform.engine, limits=own_platform.settings.limits)
    assert hands.deliver("email") == 0


@pytest.mark.parametrize("locale", ["en", "zh-TW"])
def test_a_last_message_is_in_their_language_which_is_then_forgotten(
    own_platform: Platform, hands: Hands, office: PostOffice, locale: str
) -> None:
    hands.change(locale=locale)
    leave(own_platform)
    assert [row.locale for row in rows(own_platform, Notice)] == [locale]
    hands.deliver("email")
    first = {"en": "Your account was closed / ", "zh-TW": "您的帳號已關閉 / "}[locale]
    assert office.letters[-1]["Subject"].startswith(first)
    assert [row.locale for row in rows(own_platform, Notice)] == [None]


def test_a_last_message_that_is_not_taken_at_first_is_in_their_language_later(
    own_platform: Platform, hands: Hands, office: PostOffice
) -> None:
    office.rcpt = "450 4.2.1 try later"
    hands.change(locale="zh-TW")
    leave(own_platform)
    hands.deliver("email")
    assert [(row.address, row.locale) for row in rows(own_platform, Notice)] == [(EMAIL, "zh-TW")]
    office.rcpt = ""
    clock.advance(timedelta(minutes=1))
    hands.deliver("email")
    assert office.letters[-1]["Subject"].startswith("您的帳號已關閉 / ")


def test_a_last_message_that_is_never_taken_leaves_neither_address_nor_language(
    own_platform: Platform, hands: Hands, office: PostOffice
) -> None:
    office.rcpt = "550 5.1.1 no such user"
    hands.change(locale="en")
    leave(own_platform)
    hands.deliver("email")
    (notice,) = rows(own_platform, Notice)
    assert (notice.failed_at, notice.address, notice.locale) == (clock.now(), None, None)


@pytest.mark.parametrize("change", [{"email": None}, {"email_verified_at": None}])
def test_an_address_that_was_not_verified_gets_no_last_message(
    own_platform: Platform, hands: Hands, change: Any
) -> None:
    hands.change(**change)
    leave(own_platform)
    assert rows(own_platform, Notice) == []


def test_a_server_that_sends_no_e_mail_keeps_no_address_for_one(own_platform: Platform) -> None:
    leave(own_platform)
    assert EMAIL not in text_of(own_platform)


def added_a_passkey(session: Session, number: int) -> None:
    values: Any = {"external_id": "late", "label": "late-label", "data": {}}
    credentials.add(session, number, method="passkey", now=clock.now(), **values)


def opened_a_session(session: Session, number: int) -> None:
    sessions.open_session(session, number, level=3, amr=("late-amr",), now=clock.now())


def changed_the_address(session: Session, number: int) -> None:
    session.execute(update(CITIZEN).where(CITIZEN.c.id == number).values(email="late@citizen.example"))


def changed_the_authenticator(session: Session, number: int) -> None:
    set_totp(session, number, b"late-secret")


def chose_a_language(session: Session, number: int) -> None:
    identity.set_locale(session, number, locale="late")


LATE = [added_a_passkey, opened_a_session, changed_the_address, changed_the_authenticator, chose_a_language]


@pytest.mark.parametrize("late", LATE)
def test_what_somebody_adds_in_that_very_moment_is_swept_away(
    own_platform: Platform, late: Callable[[Session, int], None]
) -> None:
    number = leave(own_platform)
    with writing(own_platform) as session:
        late(session, number)
    assert "late" in text_of(own_platform)
    clock.advance(timedelta(minutes=1))
    worker.purge(own_platform.engine, limits=own_platform.settings.limits)
    assert "late" not in text_of(own_platform)


def test_who_has_left_can_not_leave_again(own_platform: Platform) -> None:
    number = leave(own_platform)
    settings = own_platform.settings
    with writing(own_platform) as session:
        again = leaving.leave(session, number, actor="citizen", settings=settings, now=clock.now())
        assert again is None
        (shell,) = session.execute(select(CITIZEN.c.username).where(CITIZEN.c.id == number))
        with pytest.raises(AccountProblem):
            identity.resume(session, shell.username, now=clock.now())
    left = [entry for entry in rows(own_platform, AuditEntry, citizen_id=number) if entry.event == "account.left"]
    assert len(left) == 1


def test_the_shell_goes_when_the_record_that_points_at_it_is_over(own_platform: Platform) -> None:
    tokens(own_platform)
    number = leave(own_platform)
    limits = own_platform.settings.limits
    clock.advance(timedelta(days=limits.record_days - 1))
    worker.purge(own_platform.engine, limits=limits)
    assert rows(own_platform, Citizen, id=number)
    assert rows(own_platform, Consent, citizen_id=number)
    clock.advance(timedelta(days=1, seconds=1))
    worker.purge(own_platform.engine, limits=limits)
    for model, where in ((Citizen, {"id": number}), (Consent, {}), (AuditEntry, {"citizen_id": number})):
        assert rows(own_platform, model, **where) == [], model
    assert rows(own_platform, Citizen), "others stay"


def test_the_not_me_link_of_an_older_message_has_nothing_left_to_stop(
    own_platform: Platform, hands: Hands, office: PostOffice
) -> None:
    tokens(own_platform)
    hands.tick()
    hands.deliver("email")
    body = office.letters[-1].get_body(("plain",))
    assert body is not None
    link = next(word for word in body.get_content().split() if "/not-me?" in word)
    leave(own_platform)
    assert own_platform.browser().get(link.partition("https://mydata.example")[2]).status_code == 404
