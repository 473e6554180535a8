"""Who works at an office's counters, and their sign-ins there"""

import sqlalchemy as sa
from alembic import op

from authz_server.database import BigKey, UtcDateTime

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

IN_FORCE = sa.text("ended_at IS NULL")


def upgrade() -> None:
    op.create_table(
        "appointment",
        sa.Column("id", BigKey, nullable=False),
        sa.Column("client_id", sa.String(length=100), nullable=False),
        sa.Column("citizen_id", BigKey, nullable=False),
        sa.Column("role", sa.String(length=20), nullable=False),
        sa.Column("appointed_at", UtcDateTime(timezone=True), nullable=False),
        sa.Column("appointed_by", BigKey, nullable=True),
        sa.Column("ended_at", UtcDateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["client_id"], ["client.client_id"], name="fk_appointment_client_id_client"),
        sa.ForeignKeyConstraint(["citizen_id"], ["citizen.id"], name="fk_appointment_citizen_id_citizen"),
        sa.PrimaryKeyConstraint("id", name="pk_appointment"),
    )
    op.create_index(
        "uq_appointment_in_force",
        "appointment",
        ["citizen_id", "client_id", "role"],
        unique=True,
        sqlite_where=IN_FORCE,
        postgresql_where=IN_FORCE,
    )
    op.create_index("ix_appointment_client_id", "appointment", ["client_id"])
    op.create_index("ix_appointment_ended_at", "appointment", ["ended_at"])
    op.create_table(
        "desk_session",
        sa.Column("code_digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("appointment_id", BigKey, nullable=False),
        sa.Column("citizen_id", BigKey, nullable=False),
        sa.Column("client_id", sa.String(length=100), nullable=False),
        sa.Column("redirect_uri", sa.String(length=2000), nullable=False),
        sa.Column("code_challenge", sa.String(length=43), nullable=False),
        sa.Column("dpop_jkt", sa.String(length=43), nullable=True),
        sa.Column("nonce", sa.String(length=1000), nullable=True),
        sa.Column("acr", sa.String(length=100), nullable=False),
        sa.Column("amr", sa.JSON(), nullable=False),
        sa.Column("auth_time", UtcDateTime(timezone=True), nullable=False),
        sa.Column("code_expires_at", UtcDateTime(timezone=True), nullable=False),
        sa.Column("expires_at", UtcDateTime(timezone=True), nullable=False),
        sa.Column("token_digest", sa.LargeBinary(length=32), nullable=True),
        sa.Column("jkt", sa.String(length=43), nullable=True),
        sa.Column("idle_until", UtcDateTime(timezone=True), nullable=True),
        sa.Column("ended_at", UtcDateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["appointment_id"], ["appointment.id"], name="fk_desk_session_appointment_id_appointment"
        ),
        sa.ForeignKeyConstraint(["citizen_id"], ["citizen.id"], name="fk_desk_session_citizen_id_citizen"),
        sa.PrimaryKeyConstraint("code_digest", name="pk_desk_session"),
        sa.UniqueConstraint("token_digest", name="uq_desk_session_token_digest"),
    )
    op.create_index("ix_desk_session_citizen_id", "desk_session", ["citizen_id"])
    op.create_index("ix_desk_session_expires_at", "desk_session", ["expires_at"])
    op.add_column("barcode", sa.Column("clerk_id", BigKey, nullable=True))
    # False: who takes barcodes there need not sign in by name. None: the default, which is that they do.
    op.add_column("client", sa.Column("named_clerks", sa.Boolean(), nullable=True))


def downgrade() -> None:
    op.drop_column("client", "named_clerks")
    op.drop_column("barcode", "clerk_id")
    op.drop_table("desk_session")
    op.drop_table("appointment")
