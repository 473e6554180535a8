"""First use: since when it is known who a citizen is. The operator has seen everybody whose account stands already"""

import sqlalchemy as sa
from alembic import op

import authz_server.database

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("citizen", sa.Column("verified_at", authz_server.database.UtcDateTime(timezone=True), nullable=True))
    op.execute("UPDATE citizen SET verified_at = created_at")


def downgrade() -> None:
    op.drop_column("citizen", "verified_at")
