"""Withdrawal: when a citizen took a consent back"""

import sqlalchemy as sa
from alembic import op

import authz_server.database

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("consent", sa.Column("withdrawn_at", authz_server.database.UtcDateTime(timezone=True), nullable=True))


def downgrade() -> None:
    op.drop_column("consent", "withdrawn_at")
