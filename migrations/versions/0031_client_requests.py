"""A developer can look up what their client has asked, where the settings have that kept"""

import sqlalchemy as sa
from alembic import op

from authz_server.database import BigKey, UtcDateTime

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "client_request",
        sa.Column("id", BigKey, nullable=False),
        sa.Column("client_id", sa.String(length=100), nullable=False),
        sa.Column("at", UtcDateTime(timezone=True), nullable=False),
        sa.Column("method", sa.String(length=10), nullable=False),
        sa.Column("endpoint", sa.String(length=60), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("error", sa.String(length=60), nullable=True),
        sa.Column("detail", sa.String(length=300), nullable=True),
        sa.Column("trace_id", sa.String(length=36), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_client_request")),
    )
    op.create_index("ix_client_request_at", "client_request", ["at"])
    op.create_index("ix_client_request_client", "client_request", ["client_id", "id"])


def downgrade() -> None:
    op.drop_table("client_request")
