"""Where citizens are told besides their inbox is their choice, but for what concerns security."""

from dataclasses import replace
from pathlib import Path

import pytest

from authz_server.config import MailSettings, Settings, SmsSettings
from authz_server.notices.models import NoticeChoice
from tests.support.platform import CitizenBrowser, Platform, hidden_fields
from tests.support.protocol import rows

PATH = "/account/notices"


@pytest.fixture
def settings(settings: Settings, tmp_path: Path) -> Settings:
    """A server that has every channel."""
    mail = MailSettings(host="smtp.example", sender="notices@mydata.example")
    return replace(settings, mail=mail, sms=SmsSettings(url="https://sms.example", token_file=tmp_path / "token"))


@pytest.fixture
def citizen(own_platform: Platform) -> CitizenBrowser:
    return own_platform.citizen()


def save(citizen: CitizenBrowser, *channels: str, **changes: str) -> str:
    """Tick these and no others, and save; the page that comes."""
    form = hidden_fields(citizen.client.get(PATH).text) | changes
    return citizen.client.post(f"{PATH}?lang=en", data=form | {"channel": list(channels)}, follow_redirects=True).text


def chosen(platform: Platform) -> dict[str, bool]:
    return {row.channel: row.wanted for row in rows(platform, NoticeChoice)}


def ticked(page: str) -> list[str]:
    inputs = [tag for tag in page.split("<input")[1:] if 'type="checkbox"' in tag.partition(">")[0]]
    on = [tag.partition(">")[0] for tag in inputs if " checked" in tag.partition(">")[0]]
    return [channel for channel in ("email", "sms") if any(f'value="{channel}"' in tag for tag in on)]


def test_uses_are_told_by_e_mail_and_not_by_sms_unless_chosen(citizen: CitizenBrowser) -> None:
    page = citizen.client.get(f"{PATH}?lang=en").text
    assert ticked(page) == ["email"]
    assert "citizen1@citizen.example" in page
    assert "You have given none yet." in page
    assert "can't be switched off" in page


def test_a_choice_is_kept_and_can_be_changed(own_platform: Platform, citizen: CitizenBrowser) -> None:
    assert ticked(save(citizen, "sms")) == ["sms"]
    assert chosen(own_platform) == {"email": False, "sms": True}
    page = save(citizen, "email", "sms")
    assert ticked(page) == ["email", "sms"]
    assert "Saved." in page
    assert chosen(own_platform) == {"email": True, "sms": True}


def test_the_inbox_can_t_be_chosen_away_and_nonsense_is_not_kept(
    own_platform: Platform, citizen: CitizenBrowser
) -> None:
    save(citizen, "web", "pigeon")
    assert chosen(own_platform) == {"email": False, "sms": False}


@pytest.mark.parametrize("csrf", ["", "x"])
def test_a_form_from_elsewhere_changes_nothing(own_platform: Platform, citizen: CitizenBrowser, csrf: str) -> None:
    assert "too old" in save(citizen, "sms", csrf=csrf)
    assert chosen(own_platform) == {}
