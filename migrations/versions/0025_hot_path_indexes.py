"""What the hot path writes to and PostgreSQL looks up there: less of it, where a statement already says as much"""

import sqlalchemy as sa
from alembic import op

from authz_server.database import BigKey

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None

REFERENCES = (
    ("consent", "citizen_id", "citizen", "id"),
    ("consent", "client_id", "client", "client_id"),
    ("authorization_code", "consent_id", "consent", "id"),
    ("access_token", "consent_id", "consent", "id"),
    ("dataset_token", "consent_id", "consent", "id"),
)
LEASED = sa.text("state = 'leased'")
HELD = sa.text("lease_digest IS NOT NULL")


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        for table, column, referred, _ in REFERENCES:
            op.drop_constraint(f"fk_{table}_{column}_{referred}", table, type_="foreignkey")
        op.execute("ALTER TABLE authorization_request SET (fillfactor = 50)")
    with op.batch_alter_table("authorization_request") as request:
        request.drop_constraint("uq_authorization_request_transaction_id", type_="unique")
    op.drop_index("ix_dataset_token_lease_expires_at", table_name="dataset_token")
    with op.batch_alter_table("dataset_token") as token:
        token.drop_constraint("uq_dataset_token_lease_digest", type_="unique")
        token.drop_constraint("uq_dataset_token_digest", type_="unique")
        token.drop_constraint("pk_dataset_token", type_="primary")
        token.drop_column("id")
        token.create_primary_key("pk_dataset_token", ["digest"])
    for name, column, where, unique in (
        ("ix_dataset_token_leased", "lease_expires_at", LEASED, False),
        ("uq_dataset_token_lease", "lease_digest", HELD, True),
    ):
        op.create_index(name, "dataset_token", [column], unique=unique, postgresql_where=where, sqlite_where=where)


def downgrade() -> None:
    op.drop_index("uq_dataset_token_lease", table_name="dataset_token")
    op.drop_index("ix_dataset_token_leased", table_name="dataset_token")
    # PostgreSQL numbers the rows that are there; SQLite does so when batch mode copies them into the new table.
    number = sa.Column("id", BigKey, sa.Identity(), nullable=False)
    with op.batch_alter_table("dataset_token") as token:
        token.drop_constraint("pk_dataset_token", type_="primary")
        token.add_column(number)
        token.create_primary_key("pk_dataset_token", ["id"])
        token.create_unique_constraint("uq_dataset_token_digest", ["digest"])
        token.create_unique_constraint("uq_dataset_token_lease_digest", ["lease_digest"])
    op.create_index("ix_dataset_token_lease_expires_at", "dataset_token", ["state", "lease_expires_at"])
    with op.batch_alter_table("authorization_request") as request:
        request.create_unique_constraint("uq_authorization_request_transaction_id", ["transaction_id"])
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER TABLE authorization_request RESET (fillfactor)")
        for table, column, referred, key in REFERENCES:
            op.create_foreign_key(f"fk_{table}_{column}_{referred}", table, referred, [column], [key])
