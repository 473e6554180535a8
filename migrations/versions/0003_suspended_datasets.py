"""Suspended datasets: which of an agency's datasets are not answered at present"""

import sqlalchemy as sa
from alembic import op

import authz_server.database

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "suspended_dataset",
        sa.Column("dataset_id", sa.String(length=80), nullable=False),
        sa.Column("suspended_at", authz_server.database.UtcDateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("dataset_id", name=op.f("pk_suspended_dataset")),
    )


def downgrade() -> None:
    op.drop_table("suspended_dataset")
