"""Agents who go to a counter for a citizen"""

import sqlalchemy as sa
from alembic import op

from authz_server.database import BigKey, UtcDateTime

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

OPEN = sa.text("ended_at IS NULL")


def upgrade() -> None:
    op.create_table(
        "delegation",
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("named", sa.String(length=43), nullable=False),
        sa.Column("consent_id", sa.String(length=40), nullable=False),
        sa.Column("transaction_id", sa.String(length=20), nullable=False),
        sa.Column("citizen_id", BigKey, nullable=False),
        sa.Column("client_id", sa.String(length=100), nullable=False),
        sa.Column("invited_at", UtcDateTime(timezone=True), nullable=False),
        sa.Column("expires_at", UtcDateTime(timezone=True), nullable=False),
        sa.Column("agent_id", BigKey, nullable=True),
        sa.Column("accepted_at", UtcDateTime(timezone=True), nullable=True),
        sa.Column("confirmed_at", UtcDateTime(timezone=True), nullable=True),
        sa.Column("ended_at", UtcDateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["consent_id"], ["consent.id"], name="fk_delegation_consent_id_consent"),
        sa.PrimaryKeyConstraint("digest", name="pk_delegation"),
    )
    op.create_index(
        "uq_delegation_open", "delegation", ["consent_id"], unique=True, postgresql_where=OPEN, sqlite_where=OPEN
    )
    op.create_index("ix_delegation_transaction_id", "delegation", ["transaction_id"])
    op.create_index("ix_delegation_agent_id", "delegation", ["agent_id"])
    op.create_index("ix_delegation_invited_at", "delegation", ["invited_at"])
    op.add_column("barcode", sa.Column("agent_id", BigKey, nullable=True))
    op.add_column("dataset_token", sa.Column("agent_id", BigKey, nullable=True))


def downgrade() -> None:
    op.drop_column("dataset_token", "agent_id")
    op.drop_column("barcode", "agent_id")
    op.drop_table("delegation")
