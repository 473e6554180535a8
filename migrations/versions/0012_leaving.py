"""Citizens who leave, and where a message goes whose reader has left"""

import sqlalchemy as sa
from alembic import op

from authz_server.database import UtcDateTime

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

LEFT = sa.text("left_at IS NOT NULL")


def upgrade() -> None:
    op.add_column("citizen", sa.Column("left_at", UtcDateTime(timezone=True), nullable=True))
    op.create_index("ix_citizen_left_at", "citizen", ["left_at"], sqlite_where=LEFT, postgresql_where=LEFT)
    op.add_column("notice", sa.Column("address", sa.String(length=254), nullable=True))


def downgrade() -> None:
    op.drop_column("notice", "address")
    op.drop_index("ix_citizen_left_at", table_name="citizen")
    op.drop_column("citizen", "left_at")
