# SPDX-License-Identifier: Apache-2.0
"""Deltas of packages: which encoders run here, what was made, what came."""

from typing import Final

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

ID: Final = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
NUMBER: Final = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT: Final = sa.DateTime(timezone=True)
DOCUMENT: Final = sa.JSON()


def upgrade() -> None:
    """The tables are there."""
    op.create_table(
        "encoders_here",
        sa.Column("id", ID, nullable=False),
        sa.Column("encoders", DOCUMENT, nullable=False),
        sa.Column("noted_at", MOMENT, nullable=False),
        sa.Column("revision", NUMBER, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_encoders_here"),
    )
    op.create_table(
        "made_deltas",
        sa.Column("id", ID, nullable=False),
        sa.Column("base_sha256", sa.Text(), nullable=False),
        sa.Column("new_sha256", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=True),
        sa.Column("size_bytes", NUMBER, nullable=False),
        sa.Column("made_at", MOMENT, nullable=False),
        sa.Column("revision", NUMBER, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_made_deltas"),
    )
    op.create_table(
        "arrived_deltas",
        sa.Column("space_id", ID, nullable=False),
        sa.Column("id", ID, nullable=False),
        sa.Column("trust_id", ID, nullable=False),
        sa.Column("target_sha256", sa.Text(), nullable=False),
        sa.Column("base_sha256", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("size_bytes", NUMBER, nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("code", sa.Text(), nullable=True),
        sa.Column("revision", NUMBER, nullable=False),
        sa.ForeignKeyConstraint(["space_id", "trust_id"], ["trusts.space_id", "trusts.id"], name="fk_arrived_deltas_space_id_trust_id"),
        sa.PrimaryKeyConstraint("space_id", "id", name="pk_arrived_deltas"),
    )
    op.create_index("ix_arrived_deltas_state", "arrived_deltas", ["space_id", "trust_id", "state"])


def downgrade() -> None:
    """The tables and their rows are gone."""
    for table in ("arrived_deltas", "made_deltas", "encoders_here"):
        op.drop_table(table)
