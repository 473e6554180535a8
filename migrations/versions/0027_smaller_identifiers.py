"""Used identifiers take two thirds of the room they did, as every request of a client writes some

The servers stand still meanwhile. Whoever goes back lets them do so for six minutes more: what was used before can't be
told any longer from what was not.
"""

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None

NAMES = ("used_identifier_0", "used_identifier_1", "used_identifier_2")


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        # Should a server run after all, what it adds must not be forgotten between the two tables.
        op.execute(f"LOCK TABLE {', '.join(NAMES)} IN ACCESS EXCLUSIVE MODE")
    for name in NAMES:
        # By their first letters the kinds differ; of the digest the first 16 octets are kept.
        kept = "SELECT substr(digest, 1, 16) AS digest, substr(kind, 1, 1) AS kind"
        op.execute(f"CREATE TEMPORARY TABLE kept AS {kept} FROM {name}")
        op.drop_table(name)
        op.create_table(
            name,
            sa.Column("digest", sa.LargeBinary(length=16), nullable=False),
            sa.Column("kind", sa.String(length=1), nullable=False),
            sa.PrimaryKeyConstraint("digest", "kind", name=op.f(f"pk_{name}")),
        )
        op.execute(f"INSERT INTO {name} SELECT digest, kind FROM kept")  # noqa: S608 - our own constants
        op.execute("DROP TABLE kept")


def downgrade() -> None:
    for name in NAMES:
        op.drop_table(name)
        op.create_table(
            name,
            sa.Column("kind", sa.String(length=20), nullable=False),
            sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
            sa.PrimaryKeyConstraint("kind", "digest", name=op.f(f"pk_{name}")),
        )
