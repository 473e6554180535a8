"""Browsers that are known to a citizen, and of which kind the browser of a session is"""

import sqlalchemy as sa
from alembic import op

from authz_server.database import BigKey, UtcDateTime

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "known_browser",
        sa.Column("citizen_id", BigKey, nullable=False),
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("last_used_at", UtcDateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["citizen_id"], ["citizen.id"], name=op.f("fk_known_browser_citizen_id_citizen")),
        sa.PrimaryKeyConstraint("citizen_id", "digest", name=op.f("pk_known_browser")),
    )
    op.create_index("ix_known_browser_last_used_at", "known_browser", ["last_used_at"])
    op.add_column("citizen_session", sa.Column("browser", sa.LargeBinary(length=32), nullable=True))
    kind = sa.Column("browser_kind", sa.String(length=40), nullable=False, server_default="/")
    op.add_column("citizen_session", kind)


def downgrade() -> None:
    op.drop_column("citizen_session", "browser_kind")
    op.drop_column("citizen_session", "browser")
    op.drop_table("known_browser")
