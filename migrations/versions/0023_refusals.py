"""What was asked for, where the citizen did not agree: purpose and datasets, for their own list"""

import sqlalchemy as sa
from alembic import op

from authz_server.database import BigKey, UtcDateTime

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "refusal",
        sa.Column("transaction_id", sa.String(length=20), nullable=False),
        sa.Column("citizen_id", BigKey, nullable=False),
        sa.Column("client_id", sa.String(length=100), nullable=False),
        sa.Column("purpose_id", sa.String(length=80), nullable=True),
        sa.Column("asked", sa.JSON(), nullable=False),
        sa.Column("decided_at", UtcDateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("transaction_id", name="pk_refusal"),
    )
    op.create_index("ix_refusal_citizen_id", "refusal", ["citizen_id"])
    op.create_index("ix_refusal_decided_at", "refusal", ["decided_at"])


def downgrade() -> None:
    op.drop_table("refusal")
