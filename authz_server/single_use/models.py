"""The tables of identifiers that were seen."""

from sqlalchemy import LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from authz_server.database import Base
from authz_server.single_use.buckets import RING


class UsedIdentifier(Base):
    """A `jti` that was seen; a second insert of the same row adds nothing, and that is the replay check.

    When the bearer expires is not kept: the table says it for all its rows.
    """

    __abstract__ = True

    kind: Mapped[str] = mapped_column(String(20), primary_key=True)  # client_assertion or dpop_proof
    digest: Mapped[bytes] = mapped_column(LargeBinary(32), primary_key=True, repr=False)


USED_IDENTIFIERS: tuple[type[UsedIdentifier], ...] = tuple(
    type(f"UsedIdentifier{number}", (UsedIdentifier,), {"__tablename__": f"used_identifier_{number}"})
    for number in range(RING)
)
