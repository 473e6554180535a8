"""Requests to correct, on their way to agencies, and where these take them"""

import sqlalchemy as sa
from alembic import op

from authz_server.database import BigKey, UtcDateTime

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

OPEN = sa.text("settled_at IS NULL")
SEALED = sa.text("sealed IS NOT NULL")


def upgrade() -> None:
    op.add_column("agency", sa.Column("correction_endpoint", sa.String(length=2000), nullable=True))
    op.create_table(
        "correction",
        sa.Column("id", sa.String(length=22), nullable=False),
        sa.Column("transaction_id", sa.String(length=20), nullable=False),
        sa.Column("citizen_id", BigKey, nullable=False),
        sa.Column("client_id", sa.String(length=100), nullable=False),
        sa.Column("consent_id", sa.String(length=40), nullable=False),
        sa.Column("agency_id", sa.String(length=40), nullable=False),
        sa.Column("dataset_id", sa.String(length=80), nullable=False),
        sa.Column("field_id", sa.String(length=80), nullable=False),
        sa.Column("requested_at", UtcDateTime(timezone=True), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=True),
        sa.Column("delivered_at", UtcDateTime(timezone=True), nullable=True),
        sa.Column("settled_at", UtcDateTime(timezone=True), nullable=True),
        sa.Column("outcome", sa.String(length=20), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_correction")),
    )
    op.create_index("ix_correction_requested_at", "correction", ["requested_at"])
    op.create_index("ix_correction_citizen_id", "correction", ["citizen_id"])
    op.create_index(
        "ix_correction_sealed", "correction", ["requested_at"], sqlite_where=SEALED, postgresql_where=SEALED
    )
    op.create_index(
        "uq_correction_open",
        "correction",
        ["transaction_id", "dataset_id", "field_id"],
        unique=True,
        sqlite_where=OPEN,
        postgresql_where=OPEN,
    )


def downgrade() -> None:
    op.drop_table("correction")
    op.drop_column("agency", "correction_endpoint")
