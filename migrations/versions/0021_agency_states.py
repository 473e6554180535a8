"""What agencies say of themselves: at work, or under maintenance"""

import sqlalchemy as sa
from alembic import op

from authz_server.database import UtcDateTime

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "agency_state",
        sa.Column("agency_id", sa.String(length=40), nullable=False),
        sa.Column("maintenance", sa.Boolean(), nullable=False),
        sa.Column("datasets", sa.Text(), nullable=False),
        sa.Column("until", UtcDateTime(timezone=True), nullable=True),
        sa.Column("said_at", UtcDateTime(timezone=True), nullable=False),
        sa.Column("heard_at", UtcDateTime(timezone=True), nullable=False),
        sa.Column("silent", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["agency_id"], ["agency.id"], name=op.f("fk_agency_state_agency_id_agency")),
        sa.PrimaryKeyConstraint("agency_id", name=op.f("pk_agency_state")),
    )


def downgrade() -> None:
    op.drop_table("agency_state")
