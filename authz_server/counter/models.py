"""The table of barcodes. It holds digests, so nothing in it can be shown at a counter."""

from datetime import datetime

from sqlalchemy import ForeignKey, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from authz_server.database import Base, BigKey, table_of


class Barcode(Base):
    """A barcode that was shown to its citizen, with the one-time code that an office last had sent for it.

    It counts as long as its digest is that of its consent's code (`consent.codes`): the next one that is shown puts its
    own there, by the same UPDATE, and a consent that ends takes its code along.
    """

    __tablename__ = "barcode"

    digest: Mapped[bytes] = mapped_column(LargeBinary(32), primary_key=True, repr=False)
    short_digest: Mapped[bytes] = mapped_column(LargeBinary(32), unique=True, repr=False)  # of its form for typing
    consent_id: Mapped[str] = mapped_column(String(40), ForeignKey("consent.id"), index=True)
    transaction_id: Mapped[str] = mapped_column(String(20))
    citizen_id: Mapped[int] = mapped_column(BigKey)
    client_id: Mapped[str] = mapped_column(String(100))
    shown_at: Mapped[datetime] = mapped_column(index=True)
    expires_at: Mapped[datetime]
    announced_at: Mapped[datetime | None] = mapped_column(default=None)  # the one-time code derives from it
    code_expires_at: Mapped[datetime | None] = mapped_column(default=None)
    counter_id: Mapped[str | None] = mapped_column(String(40), default=None)  # which of the office's announced it


BARCODE = table_of(Barcode)
