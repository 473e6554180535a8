"""Identity methods: credentials, challenges, what a session rests on. Sessions of before end: people sign in anew"""

import sqlalchemy as sa
from alembic import op

import authz_server.database

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    moment = authz_server.database.UtcDateTime(timezone=True)
    key = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "credential",
        sa.Column("id", key, nullable=False),
        sa.Column("citizen_id", key, nullable=False),
        sa.Column("method", sa.String(length=40), nullable=False),
        sa.Column("external_id", sa.String(length=1400), nullable=False),
        sa.Column("label", sa.String(length=100), nullable=False),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.Column("secret", sa.LargeBinary(length=1000), nullable=True),
        sa.Column("created_at", moment, nullable=False),
        sa.Column("last_used_at", moment, nullable=True),
        sa.Column("removed_at", moment, nullable=True),
        sa.ForeignKeyConstraint(["citizen_id"], ["citizen.id"], name=op.f("fk_credential_citizen_id_citizen")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_credential")),
    )
    op.create_index("ix_credential_citizen_id", "credential", ["citizen_id"], unique=False)
    op.create_index("ix_credential_removed_at", "credential", ["removed_at"], unique=False)
    op.create_index(
        "uq_credential_method_external_id",
        "credential",
        ["method", "external_id"],
        unique=True,
        sqlite_where=sa.text("removed_at IS NULL"),
        postgresql_where=sa.text("removed_at IS NULL"),
    )
    op.create_table(
        "identity_challenge",
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("method", sa.String(length=40), nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("citizen_id", key, nullable=True),
        sa.Column("browser", sa.LargeBinary(length=32), nullable=False),
        sa.Column("payload", sa.JSON(), nullable=False),
        sa.Column("created_at", moment, nullable=False),
        sa.Column("expires_at", moment, nullable=False),
        sa.Column("used_at", moment, nullable=True),
        sa.ForeignKeyConstraint(["citizen_id"], ["citizen.id"], name=op.f("fk_identity_challenge_citizen_id_citizen")),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_identity_challenge")),
    )
    op.create_index("ix_identity_challenge_expires_at", "identity_challenge", ["expires_at"], unique=False)
    op.execute("DELETE FROM citizen_session")
    with op.batch_alter_table("citizen_session") as table:
        table.add_column(sa.Column("proofs", sa.JSON(), nullable=False))


def downgrade() -> None:
    with op.batch_alter_table("citizen_session") as table:
        table.drop_column("proofs")
    op.drop_table("identity_challenge")
    op.drop_table("credential")
