"""The tables of identifiers that were seen."""

from sqlalchemy import LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from authz_server.database import Base
from authz_server.single_use import identifiers
from authz_server.single_use.buckets import RING


class UsedIdentifier(Base):
    """A `jti` that was seen; a second insert of the same row fails, and that is the replay check.

    Every request of a client writes some, so they are small. When the bearer expires is not kept: the table says it for
    all its rows.
    """

    __abstract__ = True

    digest: Mapped[bytes] = mapped_column(LargeBinary(identifiers.DIGEST_BYTES), primary_key=True, repr=False)
    kind: Mapped[str] = mapped_column(String(1), primary_key=True)  # see `identifiers`


USED_IDENTIFIERS: tuple[type[UsedIdentifier], ...] = tuple(
    type(f"UsedIdentifier{number}", (UsedIdentifier,), {"__tablename__": f"used_identifier_{number}"})
    for number in range(RING)
)
