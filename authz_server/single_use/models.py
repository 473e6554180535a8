"""The table of identifiers that were seen."""

from datetime import datetime

from sqlalchemy import LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from authz_server.database import Base


class UsedIdentifier(Base):
    """A `jti` that was seen; a second insert of the same row adds nothing, and that is the replay check."""

    __tablename__ = "used_identifier"

    kind: Mapped[str] = mapped_column(String(20), primary_key=True)  # client_assertion or dpop_proof
    digest: Mapped[bytes] = mapped_column(LargeBinary(32), primary_key=True, repr=False)
    expires_at: Mapped[datetime] = mapped_column(index=True)
