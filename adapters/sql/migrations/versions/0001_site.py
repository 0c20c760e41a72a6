# SPDX-License-Identifier: Apache-2.0
"""What belongs to the site, and the audit logs."""

from typing import Final

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

ID: Final = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
NUMBER: Final = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT: Final = sa.DateTime(timezone=True)
DOCUMENT: Final = sa.JSON()


def upgrade() -> None:
    """The tables are there, parents first."""
    _create_spaces()
    _create_space_keys()
    _create_accounts()
    _create_api_keys()
    _create_sessions()
    _create_idempotent_answers()
    _create_blobs()
    _create_audit_entries()
    _create_audit_heads()


def downgrade() -> None:
    """The tables and their rows are gone, children first."""
    for table in (
        "audit_heads",
        "audit_entries",
        "blobs",
        "idempotent_answers",
        "sessions",
        "api_keys",
        "accounts",
        "space_keys",
        "spaces",
    ):
        op.drop_table(table)


def _create_spaces() -> None:
    op.create_table(
        "spaces",
        sa.Column("id", ID, nullable=False),
        sa.Column("slug", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("retired_at", MOMENT, nullable=True),
        sa.Column("revision", NUMBER, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_spaces"),
    )
    op.create_index("uq_spaces_slug", "spaces", ["slug"], unique=True)


def _create_space_keys() -> None:
    op.create_table(
        "space_keys",
        sa.Column("space_id", ID, nullable=False),
        sa.Column("id", ID, nullable=False),
        sa.Column("identity_version", NUMBER, nullable=False),
        sa.Column("identity_envelope", sa.LargeBinary(), nullable=False),
        sa.Column("identity_sha256", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("epoch", NUMBER, nullable=False),
        sa.Column("identity_key_wrapped", sa.LargeBinary(), nullable=False),
        sa.Column("signing_key_wrapped", sa.LargeBinary(), nullable=False),
        sa.Column("encryption_key_wrapped", sa.LargeBinary(), nullable=False),
        sa.Column("revision", NUMBER, nullable=False),
        sa.PrimaryKeyConstraint("space_id", "id", name="pk_space_keys"),
    )


def _create_accounts() -> None:
    op.create_table(
        "accounts",
        sa.Column("id", ID, nullable=False),
        sa.Column("username", sa.Text(), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=False),
        sa.Column("grants", DOCUMENT, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("must_change_password", sa.Boolean(), nullable=False),
        sa.Column("disabled", sa.Boolean(), nullable=False),
        sa.Column("revision", NUMBER, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_accounts"),
    )
    op.create_index("uq_accounts_username", "accounts", ["username"], unique=True)


def _create_api_keys() -> None:
    op.create_table(
        "api_keys",
        sa.Column("id", ID, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("account_id", ID, nullable=False),
        sa.Column("token_sha256", sa.Text(), nullable=False),
        sa.Column("grants", DOCUMENT, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("expires_at", MOMENT, nullable=False),
        sa.Column("last_used_at", MOMENT, nullable=True),
        sa.Column("revoked_at", MOMENT, nullable=True),
        sa.Column("revision", NUMBER, nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_api_keys_account_id"),
        sa.PrimaryKeyConstraint("id", name="pk_api_keys"),
    )
    op.create_index("ix_api_keys_account_id", "api_keys", ["account_id"])
    op.create_index("uq_api_keys_token_sha256", "api_keys", ["token_sha256"], unique=True)


def _create_sessions() -> None:
    op.create_table(
        "sessions",
        sa.Column("id", ID, nullable=False),
        sa.Column("account_id", ID, nullable=False),
        sa.Column("token_sha256", sa.Text(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("expires_at", MOMENT, nullable=False),
        sa.Column("revision", NUMBER, nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_sessions_account_id"),
        sa.PrimaryKeyConstraint("id", name="pk_sessions"),
    )
    op.create_index("ix_sessions_account_id", "sessions", ["account_id"])
    op.create_index("uq_sessions_token_sha256", "sessions", ["token_sha256"], unique=True)


def _create_idempotent_answers() -> None:
    op.create_table(
        "idempotent_answers",
        sa.Column("id", ID, nullable=False),
        sa.Column("request_sha256", sa.Text(), nullable=False),
        sa.Column("status", NUMBER, nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("revision", NUMBER, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_idempotent_answers"),
    )


def _create_blobs() -> None:
    op.create_table(
        "blobs",
        sa.Column("id", ID, nullable=False),
        sa.Column("size_bytes", NUMBER, nullable=False),
        sa.Column("verified_at", MOMENT, nullable=False),
        sa.Column("revision", NUMBER, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_blobs"),
    )


def _create_audit_entries() -> None:
    op.create_table(
        "audit_entries",
        sa.Column("space_id", ID, nullable=False),
        sa.Column("seq", NUMBER, nullable=False, autoincrement=False),
        sa.Column("id", ID, nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("prev_sha256", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("space_id", "seq", name="pk_audit_entries"),
    )


def _create_audit_heads() -> None:
    op.create_table(
        "audit_heads",
        sa.Column("space_id", ID, nullable=False),
        sa.Column("size", NUMBER, nullable=False),
        sa.Column("last_sha256", sa.Text(), nullable=False),
        sa.Column("frontier", DOCUMENT, nullable=False),
        sa.PrimaryKeyConstraint("space_id", name="pk_audit_heads"),
    )
