"""The ways to reach people, a line each. A server has those that its settings know."""

from typing import Final

from authz_server.config import Settings
from authz_server.extensions import Services
from authz_server.notices.channels.agency import Agency, AgencyAhead
from authz_server.notices.channels.base import Channel
from authz_server.notices.channels.email import Email, EmailBefore, EmailToClient
from authz_server.notices.channels.sms import Sms, SmsBefore
from authz_server.notices.channels.web import Web
from authz_server.notices.channels.webhook import Webhook

REGISTRY: Final[tuple[type[Channel], ...]] = (
    Web,
    Email,
    EmailBefore,
    EmailToClient,
    Sms,
    SmsBefore,
    Webhook,
    Agency,
    AgencyAhead,
)


def kinds(settings: Settings) -> tuple[type[Channel], ...]:
    """The channels that this server has, in the order of the registry."""
    return tuple(kind for kind in REGISTRY if kind.is_on(settings))


def configured(services: Services) -> tuple[Channel, ...]:
    """The same, ready to send.  Raises: SettingsError."""
    return tuple(kind(services) for kind in kinds(services.settings))
