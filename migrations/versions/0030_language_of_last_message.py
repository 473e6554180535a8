"""The last message to who leaves is in their language, which the account no longer knows"""

import sqlalchemy as sa
from alembic import op

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("notice", sa.Column("locale", sa.String(length=10), nullable=True))
    op.execute(
        """
        UPDATE notice SET locale = (SELECT locale FROM citizen WHERE citizen.id = notice.citizen_id)
        WHERE address IS NOT NULL
        AND citizen_id IN (SELECT id FROM citizen WHERE left_at IS NOT NULL AND locale <> '')
        """
    )
    op.execute("UPDATE citizen SET locale = '' WHERE left_at IS NOT NULL AND locale <> ''")


def downgrade() -> None:
    op.drop_column("notice", "locale")
