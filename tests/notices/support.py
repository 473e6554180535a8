"""A worker's hands: channels of a platform, as its settings would make them, and entries to tell of."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Row, func, select, update
from sqlalchemy.orm import Session

from authz_server import worker
from authz_server.audit.models import AuditEntry
from authz_server.audit.service import Entry, record
from authz_server.config import Limits
from authz_server.core import clock
from authz_server.extensions import Services
from authz_server.identity.models import CITIZEN
from authz_server.notices.channels import configured
from authz_server.notices.channels.base import Channel
from authz_server.notices.delivery import deliver_some
from authz_server.notices.models import NOTICE, Notice
from tests.support.platform import Platform

CITIZEN_1 = "citizen1"
NO_NIGHT = Limits(anomaly_from_hour=0, anomaly_until_hour=0)  # whenever the tests run, no hour is an unusual one


class Hands:
    """What a worker does, step by step. Args: settings: `mail`, `sms` and the like."""

    def __init__(self, platform: Platform, **settings: Any) -> None:
        services: Services = platform.app.extensions["mydata"]
        self.services = replace(services, settings=replace(services.settings, **settings))
        self.platform = platform
        self.channels: dict[str, Channel] = {channel.id: channel for channel in configured(self.services)}

    def tick(self) -> int:
        """What a worker does each second."""
        channels = tuple(self.channels.values())
        return worker.tick(self.platform.engine, now=clock.now(), channels=channels, limits=NO_NIGHT)

    def deliver(self, channel: str) -> int:
        """Carry whatever is due by this channel; how many attempts that took."""
        attempts = 0
        while tried := deliver_some(self.platform.engine, self.channels[channel]):
            attempts += tried
        self.channels[channel].rest()
        return attempts

    def happened(self, event: str, username: str = CITIZEN_1, **values: Any) -> None:
        """Put something on the record of a citizen."""
        with Session(self.platform.engine) as session, session.begin():
            known: dict[str, Any] = {"at": clock.now(), "event": event, "success": True, "actor": "citizen"}
            record(session, Entry(**known | {"citizen_id": self.citizen_id(session, username)} | values))

    def owe_unsayable(self, channel: str) -> None:
        """Have a notice wait of an event that nobody is told of, as another release leaves behind."""
        self.happened("token.leased")
        with Session(self.platform.engine) as session, session.begin():
            entry_id, now = session.scalars(select(func.max(AuditEntry.id))).one(), clock.now()
            known: dict[str, Any] = {"citizen_id": self.citizen_id(session), "channel": channel, "created_at": now}
            session.add(Notice(audit_entry_id=entry_id, due_at=now, **known))

    def change(self, username: str = CITIZEN_1, **values: Any) -> None:
        """Change an account."""
        with Session(self.platform.engine) as session, session.begin():
            session.execute(update(CITIZEN).where(CITIZEN.c.username == username).values(values))

    def citizen_id(self, session: Session, username: str = CITIZEN_1) -> int:
        return int(session.execute(select(CITIZEN.c.id).where(CITIZEN.c.username == username)).scalar_one())

    def notices(self, channel: str) -> Sequence[Row[Any]]:
        """The notices of a channel, oldest first."""
        of_channel = select(NOTICE).where(NOTICE.c.channel == channel).order_by(NOTICE.c.audit_entry_id)
        with Session(self.platform.engine) as session:
            return session.execute(of_channel).all()
