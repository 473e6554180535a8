"""Notices by SMS, to a gateway that exists at the wire only: what is said to it, and how its answers are taken."""

from pathlib import Path

import orjson
import pytest

from authz_server.config import SmsSettings
from authz_server.core import clock
from tests.core.servers import Answer, say, serving
from tests.notices.support import Hands
from tests.support.platform import Platform

PHONE, TOKEN = "+886900000001", "the gateway's own"


def answered(status: bytes) -> Answer:
    """A gateway that always says this."""
    return say(b"HTTP/1.1 " + status + b"\r\nContent-Length: 2\r\nContent-Type: application/json\r\n\r\n{}")


def told_by_sms(platform: Platform, folder: Path, answer: Answer, event: str = "sign_in.locked") -> tuple[Hands, bytes]:
    """Let something happen to a citizen with a telephone; what the gateway read."""
    (folder / "token").write_text(f"{TOKEN}\n", encoding="utf-8")
    with serving(answer) as gateway:
        sms = SmsSettings(url=f"http://127.0.0.1:{gateway.port}/messages", token_file=folder / "token")
        hands = Hands(platform, sms=sms)
        hands.change(phone=PHONE, phone_verified_at=clock.now(), locale="zh-TW")
        hands.happened(event)
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
    assert "https://mydata.example/not-me?key=mdn_" in message["text"]
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


def test_a_gateway_that_says_nothing_is_asked_again(own_platform: Platform, tmp_path: Path) -> None:
    with clock.frozen(clock.now()):
        hands, _ = told_by_sms(own_platform, tmp_path, say(b""))
    (notice,) = hands.notices("sms")
    assert notice.due_at is not None


def test_only_what_concerns_security_goes_there_unasked(own_platform: Platform, tmp_path: Path) -> None:
    with clock.frozen(clock.now()):
        hands, request = told_by_sms(own_platform, tmp_path, answered(b"202 Accepted"), event="consent.denied")
    assert (hands.notices("sms"), request) == ([], b"")
