"""Anomalies of decisions, from now on"""

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

from authz_server.database import UtcDateTime

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "anomaly",
        sa.Column("transaction_id", sa.String(length=20), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("client_id", sa.String(length=100), nullable=False),
        sa.Column("at", UtcDateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("transaction_id", "kind", name=op.f("pk_anomaly")),
    )
    op.create_index(op.f("ix_anomaly_at"), "anomaly", ["at"], unique=False)
    watch = op.create_table(
        "anomaly_watch",
        sa.Column("up_to", UtcDateTime(timezone=True), nullable=False),
        sa.Column("id", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_anomaly_watch")),
    )
    # What was decided before is not told of years later.
    op.execute(watch.insert().values(id=1, up_to=datetime.now(UTC)))


def downgrade() -> None:
    op.drop_table("anomaly_watch")
    op.drop_index(op.f("ix_anomaly_at"), table_name="anomaly")
    op.drop_table("anomaly")
