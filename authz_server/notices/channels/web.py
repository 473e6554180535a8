"""The web inbox, /messages: whoever has an account has it, and nothing in it can be switched off."""

from typing import ClassVar

from sqlalchemy import ColumnElement, true

from authz_server.extensions import Services
from authz_server.notices.channels.base import Errand


class Web:
    """Made is delivered."""

    id: ClassVar = "web"
    immediate: ClassVar = True

    def entitled(self) -> ColumnElement[bool]:
        return true()

    def send(self, errand: Errand) -> None:
        """Nothing to do."""

    def rest(self) -> None:
        """Nothing to do."""


def channel(_services: Services) -> Web:
    """Every server has it."""
    return Web()
