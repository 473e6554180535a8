"""A platform of the test's own that tells by e-mail, at a moment that stands still, and the server that takes it."""

from collections.abc import Iterator

import pytest

from authz_server.config import MailSettings
from authz_server.core import clock
from tests.notices.support import Hands
from tests.support.platform import Platform
from tests.support.smtp import PostOffice, post_office

SENDER = "個人資料同意服務 <notices@mydata.example>"


@pytest.fixture
def office() -> Iterator[PostOffice]:
    """An SMTP server."""
    with post_office() as made:
        yield made


@pytest.fixture
def hands(own_platform: Platform, office: PostOffice) -> Iterator[Hands]:
    """A worker's hands; what happened before the test has been told and delivered."""
    mail = MailSettings(host="127.0.0.1", port=office.port, sender=SENDER, tls="none")
    with clock.frozen(clock.now()):
        made = Hands(own_platform, mail=mail)
        made.tick()
        made.deliver("email")
        office.letters.clear()
        office.recipients.clear()
        yield made
