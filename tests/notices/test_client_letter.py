"""A client without an endpoint for events is told by e-mail what it has to answer, and not who the citizen is."""

from dataclasses import replace
from datetime import timedelta

import pytest

from authz_server.config import MailSettings, Settings
from authz_server.core import clock
from authz_server.identity.models import Citizen
from tests.notices.conftest import SENDER
from tests.notices.support import Hands
from tests.notices.test_email import text_of
from tests.portal.test_erasure import ENDPOINT, Scene
from tests.support.platform import Platform
from tests.support.protocol import rows
from tests.support.smtp import PostOffice

CHANNEL = "email_client"


@pytest.fixture
def settings(settings: Settings, office: PostOffice) -> Settings:
    """A server that can send e-mail."""
    return replace(settings, mail=MailSettings(host="127.0.0.1", port=office.port, sender=SENDER, tls="none"))


@pytest.fixture
def scene(own_platform: Platform, hands: Hands) -> Scene:
    """A consent whose recipient has no endpoint; nothing is left to be told."""
    made = Scene(own_platform, endpoint=None)
    hands.tick()
    assert hands.deliver(CHANNEL) == 0
    return made


def told(hands: Hands) -> int:
    """What a worker does; how many attempts it made."""
    hands.tick()
    return hands.deliver(CHANNEL)


def test_it_is_told_once_of_the_request_and_once_on_the_day(scene: Scene, hands: Hands, office: PostOffice) -> None:
    assert "This platform tells First Sample Bank at once." in scene.citizen.client.get(f"{scene.path}?lang=en").text
    scene.ask()
    assert (len(scene.entries("requested")), scene.entries("untold")) == (1, [])
    assert (told(hands), told(hands)) == (1, 0)
    clock.advance(scene.consent.erase_by - clock.day_of(clock.now()))
    assert (told(hands), told(hands)) == (1, 0)
    assert (len(scene.entries("reminded")), scene.entries("due")) == (1, [])
    assert office.recipients == ["privacy@bank.example"] * 2
    request, reminder = office.letters
    assert request["Subject"] == "有民眾請甲銀行刪除資料 / A citizen asks First Sample Bank to erase their data"
    assert "Reminder: a citizen asked First Sample Bank" in reminder["Subject"]
    consent = scene.consent
    for letter in office.letters:
        text = text_of(letter)
        for said in (
            f"Reference number: {consent.transaction_id}",
            f"參考編號：{consent.transaction_id}",
            "Data: Personal household registration",
            "資料：個人戶籍資料",
            f"To be erased by: {consent.erase_by.day} ",
            f"https://mydata.example/grants/{consent.id}/erasure",
        ):
            assert said in text
        (citizen,) = rows(scene.platform, Citizen, id=consent.citizen_id)
        whole = text + text_of(letter, "html") + str(letter["Subject"])
        for value in (citizen.name, citizen.national_id, citizen.username, "1990", "not-me", "/consent"):
            assert value not in whole
        assert letter["List-Unsubscribe"] is None
    assert {notice.citizen_id for notice in hands.notices(CHANNEL)} == {None}


def test_it_is_tried_again_until_it_is_taken(scene: Scene, hands: Hands, office: PostOffice) -> None:
    scene.ask()
    office.data = "451 Later"
    assert (told(hands), told(hands)) == (1, 0)
    office.data = ""
    clock.advance(timedelta(minutes=5))
    assert told(hands) == 1
    (notice,) = hands.notices(CHANNEL)
    assert (notice.attempts, notice.delivered_at) == (2, clock.now())


def test_who_has_an_endpoint_gets_no_letter(own_platform: Platform, hands: Hands) -> None:
    scene = Scene(own_platform, endpoint=ENDPOINT)
    scene.ask()
    assert told(hands) == 0
    assert len(hands.notices("webhook")) == 1
