"""The record by time: its entries in the order in which things happened, and an index of the decisions among them"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

DECIDED = sa.text("event IN ('consent.approved', 'consent.denied', 'consent.expired')")


def upgrade() -> None:
    op.drop_index("ix_audit_entry_citizen", table_name="audit_entry")
    op.create_index("ix_audit_entry_citizen", "audit_entry", ["citizen_id", "at", "id"], unique=False)
    op.create_index(
        "ix_audit_entry_decision",
        "audit_entry",
        ["citizen_id", "at", "id"],
        unique=False,
        postgresql_where=DECIDED,
        sqlite_where=DECIDED,
    )


def downgrade() -> None:
    op.drop_index("ix_audit_entry_decision", table_name="audit_entry")
    op.drop_index("ix_audit_entry_citizen", table_name="audit_entry")
    op.create_index("ix_audit_entry_citizen", "audit_entry", ["citizen_id", "id"], unique=False)
