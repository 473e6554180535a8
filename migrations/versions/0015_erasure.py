"""Requests to erase, and what recipients answer"""

import sqlalchemy as sa
from alembic import op

from authz_server.database import UtcDateTime

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

OPEN = sa.text("erasure_requested_at IS NOT NULL AND erasure_answered_at IS NULL AND erasure_reminded_at IS NULL")


def upgrade() -> None:
    for name in ("requested", "reminded", "answered"):
        op.add_column("consent", sa.Column(f"erasure_{name}_at", UtcDateTime(timezone=True), nullable=True))
    op.add_column("consent", sa.Column("erasure_refusal", sa.String(length=20), nullable=True))
    op.create_index("ix_consent_erasure", "consent", ["erase_by"], sqlite_where=OPEN, postgresql_where=OPEN)


def downgrade() -> None:
    op.drop_index("ix_consent_erasure", table_name="consent")
    op.drop_column("consent", "erasure_refusal")
    for name in ("answered", "reminded", "requested"):
        op.drop_column("consent", f"erasure_{name}_at")
