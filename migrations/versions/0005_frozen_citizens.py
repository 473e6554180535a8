"""Freeze: since when a citizen has stopped everything"""

import sqlalchemy as sa
from alembic import op

import authz_server.database

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("citizen", sa.Column("frozen_at", authz_server.database.UtcDateTime(timezone=True), nullable=True))


def downgrade() -> None:
    op.drop_column("citizen", "frozen_at")
