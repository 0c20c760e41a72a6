# SPDX-License-Identifier: Apache-2.0
"""Trusts, and where releases run."""

from typing import Final

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

ID: Final = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
NUMBER: Final = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT: Final = sa.DateTime(timezone=True)
DOCUMENT: Final = sa.JSON()
NOT_RETIRED: Final = sa.text("state <> 'retired'")


def upgrade() -> None:
    """The tables are there, parents first."""
    _create_trusts()
    _create_lanes()
    _create_outbox_messages()
    _create_peer_nonces()
    _create_environments()
    _create_tenants()
    _create_machines()


def downgrade() -> None:
    """The tables and their rows are gone, children first."""
    for table in ("machines", "tenants", "environments", "peer_nonces", "outbox_messages", "lanes", "trusts"):
        op.drop_table(table)


def _create_trusts() -> None:
    op.create_table(
        "trusts",
        sa.Column("space_id", ID, nullable=False),
        sa.Column("id", ID, nullable=False),
        sa.Column("slug", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("peer_space_id", ID, nullable=False),
        sa.Column("peer_name", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("identity_version", NUMBER, nullable=False),
        sa.Column("identity_envelope", sa.LargeBinary(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("road", sa.Text(), nullable=False),
        sa.Column("grants", DOCUMENT, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("confirmed_at", MOMENT, nullable=True),
        sa.Column("confirmed_by", sa.Text(), nullable=True),
        sa.Column("last_contact_at", MOMENT, nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("revision", NUMBER, nullable=False),
        sa.PrimaryKeyConstraint("space_id", "id", name="pk_trusts"),
    )
    op.create_index(
        "uq_trusts_peer_space_id",
        "trusts",
        ["space_id", "peer_space_id"],
        unique=True,
        sqlite_where=NOT_RETIRED,
        postgresql_where=NOT_RETIRED,
    )
    op.create_index("uq_trusts_slug", "trusts", ["space_id", "slug"], unique=True, sqlite_where=NOT_RETIRED, postgresql_where=NOT_RETIRED)


def _create_lanes() -> None:
    op.create_table(
        "lanes",
        sa.Column("space_id", ID, nullable=False),
        sa.Column("id", ID, nullable=False),
        sa.Column("trust_id", ID, nullable=False),
        sa.Column("direction", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("epoch", NUMBER, nullable=False),
        sa.Column("last_seq", NUMBER, nullable=False),
        sa.Column("last_sha256", sa.Text(), nullable=True),
        sa.Column("seen", DOCUMENT, nullable=False),
        sa.Column("revision", NUMBER, nullable=False),
        sa.ForeignKeyConstraint(["space_id", "trust_id"], ["trusts.space_id", "trusts.id"], name="fk_lanes_space_id_trust_id"),
        sa.PrimaryKeyConstraint("space_id", "id", name="pk_lanes"),
    )
    op.create_index("uq_lanes_kind", "lanes", ["space_id", "trust_id", "direction", "kind"], unique=True)


def _create_outbox_messages() -> None:
    op.create_table(
        "outbox_messages",
        sa.Column("space_id", ID, nullable=False),
        sa.Column("id", ID, nullable=False),
        sa.Column("trust_id", ID, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("seq", NUMBER, nullable=False),
        sa.Column("document_sha256", sa.Text(), nullable=False),
        sa.Column("companion_sha256", sa.Text(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("handed_over_at", MOMENT, nullable=True),
        sa.Column("acknowledged_at", MOMENT, nullable=True),
        sa.Column("answer_code", sa.Text(), nullable=True),
        sa.Column("revision", NUMBER, nullable=False),
        sa.ForeignKeyConstraint(["space_id", "trust_id"], ["trusts.space_id", "trusts.id"], name="fk_outbox_messages_space_id_trust_id"),
        sa.PrimaryKeyConstraint("space_id", "id", name="pk_outbox_messages"),
    )
    op.create_index("ix_outbox_messages_document_sha256", "outbox_messages", ["space_id", "document_sha256"])
    op.create_index("ix_outbox_messages_state", "outbox_messages", ["space_id", "trust_id", "state", "id"])
    op.create_index("uq_outbox_messages_seq", "outbox_messages", ["space_id", "trust_id", "kind", "seq"], unique=True)


def _create_peer_nonces() -> None:
    op.create_table(
        "peer_nonces",
        sa.Column("space_id", ID, nullable=False),
        sa.Column("id", ID, nullable=False),
        sa.Column("seen_at", MOMENT, nullable=False),
        sa.Column("revision", NUMBER, nullable=False),
        sa.PrimaryKeyConstraint("space_id", "id", name="pk_peer_nonces"),
    )


def _create_environments() -> None:
    op.create_table(
        "environments",
        sa.Column("space_id", ID, nullable=False),
        sa.Column("id", ID, nullable=False),
        sa.Column("slug", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("trust_id", ID, nullable=True),
        sa.Column("confirmed", sa.Boolean(), nullable=False),
        sa.Column("sort_order", NUMBER, nullable=False),
        sa.Column("revision", NUMBER, nullable=False),
        sa.ForeignKeyConstraint(["space_id", "trust_id"], ["trusts.space_id", "trusts.id"], name="fk_environments_space_id_trust_id"),
        sa.PrimaryKeyConstraint("space_id", "id", name="pk_environments"),
    )
    op.create_index("ix_environments_trust_id", "environments", ["space_id", "trust_id"])
    op.create_index("uq_environments_slug", "environments", ["space_id", "slug"], unique=True)


def _create_tenants() -> None:
    op.create_table(
        "tenants",
        sa.Column("space_id", ID, nullable=False),
        sa.Column("id", ID, nullable=False),
        sa.Column("slug", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("tags", DOCUMENT, nullable=False),
        sa.Column("revision", NUMBER, nullable=False),
        sa.PrimaryKeyConstraint("space_id", "id", name="pk_tenants"),
    )
    op.create_index("uq_tenants_slug", "tenants", ["space_id", "slug"], unique=True)


def _create_machines() -> None:
    op.create_table(
        "machines",
        sa.Column("space_id", ID, nullable=False),
        sa.Column("id", ID, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("roles", DOCUMENT, nullable=False),
        sa.Column("environment_ids", DOCUMENT, nullable=False),
        sa.Column("key_sha256", sa.Text(), nullable=False),
        sa.Column("registered_at", MOMENT, nullable=False),
        sa.Column("last_seen_at", MOMENT, nullable=True),
        sa.Column("disabled", sa.Boolean(), nullable=False),
        sa.Column("revision", NUMBER, nullable=False),
        sa.PrimaryKeyConstraint("space_id", "id", name="pk_machines"),
    )
    op.create_index("uq_machines_key_sha256", "machines", ["space_id", "key_sha256"], unique=True)
    op.create_index("uq_machines_name", "machines", ["space_id", "name"], unique=True)
