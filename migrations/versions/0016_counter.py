"""Counters of offices, and the barcodes that citizens bring there"""

import sqlalchemy as sa
from alembic import op

from authz_server.database import BigKey, UtcDateTime

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("client", sa.Column("counters", sa.JSON(none_as_null=True), nullable=True))
    op.create_table(
        "barcode",
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("short_digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("consent_id", sa.String(length=40), nullable=False),
        sa.Column("transaction_id", sa.String(length=20), nullable=False),
        sa.Column("citizen_id", BigKey, nullable=False),
        sa.Column("client_id", sa.String(length=100), nullable=False),
        sa.Column("shown_at", UtcDateTime(timezone=True), nullable=False),
        sa.Column("expires_at", UtcDateTime(timezone=True), nullable=False),
        sa.Column("announced_at", UtcDateTime(timezone=True), nullable=True),
        sa.Column("code_expires_at", UtcDateTime(timezone=True), nullable=True),
        sa.Column("counter_id", sa.String(length=40), nullable=True),
        sa.ForeignKeyConstraint(["consent_id"], ["consent.id"], name="fk_barcode_consent_id_consent"),
        sa.PrimaryKeyConstraint("digest", name="pk_barcode"),
        sa.UniqueConstraint("short_digest", name="uq_barcode_short_digest"),
    )
    op.create_index("ix_barcode_consent_id", "barcode", ["consent_id"])
    op.create_index("ix_barcode_shown_at", "barcode", ["shown_at"])


def downgrade() -> None:
    op.drop_table("barcode")
    op.drop_column("client", "counters")
