"""Who acts at a counter is part of what a token says: its clerk"""

import sqlalchemy as sa
from alembic import op

from authz_server.database import BigKey

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("dataset_token", sa.Column("clerk_citizen_id", BigKey, nullable=True))


def downgrade() -> None:
    op.drop_column("dataset_token", "clerk_citizen_id")
