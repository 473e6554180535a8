"""Slow datasets that agencies were asked to have ready, and where these are asked"""

import sqlalchemy as sa
from alembic import op

from authz_server.database import BigKey, UtcDateTime

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("agency", sa.Column("preparation_endpoint", sa.String(length=2000), nullable=True))
    op.create_table(
        "preparation",
        sa.Column("id", sa.String(length=22), nullable=False),
        sa.Column("consent_id", sa.String(length=40), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("transaction_id", sa.String(length=20), nullable=False),
        sa.Column("citizen_id", BigKey, nullable=False),
        sa.Column("client_id", sa.String(length=100), nullable=False),
        sa.Column("agency_id", sa.String(length=40), nullable=False),
        sa.Column("dataset_id", sa.String(length=80), nullable=False),
        sa.Column("asked_at", UtcDateTime(timezone=True), nullable=False),
        sa.Column("until", UtcDateTime(timezone=True), nullable=False),
        sa.Column("expected_at", UtcDateTime(timezone=True), nullable=True),
        sa.Column("ready_at", UtcDateTime(timezone=True), nullable=True),
        sa.Column("refused_at", UtcDateTime(timezone=True), nullable=True),
        sa.Column("dropped_at", UtcDateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["consent_id"], ["consent.id"], name=op.f("fk_preparation_consent_id_consent")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_preparation")),
    )
    op.create_index("uq_preparation_consent_id", "preparation", ["consent_id", "position"], unique=True)
    op.create_index("ix_preparation_until", "preparation", ["until"])


def downgrade() -> None:
    op.drop_table("preparation")
    op.drop_column("agency", "preparation_endpoint")
