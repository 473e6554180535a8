"""Where citizens are reached: e-mail address and telephone number, each only once it is verified."""

from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from authz_server.identity.models import CITIZEN


@dataclass(frozen=True, kw_only=True)
class Contact:
    """What is known; `*_verified_at`: since when messages go there, None: they don't."""

    email: str | None = field(repr=False)
    email_verified_at: datetime | None
    phone: str | None = field(repr=False)
    phone_verified_at: datetime | None


def contact_of(session: Session, citizen_id: int) -> Contact:
    """The citizen's contact data."""
    columns = [CITIZEN.c[name] for name in Contact.__dataclass_fields__]
    return Contact(**session.execute(select(*columns).where(CITIZEN.c.id == citizen_id)).one()._mapping)
