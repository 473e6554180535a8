"""Notices by SMS, to a gateway that exists at the wire only: what is said to it, and how its answers are taken."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import orjson
import pytest
from sqlalchemy.orm import Session

from authz_server.config import SmsSettings
from authz_server.core import clock
from authz_server.notices import inbox
from tests.core.servers import Answer, say, serving
from tests.notices.support import Hands
from tests.support.platform import Platform
from tests.support.protocol import services_of

PHONE, TOKEN = "+886900000001", "the gateway's own"


def answered(status: bytes) -> Answer:
    """A gateway that always says this."""
    return say(b"HTTP/1.1 " + status + b"\r\nContent-Length: 2\r\nContent-Type: application/json\r\n\r\n{}")


def told_by_sms(
    platform: Platform,
    folder: Path,
    answer: Answer,
    event: str = "sign_in.locked",
    before: Callable[[Hands], None] = lambda _: None,
    **about: Any,
) -> tuple[Hands, bytes]:
    """Let something happen to a citizen with a telephone; what the gateway read. Args: before: happens first."""
    (folder / "token").write_text(f"{TOKEN}\n", encoding="utf-8")
    with serving(answer) as gateway:
        sms = SmsSettings(url=f"http://127.0.0.1:{gateway.port}/messages", token_file=folder / "token")
        hands = Hands(platform, sms=sms)
        hands.change(phone=PHONE, phone_verified_at=clock.now(), locale="")
        before(hands)
        hands.happened(event, **about)
        hands.tick()
        hands.deliver("sms")
        return hands, b"".join(gateway.requests)


def test_the_gateway_is_told_number_and_text_and_which_message_it_is(own_platform: Platform, tmp_path: Path) -> None:
    with clock.frozen(clock.now()):
        hands, request = told_by_sms(own_platform, tmp_path, answered(b"202 Accepted"))
    head, _, body = request.partition(b"\r\n\r\n")
    assert head.startswith(b"POST /messages HTTP/1.1\r\n")
    assert b"Content-Type: application/json" in head
    assert f"Authorization: Bearer {TOKEN}".encode() in head
    assert b"Idempotency-Key: " in head
    message = orjson.loads(body)
    assert message["to"] == PHONE
    assert message["text"].startswith("【MyData】您的帳號暫時不能登入。")
    assert "這是安全通知。不是您？https://mydata.example/not-me?key=mdn_" in message["text"]
    (notice,) = hands.notices("sms")
    assert notice.delivered_at is not None


@pytest.mark.parametrize("status", [b"500 Oops", b"429 Slow down", b"401 Who", b"302 Elsewhere"])
def test_a_gateway_that_has_not_taken_it_is_asked_again(own_platform: Platform, tmp_path: Path, status: bytes) -> None:
    with clock.frozen(clock.now()):
        hands, _ = told_by_sms(own_platform, tmp_path, answered(status))
    (notice,) = hands.notices("sms")
    assert (notice.delivered_at, notice.failed_at) == (None, None)
    assert notice.due_at is not None
    assert notice.failure == f"status {status[:3].decode()}"


def test_a_gateway_that_will_never_take_it_is_not(own_platform: Platform, tmp_path: Path) -> None:
    with clock.frozen(clock.now()):
        hands, _ = told_by_sms(own_platform, tmp_path, answered(b"422 Not a number"))
    (notice,) = hands.notices("sms")
    assert (notice.due_at, notice.delivered_at) == (None, None)
    assert notice.failed_at is not None


def test_what_can_t_be_put_into_words_is_not_sent(own_platform: Platform, tmp_path: Path) -> None:
    """As when a newer release told of something that this one knows nothing of."""
    with clock.frozen(clock.now()):
        before = partial(Hands.owe_unsayable, channel="sms")
        hands, request = told_by_sms(own_platform, tmp_path, answered(b"202 Accepted"), before=before)
    assert b"token.leased" not in request
    assert [notice.failure for notice in hands.notices("sms")] == ["LookupError", None]


def test_a_gateway_that_says_nothing_is_asked_again(own_platform: Platform, tmp_path: Path) -> None:
    with clock.frozen(clock.now()):
        hands, _ = told_by_sms(own_platform, tmp_path, say(b""))
    (notice,) = hands.notices("sms")
    assert notice.due_at is not None


def test_whoever_chose_so_reads_there_to_whom_it_went_and_whom_to_call(own_platform: Platform, tmp_path: Path) -> None:
    about: dict[str, Any] = {"client_id": "jia-bank", "dataset_id": "ris.personal", "transaction_id": "T0000-0000-0001"}
    with clock.frozen(clock.now()):
        hands = Hands(own_platform)
        with Session(own_platform.engine) as session, session.begin():
            inbox.choose(session, hands.citizen_id(session), "sms", wanted=True)
        _, request = told_by_sms(own_platform, tmp_path, answered(b"202 Accepted"), "token.delivered", **about)
    text = orjson.loads(request.partition(b"\r\n\r\n")[2])["text"]
    bank = services_of(own_platform).registry.client("jia-bank")
    assert bank is not None
    assert f"對方電話 {bank.contact_phone}" in text
    for words in ("「個人戶籍資料」已送達", "T0000-0000-0001", "您選擇以簡訊收到這類通知。", "/not-me?key=mdn_"):
        assert words in text


def test_only_what_concerns_security_goes_there_unasked(own_platform: Platform, tmp_path: Path) -> None:
    with clock.frozen(clock.now()):
        hands, request = told_by_sms(own_platform, tmp_path, answered(b"202 Accepted"), event="consent.denied")
    assert (hands.notices("sms"), request) == ([], b"")
