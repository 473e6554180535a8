"""The web inbox, /messages: whoever has an account has it, and nothing in it can be switched off."""

from typing import ClassVar

from sqlalchemy import ColumnElement

from authz_server.catalogue.model import Text
from authz_server.config import Settings
from authz_server.extensions import Services
from authz_server.notices.channels.base import TOLD_HERE, Errand
from authz_server.notices.wording import TOLD


class Web:
    """Made is delivered."""

    id: ClassVar[str] = "web"
    name: ClassVar[Text] = Text(zh="本平臺的收件匣", en="The inbox on this platform")
    default: ClassVar[bool | None] = None
    immediate: ClassVar[bool] = True
    to_citizen: ClassVar[bool] = True
    events: ClassVar[frozenset[str]] = frozenset(TOLD)

    def __init__(self, services: Services | None = None) -> None:
        """It needs nothing."""

    @staticmethod
    def is_on(settings: Settings) -> bool:
        return True

    def entitled(self) -> ColumnElement[bool]:
        return TOLD_HERE

    def send(self, errand: Errand) -> None:
        """Nothing to do."""

    def rest(self) -> None:
        """Nothing to do."""
