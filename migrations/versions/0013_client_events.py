"""Clients that are told of what happens to their consents, and notices whose reader is no citizen"""

import sqlalchemy as sa
from alembic import op

from authz_server.database import BigKey

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("client", sa.Column("security_event_endpoint", sa.String(length=2000), nullable=True))
    with op.batch_alter_table("notice") as notice:
        notice.alter_column("citizen_id", existing_type=BigKey, nullable=True)


def downgrade() -> None:
    op.execute("DELETE FROM notice WHERE citizen_id IS NULL")
    with op.batch_alter_table("notice") as notice:
        notice.alter_column("citizen_id", existing_type=BigKey, nullable=False)
    op.drop_column("client", "security_event_endpoint")
