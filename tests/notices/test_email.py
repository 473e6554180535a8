"""Notices by e-mail, to a real SMTP server: once, in the end, and what they say."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from email.message import EmailMessage

import pytest
from sqlalchemy import update
from sqlalchemy.orm import Session

from authz_server.config import Limits
from authz_server.core import clock
from authz_server.identity import contact
from authz_server.notices import outbox
from authz_server.notices.channels.base import Channel, Errand
from authz_server.notices.delivery import deliver_some
from authz_server.notices.models import NOTICE
from authz_server.notices.outbox import AT_ONCE, FIRST_WAIT, LEASE, LONGEST_WAIT, MOST_ATTEMPTS
from tests.notices.support import Hands
from tests.support.platform import Platform
from tests.support.smtp import PostOffice

LONG = timedelta(days=1)


def text_of(letter: EmailMessage, subtype: str = "plain") -> str:
    """One of the two forms of a letter."""
    body = letter.get_body((subtype,))
    assert body is not None
    return str(body.get_content())


def one_letter(hands: Hands, office: PostOffice, event: str = "sign_in.locked") -> EmailMessage:
    """The letter about an event."""
    hands.happened(event)
    hands.tick()
    assert hands.deliver("email") == 1
    (letter,) = office.letters
    return letter


@contextmanager
def after_each_letter(hands: Hands, act: Callable[[], object]) -> Iterator[Channel]:
    """A channel whose server is slow: what happens before its next letter is begun."""
    channel = hands.channels["email"]
    send = channel.send

    def send_and_act(errand: Errand) -> None:
        send(errand)
        act()

    channel.send = send_and_act  # type: ignore[method-assign]  # as if it took its time
    try:
        yield channel
    finally:
        channel.send = send  # type: ignore[method-assign]
        channel.rest()


def test_a_consent_is_told_with_who_what_when_and_how_to_stop_it(
    hands: Hands, own_platform: Platform, office: PostOffice
) -> None:
    own_platform.code(own_platform.detail("ris.personal"), own_platform.detail("bli.enrolment"))
    hands.tick()
    hands.deliver("email")
    (letter,) = office.letters
    assert office.recipients == ["citizen1@citizen.example"]
    assert letter["Subject"] == "You agreed to share data with First Sample Bank / 您同意把資料提供給甲銀行"
    text = text_of(letter)
    for said in (
        "Recipient: First Sample Bank",
        "Their telephone: 02-0000-0000",
        "Data: Personal household registration, ",
        "(Taiwan time)",
        "接收者：甲銀行",
        "資料：個人戶籍資料、",
        "https://mydata.example/not-me?key=mdn_",
        "https://mydata.example/account/notices",
    ):
        assert said in text
    reference = text.partition("Reference number: ")[2].split()[0]
    assert f"https://mydata.example/consent/{reference}/outcome" in text
    assert f"https://mydata.example/consent/{reference}/receipt.pdf" in text
    assert text.index("You agreed") < text.index("您同意"), "the reader's language first"


def test_the_first_consent_to_a_client_is_told_as_that_and_the_next_is_not(
    hands: Hands, own_platform: Platform, office: PostOffice
) -> None:
    for _ in range(2):
        own_platform.code(own_platform.detail("ris.personal"))
        hands.tick()
        hands.deliver("email")
        clock.advance(timedelta(days=2))
    first, _not_collected, second = (text_of(letter) for letter in office.letters)
    for said in (
        "It is the first time that you have agreed to share data with First Sample Bank. Each",
        "您第一次同意",
    ):
        assert said in first
        assert said not in second


def test_the_reader_s_language_comes_first(hands: Hands, office: PostOffice) -> None:
    hands.change(locale="zh-TW")
    letter = one_letter(hands, office)
    assert letter["Subject"].startswith("您的帳號暫時不能登入 / ")
    assert text_of(letter, "html").startswith('<!doctype html><html lang="zh-Hant-TW">')


def test_who_chose_no_language_is_written_to_in_chinese_first(hands: Hands, office: PostOffice) -> None:
    hands.change(locale="")
    assert one_letter(hands, office)["Subject"].startswith("您的帳號暫時不能登入 / ")


def test_it_says_of_itself_what_programs_want_to_know(hands: Hands, office: PostOffice) -> None:
    letter = one_letter(hands, office, "consent.denied")
    assert letter["From"] == "個人資料同意服務 <notices@mydata.example>"
    assert letter["List-Id"] == "<notices.mydata.example>"
    assert letter["Auto-Submitted"] == "auto-generated"
    assert letter["List-Unsubscribe"] == "<https://mydata.example/account/notices>"
    assert letter["Message-ID"].endswith("@mydata.example>")
    assert letter["Date"].datetime == clock.now().replace(microsecond=0)
    assert [part.get_content_type() for part in letter.iter_parts()] == ["text/plain", "text/html"]
    # Seven bits, whatever the text: not every server on the way takes more.
    assert {part["Content-Transfer-Encoding"] for part in letter.iter_parts()} <= {"base64", "quoted-printable"}


def test_security_can_t_be_switched_off_and_the_letter_offers_no_way_to(hands: Hands, office: PostOffice) -> None:
    letter = one_letter(hands, office)
    assert letter["List-Unsubscribe"] is None
    assert "can't be switched off" in text_of(letter)


def test_it_holds_nothing_of_the_citizen(hands: Hands, office: PostOffice) -> None:
    letter = one_letter(hands, office)
    content = text_of(letter) + text_of(letter, "html") + letter["Subject"]
    for value in ("測試市民甲", "A123456789", "citizen1", "1980"):
        assert value not in content


def test_a_name_with_markup_or_lines_stays_a_name(hands: Hands, office: PostOffice) -> None:
    hands.happened("consent.denied", client_id="<b>x</b>\r\nBcc: all@citizen.example")
    hands.tick()
    hands.deliver("email")
    (letter,) = office.letters
    assert letter["Bcc"] is None
    assert "<b>x" not in text_of(letter, "html")
    assert office.recipients == ["citizen1@citizen.example"]


def test_what_the_server_puts_off_is_tried_again_later_and_later_and_delivered_once(
    hands: Hands, office: PostOffice
) -> None:
    office.data = "451 4.3.0 later"
    hands.happened("sign_in.locked")
    hands.tick()
    waits = []
    for attempt in range(1, 13):
        assert hands.deliver("email") == 1, "one attempt, then a pause"
        notice = hands.notices("email")[-1]
        assert (notice.attempts, notice.failure) == (attempt, "content: 451")
        waits.append(notice.due_at - clock.now())
        clock.advance(waits[-1])
    assert FIRST_WAIT / 2 <= waits[0] <= FIRST_WAIT * 1.5
    assert LONGEST_WAIT / 2 <= waits[-1] <= LONGEST_WAIT * 1.5
    assert sorted(waits)[6:] != waits[:6]
    office.data = ""
    assert hands.deliver("email") == 1
    assert hands.deliver("email") == 0
    assert len(office.letters) == 1
    notice = hands.notices("email")[-1]
    assert (notice.delivered_at, notice.due_at, notice.failure) == (clock.now(), None, None)


def test_after_about_three_days_it_is_given_up_and_the_log_says_so(
    hands: Hands, office: PostOffice, caplog: pytest.LogCaptureFixture
) -> None:
    office.rcpt = "450 4.2.1 busy"
    hands.happened("sign_in.locked")
    hands.tick()
    began = clock.now()
    for _ in range(MOST_ATTEMPTS):
        assert hands.deliver("email") == 1
        if due_at := hands.notices("email")[-1].due_at:
            clock.advance(due_at - clock.now())
    assert timedelta(days=2) < clock.now() - began < timedelta(days=4)
    notice = hands.notices("email")[-1]
    assert (notice.failed_at, notice.due_at, notice.delivered_at) == (clock.now(), None, None)
    assert [record.message for record in caplog.records][-1] == "notice.given_up"
    clock.advance(LONG)
    assert hands.deliver("email") == 0
    assert "citizen.example" not in caplog.text


def test_an_address_that_the_server_refuses_is_given_up_at_once(hands: Hands, office: PostOffice) -> None:
    office.rcpt = "550 5.1.1 no such user"
    hands.happened("sign_in.locked")
    hands.tick()
    hands.deliver("email")
    notice = hands.notices("email")[-1]
    assert (notice.failed_at, notice.due_at, notice.failure) == (clock.now(), None, "recipient: 550")


def test_a_connection_lost_in_the_middle_is_no_delivery_and_the_next_letter_is_the_same(
    hands: Hands, office: PostOffice
) -> None:
    office.drop = True
    hands.happened("sign_in.locked")
    hands.tick()
    hands.deliver("email")
    assert hands.notices("email")[-1].delivered_at is None
    assert office.letters == []
    office.drop = False
    clock.advance(LONG)
    hands.deliver("email")
    assert len(office.letters) == 1


def test_a_letter_is_the_same_at_each_attempt(hands: Hands, office: PostOffice) -> None:
    hands.happened("sign_in.locked")
    hands.tick()
    hands.deliver("email")
    with Session(hands.platform.engine) as session, session.begin():
        session.execute(update(NOTICE).where(NOTICE.c.channel == "email").values(due_at=clock.now()))
    clock.advance(LONG)
    hands.deliver("email")
    first, second = office.letters[0], office.letters[-1]
    assert first["Message-ID"] == second["Message-ID"]
    assert first["Date"] == second["Date"]


def test_what_somebody_works_on_nobody_else_takes_until_the_lease_is_over(hands: Hands) -> None:
    hands.happened("sign_in.locked")
    hands.tick()
    with Session(hands.platform.engine) as session, session.begin():
        (taken,) = outbox.claim(session, "email", now=clock.now())
    clock.advance(LEASE - timedelta(seconds=1))
    assert hands.deliver("email") == 0
    clock.advance(timedelta(seconds=1))
    assert hands.deliver("email") == 1
    with Session(hands.platform.engine) as session, session.begin():
        outbox.postponed(session, taken, "the late word of who was given up on", asked=True, now=clock.now())
    assert hands.notices("email")[-1].delivered_at is not None


def test_who_was_slower_than_the_lease_closes_nothing_that_another_works_on(hands: Hands) -> None:
    hands.happened("sign_in.locked")
    hands.tick()
    with Session(hands.platform.engine) as session, session.begin():
        (slow,) = outbox.claim(session, "email", now=clock.now())
        clock.advance(LEASE)
        (held,) = outbox.claim(session, "email", now=clock.now())
        outbox.delivered(session, slow, now=clock.now())
        outbox.released(session, slow, now=clock.now())
    notice = hands.notices("email")[-1]
    assert (notice.attempts, notice.due_at, notice.delivered_at) == (held.attempt, clock.now() + LEASE, None)


def test_the_notice_of_a_citizen_who_is_gone_or_has_no_address_any_more_is_given_up(hands: Hands) -> None:
    hands.happened("sign_in.locked")
    hands.tick()
    hands.change(email=None)
    hands.deliver("email")
    assert hands.notices("email")[-1].failure == "no address"


def test_one_that_can_t_be_put_into_words_holds_up_no_other(
    hands: Hands, office: PostOffice, caplog: pytest.LogCaptureFixture
) -> None:
    """As when an older release told of something that this one knows nothing of."""
    hands.owe_unsayable("email")
    hands.happened("sign_in.locked")
    hands.tick()
    assert hands.deliver("email") == 2
    assert len(office.letters) == 1
    assert hands.notices("email")[-2].failure == "LookupError"
    (broken,) = [record for record in caplog.records if record.message == "notice.broken"]
    assert vars(broken)["identifiers"]["kind"] == "email"


def test_a_worker_that_is_told_to_stop_gives_back_what_it_has_not_begun(hands: Hands, office: PostOffice) -> None:
    for _ in range(3):
        hands.happened("sign_in.locked")
    hands.tick()
    stopping = threading.Event()
    with after_each_letter(hands, stopping.set) as channel:
        assert deliver_some(hands.platform.engine, channel, stopping) == 1
    assert sorted(row.attempts for row in hands.notices("email")[-3:]) == [0, 0, 1]
    assert hands.deliver("email") == 2, "at once, by whoever comes next"
    assert len({letter["Message-ID"] for letter in office.letters}) == len(office.letters) == 3


def ask_for_a_code(hands: Hands) -> None:
    """Somebody waits for it, to verify the address that it goes to."""
    with Session(hands.platform.engine) as session, session.begin():
        citizen_id = hands.citizen_id(session)
        contact.propose(session, citizen_id, "email", "new@citizen.example", limits=Limits(), now=clock.now())


def test_a_code_that_a_stopping_worker_gives_back_still_goes_before_what_waits(
    hands: Hands, office: PostOffice
) -> None:
    for _ in range(2 * AT_ONCE):
        hands.happened("sign_in.locked")
    ask_for_a_code(hands)
    hands.tick()
    stopping = threading.Event()
    stopping.set()
    assert deliver_some(hands.platform.engine, hands.channels["email"], stopping) == 0
    hands.deliver("email")
    assert office.recipients[0] == "new@citizen.example"


def test_a_code_whose_worker_died_goes_before_what_waits_once_its_lease_is_over(
    hands: Hands, office: PostOffice
) -> None:
    ask_for_a_code(hands)
    hands.tick()
    with Session(hands.platform.engine) as session, session.begin():
        assert len(outbox.claim(session, "email", now=clock.now())) == 1
    clock.advance(LEASE - timedelta(milliseconds=1))
    assert hands.deliver("email") == 0, "it is somebody's still"
    for _ in range(2 * AT_ONCE):
        hands.happened("sign_in.locked")
    hands.tick()
    clock.advance(timedelta(milliseconds=1))
    hands.deliver("email")
    assert (office.recipients[0], len(office.recipients)) == ("new@citizen.example", 2 * AT_ONCE + 1)


def test_no_letter_is_begun_that_may_not_end_within_the_lease(hands: Hands, office: PostOffice) -> None:
    for _ in range(2):
        hands.happened("sign_in.locked")
    hands.tick()
    with after_each_letter(hands, lambda: clock.advance(LEASE - timedelta(seconds=1))) as channel:
        assert deliver_some(hands.platform.engine, channel) == 1
    assert hands.deliver("email") == 1
    assert [row.attempts for row in hands.notices("email")[-2:]] == [1, 1]
    assert len(office.letters) == 2


@pytest.mark.parametrize("address", ["new@example.org", None])
def test_a_letter_goes_to_the_address_of_when_it_is_carried_not_of_when_it_was_claimed(
    hands: Hands, office: PostOffice, address: str | None
) -> None:
    for _ in range(3):
        hands.happened("sign_in.locked")
    hands.tick()

    def change_meanwhile() -> None:
        hands.change(email=address)
        clock.advance(timedelta(seconds=2))

    with after_each_letter(hands, change_meanwhile) as channel:
        assert deliver_some(hands.platform.engine, channel) == 3
    assert office.recipients[1:] == ([address] * 2 if address else [])
    failures = [row.failure for row in hands.notices("email")[-3:]]
    assert failures == [None, *[None if address else "no address"] * 2]


def test_more_than_one_claim_holds_are_all_delivered(hands: Hands, office: PostOffice) -> None:
    for _ in range(AT_ONCE + 1):
        hands.happened("sign_in.locked")
    hands.tick()
    assert hands.deliver("email") == AT_ONCE + 1
    assert len({letter["Message-ID"] for letter in office.letters}) == AT_ONCE + 1


def test_a_code_that_somebody_waits_for_goes_before_all_that_waits_longer(hands: Hands, office: PostOffice) -> None:
    for _ in range(AT_ONCE + 1):
        hands.happened("sign_in.locked")
    hands.tick()
    clock.advance(LONG)
    ask_for_a_code(hands)
    hands.tick()
    deliver_some(hands.platform.engine, hands.channels["email"])
    hands.channels["email"].rest()
    assert office.recipients.index("new@citizen.example") == 0
    assert len(office.recipients) == AT_ONCE


def test_a_code_that_the_server_puts_off_goes_before_all_that_waits_but_not_before_its_time(
    hands: Hands, office: PostOffice
) -> None:
    ask_for_a_code(hands)
    hands.tick()
    office.data = "451 4.7.1 greylisted, come again"
    assert hands.deliver("email") == 1
    clock.advance(FIRST_WAIT / 2 - timedelta(milliseconds=1))
    assert hands.deliver("email") == 0, "that would be too soon"
    for _ in range(2 * AT_ONCE):
        hands.happened("sign_in.locked")
    hands.tick()
    clock.advance(FIRST_WAIT + timedelta(milliseconds=1))
    office.data = ""
    hands.deliver("email")
    assert (office.recipients[0], len(office.recipients)) == ("new@citizen.example", 2 * AT_ONCE + 1)


def test_an_address_of_several_lines_adds_no_line_to_a_letter(hands: Hands, office: PostOffice) -> None:
    """None is taken as contact data; should one stand in the table all the same, nothing goes out."""
    hands.change(email="jia@citizen.example\r\nBcc: all@citizen.example")
    hands.happened("sign_in.locked")
    hands.tick()
    assert hands.deliver("email") == 1
    assert (office.letters, office.recipients) == ([], [])
    assert hands.notices("email")[-1].delivered_at is None
