"""The online service: citizens, clients, requests, consents, tokens, the record"""

import sqlalchemy as sa
from alembic import op

import authz_server.database

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "agency",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("connector", sa.String(length=20), nullable=False),
        sa.Column("jwks", sa.JSON(), nullable=False),
        sa.Column("registered_on", sa.Date(), nullable=False),
        sa.Column("suspended_at", authz_server.database.UtcDateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_agency")),
    )
    op.create_table(
        "audit_entry",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("at", authz_server.database.UtcDateTime(timezone=True), nullable=False),
        sa.Column("event", sa.String(length=40), nullable=False),
        sa.Column("success", sa.Boolean(), nullable=False),
        sa.Column("actor", sa.String(length=200), nullable=False),
        sa.Column("transaction_id", sa.String(length=20), nullable=True),
        sa.Column("citizen_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("client_id", sa.String(length=100), nullable=True),
        sa.Column("agency_id", sa.String(length=40), nullable=True),
        sa.Column("dataset_id", sa.String(length=80), nullable=True),
        sa.Column("consent_id", sa.String(length=40), nullable=True),
        sa.Column("reason", sa.String(length=80), nullable=True),
        sa.Column("trace_id", sa.String(length=36), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_entry")),
    )
    op.create_index("ix_audit_entry_at", "audit_entry", ["at"], unique=False)
    op.create_index("ix_audit_entry_citizen", "audit_entry", ["citizen_id", "id"], unique=False)
    op.create_index("ix_audit_entry_transaction_id", "audit_entry", ["transaction_id"], unique=False)

    op.create_table(
        "authorization_request",
        sa.Column("id", sa.String(length=43), nullable=False),
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("transaction_id", sa.String(length=20), nullable=False),
        sa.Column("client_id", sa.String(length=100), nullable=False),
        sa.Column("parameters", sa.JSON(), nullable=False),
        sa.Column("pushed_at", authz_server.database.UtcDateTime(timezone=True), nullable=False),
        sa.Column("expires_at", authz_server.database.UtcDateTime(timezone=True), nullable=False),
        sa.Column("deadline_at", authz_server.database.UtcDateTime(timezone=True), nullable=False),
        sa.Column("started_at", authz_server.database.UtcDateTime(timezone=True), nullable=True),
        sa.Column("citizen_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("decided_at", authz_server.database.UtcDateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_authorization_request")),
        sa.UniqueConstraint("digest", name=op.f("uq_authorization_request_digest")),
        sa.UniqueConstraint("transaction_id", name=op.f("uq_authorization_request_transaction_id")),
    )
    op.create_index("ix_authorization_request_deadline_at", "authorization_request", ["deadline_at"], unique=False)

    op.create_table(
        "citizen",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("username", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("national_id", sa.String(length=10), nullable=False),
        sa.Column("birthdate", sa.Date(), nullable=False),
        sa.Column("created_at", authz_server.database.UtcDateTime(timezone=True), nullable=False),
        sa.Column("email", sa.String(length=254), nullable=True),
        sa.Column("phone", sa.String(length=20), nullable=True),
        sa.Column("locale", sa.String(length=10), nullable=False),
        sa.Column("suspended_at", authz_server.database.UtcDateTime(timezone=True), nullable=True),
        sa.Column("password_hash", sa.String(length=200), nullable=True),
        sa.Column("totp_secret_encrypted", sa.LargeBinary(length=128), nullable=True),
        sa.Column("totp_last_step", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_citizen")),
        sa.UniqueConstraint("national_id", name=op.f("uq_citizen_national_id")),
        sa.UniqueConstraint("username", name=op.f("uq_citizen_username")),
    )
    op.create_table(
        "client",
        sa.Column("client_id", sa.String(length=100), nullable=False),
        sa.Column("profile", sa.String(length=20), nullable=False),
        sa.Column("name_zh", sa.String(length=100), nullable=False),
        sa.Column("name_en", sa.String(length=100), nullable=False),
        sa.Column("registered_id", sa.String(length=40), nullable=False),
        sa.Column("registered_on", sa.Date(), nullable=False),
        sa.Column("contact_phone", sa.String(length=40), nullable=False),
        sa.Column("contact_email", sa.String(length=254), nullable=False),
        sa.Column("privacy_url", sa.String(length=2000), nullable=False),
        sa.Column("jwks", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("jwks_uri", sa.String(length=2000), nullable=True),
        sa.Column("redirect_uris", sa.JSON(), nullable=False),
        sa.Column("purposes", sa.JSON(), nullable=False),
        sa.Column("suspended_at", authz_server.database.UtcDateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("client_id", name=op.f("pk_client")),
    )
    op.create_table(
        "registry_version",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_registry_version")),
    )
    op.create_table(
        "sign_in_attempt",
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("key", sa.LargeBinary(length=32), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("window_started_at", authz_server.database.UtcDateTime(timezone=True), nullable=False),
        sa.Column("locked_until", authz_server.database.UtcDateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("kind", "key", name=op.f("pk_sign_in_attempt")),
    )
    op.create_index("ix_sign_in_attempt_window_started_at", "sign_in_attempt", ["window_started_at"], unique=False)

    op.create_table(
        "used_identifier",
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("expires_at", authz_server.database.UtcDateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("kind", "digest", name=op.f("pk_used_identifier")),
    )
    op.create_index("ix_used_identifier_expires_at", "used_identifier", ["expires_at"], unique=False)

    op.create_table(
        "citizen_session",
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("citizen_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("level", sa.Integer(), nullable=False),
        sa.Column("amr", sa.JSON(), nullable=False),
        sa.Column("auth_time", authz_server.database.UtcDateTime(timezone=True), nullable=False),
        sa.Column("created_at", authz_server.database.UtcDateTime(timezone=True), nullable=False),
        sa.Column("last_seen_at", authz_server.database.UtcDateTime(timezone=True), nullable=False),
        sa.Column("idle_until", authz_server.database.UtcDateTime(timezone=True), nullable=False),
        sa.Column("expires_at", authz_server.database.UtcDateTime(timezone=True), nullable=False),
        sa.Column("ended_at", authz_server.database.UtcDateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["citizen_id"], ["citizen.id"], name=op.f("fk_citizen_session_citizen_id_citizen")),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_citizen_session")),
    )
    op.create_index("ix_citizen_session_citizen_id", "citizen_session", ["citizen_id"], unique=False)
    op.create_index("ix_citizen_session_expires_at", "citizen_session", ["expires_at"], unique=False)

    op.create_table(
        "consent",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("transaction_id", sa.String(length=20), nullable=False),
        sa.Column("citizen_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("client_id", sa.String(length=100), nullable=False),
        sa.Column("scopes", sa.JSON(), nullable=False),
        sa.Column("purpose_id", sa.String(length=80), nullable=True),
        sa.Column("granted", sa.JSON(), nullable=False),
        sa.Column("notice", sa.JSON(), nullable=False),
        sa.Column("notice_version", sa.String(length=20), nullable=False),
        sa.Column("notice_locale", sa.String(length=10), nullable=False),
        sa.Column("notice_sha256", sa.String(length=43), nullable=False),
        sa.Column("use_until", sa.Date(), nullable=True),
        sa.Column("erase_by", sa.Date(), nullable=True),
        sa.Column("level", sa.Integer(), nullable=False),
        sa.Column("amr", sa.JSON(), nullable=False),
        sa.Column("auth_time", authz_server.database.UtcDateTime(timezone=True), nullable=False),
        sa.Column("decided_at", authz_server.database.UtcDateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["citizen_id"], ["citizen.id"], name=op.f("fk_consent_citizen_id_citizen")),
        sa.ForeignKeyConstraint(["client_id"], ["client.client_id"], name=op.f("fk_consent_client_id_client")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_consent")),
        sa.UniqueConstraint("transaction_id", name=op.f("uq_consent_transaction_id")),
    )
    op.create_index("ix_consent_citizen_client", "consent", ["citizen_id", "client_id", "decided_at"], unique=False)
    op.create_index("ix_consent_decided_at", "consent", ["decided_at"], unique=False)

    op.create_table(
        "notice",
        sa.Column("audit_entry_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("channel", sa.String(length=10), nullable=False),
        sa.Column("citizen_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("created_at", authz_server.database.UtcDateTime(timezone=True), nullable=False),
        sa.Column("read_at", authz_server.database.UtcDateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["audit_entry_id"], ["audit_entry.id"], name=op.f("fk_notice_audit_entry_id_audit_entry")
        ),
        sa.PrimaryKeyConstraint("audit_entry_id", "channel", name=op.f("pk_notice")),
    )
    op.create_index("ix_notice_citizen", "notice", ["citizen_id", "audit_entry_id"], unique=False)
    op.create_index("ix_notice_created_at", "notice", ["created_at"], unique=False)

    op.create_table(
        "access_token",
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("consent_id", sa.String(length=40), nullable=False),
        sa.Column("citizen_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("client_id", sa.String(length=100), nullable=False),
        sa.Column("scopes", sa.JSON(), nullable=False),
        sa.Column("claims", sa.JSON(), nullable=False),
        sa.Column("jkt", sa.String(length=43), nullable=False),
        sa.Column("issued_at", authz_server.database.UtcDateTime(timezone=True), nullable=False),
        sa.Column("expires_at", authz_server.database.UtcDateTime(timezone=True), nullable=False),
        sa.Column("revoked_at", authz_server.database.UtcDateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["consent_id"], ["consent.id"], name=op.f("fk_access_token_consent_id_consent")),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_access_token")),
    )
    op.create_index("ix_access_token_consent_id", "access_token", ["consent_id"], unique=False)
    op.create_index("ix_access_token_expires_at", "access_token", ["expires_at"], unique=False)

    op.create_table(
        "authorization_code",
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("consent_id", sa.String(length=40), nullable=False),
        sa.Column("transaction_id", sa.String(length=20), nullable=False),
        sa.Column("citizen_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("client_id", sa.String(length=100), nullable=False),
        sa.Column("redirect_uri", sa.String(length=2000), nullable=False),
        sa.Column("code_challenge", sa.String(length=43), nullable=False),
        sa.Column("dpop_jkt", sa.String(length=43), nullable=True),
        sa.Column("nonce", sa.String(length=1000), nullable=True),
        sa.Column("claims", sa.JSON(), nullable=False),
        sa.Column("expires_at", authz_server.database.UtcDateTime(timezone=True), nullable=False),
        sa.Column("used_at", authz_server.database.UtcDateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["consent_id"], ["consent.id"], name=op.f("fk_authorization_code_consent_id_consent")),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_authorization_code")),
    )
    op.create_index("ix_authorization_code_expires_at", "authorization_code", ["expires_at"], unique=False)

    op.create_table(
        "dataset_token",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("consent_id", sa.String(length=40), nullable=False),
        sa.Column("transaction_id", sa.String(length=20), nullable=False),
        sa.Column("citizen_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("client_id", sa.String(length=100), nullable=False),
        sa.Column("agency_id", sa.String(length=40), nullable=False),
        sa.Column("dataset_id", sa.String(length=80), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("jkt", sa.String(length=43), nullable=False),
        sa.Column("issued_at", authz_server.database.UtcDateTime(timezone=True), nullable=False),
        sa.Column("expires_at", authz_server.database.UtcDateTime(timezone=True), nullable=False),
        sa.Column("expires_limit_at", authz_server.database.UtcDateTime(timezone=True), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("not_before", authz_server.database.UtcDateTime(timezone=True), nullable=True),
        sa.Column("lease_digest", sa.LargeBinary(length=32), nullable=True),
        sa.Column("lease_expires_at", authz_server.database.UtcDateTime(timezone=True), nullable=True),
        sa.Column("first_byte_at", authz_server.database.UtcDateTime(timezone=True), nullable=True),
        sa.Column("spent_at", authz_server.database.UtcDateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["consent_id"], ["consent.id"], name=op.f("fk_dataset_token_consent_id_consent")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_dataset_token")),
        sa.UniqueConstraint("digest", name=op.f("uq_dataset_token_digest")),
        sa.UniqueConstraint("lease_digest", name=op.f("uq_dataset_token_lease_digest")),
    )
    op.create_index("ix_dataset_token_consent_id", "dataset_token", ["consent_id"], unique=False)
    op.create_index("ix_dataset_token_expires_at", "dataset_token", ["expires_at"], unique=False)
    op.create_index("ix_dataset_token_lease_expires_at", "dataset_token", ["state", "lease_expires_at"], unique=False)


def downgrade() -> None:
    op.drop_table("dataset_token")
    op.drop_table("authorization_code")
    op.drop_table("access_token")
    op.drop_table("notice")
    op.drop_table("consent")
    op.drop_table("citizen_session")
    op.drop_table("used_identifier")
    op.drop_table("sign_in_attempt")
    op.drop_table("registry_version")
    op.drop_table("client")
    op.drop_table("citizen")
    op.drop_table("authorization_request")
    op.drop_table("audit_entry")
    op.drop_table("agency")
