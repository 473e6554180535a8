"""Notices by several channels: when each is due and how it went, what citizens chose, which addresses are verified"""

import sqlalchemy as sa
from alembic import op

import authz_server.database

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

TIME = authz_server.database.UtcDateTime(timezone=True)
DUE = sa.text("due_at IS NOT NULL")
UNREAD = sa.text("channel = 'web' AND read_at IS NULL")
TIMES = ("due_at", "delivered_at", "failed_at", "not_me_at")


def upgrade() -> None:
    for name in ("email_verified_at", "phone_verified_at"):
        op.add_column("citizen", sa.Column(name, TIME, nullable=True))
    # What the operator entered so far came from a register.
    op.execute("UPDATE citizen SET email_verified_at = created_at WHERE email IS NOT NULL")
    op.execute("UPDATE citizen SET phone_verified_at = created_at WHERE phone IS NOT NULL")
    with op.batch_alter_table("notice") as notice:
        notice.alter_column("channel", existing_type=sa.String(length=10), type_=sa.String(length=20))
        for name in TIMES:
            notice.add_column(sa.Column(name, TIME, nullable=True))
        notice.add_column(sa.Column("attempts", sa.Integer(), nullable=False, server_default="0"))
        notice.add_column(sa.Column("failure", sa.String(length=80), nullable=True))
    with op.batch_alter_table("notice") as notice:
        notice.alter_column("attempts", existing_type=sa.Integer(), server_default=None)
    op.execute("UPDATE notice SET delivered_at = created_at")
    op.create_index("ix_notice_due", "notice", ["channel", "due_at"], postgresql_where=DUE, sqlite_where=DUE)
    op.create_index("ix_notice_unread", "notice", ["citizen_id"], postgresql_where=UNREAD, sqlite_where=UNREAD)
    op.create_table(
        "notice_choice",
        sa.Column("citizen_id", authz_server.database.BigKey, nullable=False),
        sa.Column("channel", sa.String(length=20), nullable=False),
        sa.Column("wanted", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["citizen_id"], ["citizen.id"], name=op.f("fk_notice_choice_citizen_id_citizen")),
        sa.PrimaryKeyConstraint("citizen_id", "channel", name=op.f("pk_notice_choice")),
    )


def downgrade() -> None:
    op.drop_table("notice_choice")
    op.drop_index("ix_notice_unread", "notice")
    op.drop_index("ix_notice_due", "notice")
    op.execute("DELETE FROM notice WHERE channel <> 'web'")
    with op.batch_alter_table("notice") as notice:
        for name in (*TIMES, "attempts", "failure"):
            notice.drop_column(name)
        notice.alter_column("channel", existing_type=sa.String(length=20), type_=sa.String(length=10))
    for name in ("email_verified_at", "phone_verified_at"):
        op.drop_column("citizen", name)
