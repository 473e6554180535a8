"""Used identifiers in a ring of tables, each emptied as a whole. The servers stand still meanwhile: see CHANGELOG.md"""

from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from alembic import op

import authz_server.database

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

NAMES = ("used_identifier_0", "used_identifier_1", "used_identifier_2")
LONGEST_LIFE = timedelta(seconds=320)


def upgrade() -> None:
    for name in NAMES:
        op.create_table(
            name,
            sa.Column("kind", sa.String(length=20), nullable=False),
            sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
            sa.PrimaryKeyConstraint("kind", "digest", name=op.f(f"pk_{name}")),
        )
        # Into every table, so that nothing can be replayed whichever is asked; two of them are emptied soon.
        op.execute(f"INSERT INTO {name} SELECT kind, digest FROM used_identifier")  # noqa: S608 - our own constants
    op.drop_table("used_identifier")


def downgrade() -> None:
    used = op.create_table(
        "used_identifier",
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("expires_at", authz_server.database.UtcDateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("kind", "digest", name=op.f("pk_used_identifier")),
    )
    op.create_index("ix_used_identifier_expires_at", "used_identifier", ["expires_at"], unique=False)
    tables = [sa.table(name, sa.column("kind"), sa.column("digest")) for name in NAMES]
    known = sa.union(*(sa.select(table.c.kind, table.c.digest) for table in tables)).subquery()
    until = sa.literal(datetime.now(UTC) + LONGEST_LIFE, used.c.expires_at.type)
    op.execute(used.insert().from_select(["kind", "digest", "expires_at"], sa.select(*known.c, until)))
    for name in NAMES:
        op.drop_table(name)
