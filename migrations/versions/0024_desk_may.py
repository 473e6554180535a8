"""What an office's desk may do with data beside showing it: print it, save a copy"""

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # None: neither.
    op.add_column("client", sa.Column("desk_may", sa.JSON(none_as_null=True), nullable=True))


def downgrade() -> None:
    op.drop_column("client", "desk_may")
