"""The ways to reach people, a line each. A server has those that its settings know."""

from collections.abc import Callable
from typing import Final

from authz_server.core.settings import SettingsError
from authz_server.extensions import Services
from authz_server.notices.channels import email, sms, web
from authz_server.notices.channels.base import Channel

REGISTRY: Final[tuple[Callable[[Services], Channel | None], ...]] = (
    web.channel,
    email.channel,
    sms.channel,
)


def configured(services: Services) -> tuple[Channel, ...]:
    """The channels of this server, in the order of the registry.  Raises: SettingsError."""
    try:
        made = [maker(services) for maker in REGISTRY]
    except OSError as error:
        raise SettingsError([f"mail, sms: {error}"]) from None
    return tuple(channel for channel in made if channel is not None)
