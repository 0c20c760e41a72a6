# SPDX-License-Identifier: Apache-2.0
"""What crosses between Spaces."""

from typing import Final

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

ID: Final = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
NUMBER: Final = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT: Final = sa.DateTime(timezone=True)
DOCUMENT: Final = sa.JSON()


def upgrade() -> None:
    """The tables are there, parents first."""
    _create_promotions()
    _create_inbox_bundles()
    _create_answers()
    _create_receipts()
    _create_remote_cells()
    _create_carriers()


def downgrade() -> None:
    """The tables and their rows are gone, children first."""
    for table in ("carriers", "remote_cells", "receipts", "answers", "inbox_bundles", "promotions"):
        op.drop_table(table)


def _create_promotions() -> None:
    op.create_table(
        "promotions",
        sa.Column("space_id", ID, nullable=False),
        sa.Column("id", ID, nullable=False),
        sa.Column("release_row_id", ID, nullable=False),
        sa.Column("project_id", ID, nullable=False),
        sa.Column("trust_id", ID, nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("task_id", ID, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("follow_until", MOMENT, nullable=False),
        sa.Column("delivery_id", ID, nullable=True),
        sa.Column("delivery_sha256", sa.Text(), nullable=True),
        sa.Column("bytes_packages", NUMBER, nullable=False),
        sa.Column("bytes_sent", NUMBER, nullable=False),
        sa.Column("bytes_saved", NUMBER, nullable=False),
        sa.Column("last_event", sa.Text(), nullable=True),
        sa.Column("last_event_at", MOMENT, nullable=True),
        sa.Column("code", sa.Text(), nullable=True),
        sa.Column("message", sa.Text(), nullable=True),
        sa.Column("finished_at", MOMENT, nullable=True),
        sa.Column("revision", NUMBER, nullable=False),
        sa.ForeignKeyConstraint(["space_id", "project_id"], ["projects.space_id", "projects.id"], name="fk_promotions_space_id_project_id"),
        sa.ForeignKeyConstraint(
            ["space_id", "release_row_id"], ["releases.space_id", "releases.id"], name="fk_promotions_space_id_release_row_id"
        ),
        sa.ForeignKeyConstraint(["space_id", "trust_id"], ["trusts.space_id", "trusts.id"], name="fk_promotions_space_id_trust_id"),
        sa.PrimaryKeyConstraint("space_id", "id", name="pk_promotions"),
    )
    op.create_index("ix_promotions_delivery_sha256", "promotions", ["space_id", "delivery_sha256"])
    op.create_index("ix_promotions_project_id", "promotions", ["space_id", "project_id", "id"])
    op.create_index("ix_promotions_release_row_id", "promotions", ["space_id", "release_row_id", "trust_id"])
    op.create_index("ix_promotions_state", "promotions", ["space_id", "state", "id"])
    op.create_index("ix_promotions_trust_id", "promotions", ["space_id", "trust_id", "id"])


def _create_inbox_bundles() -> None:
    op.create_table(
        "inbox_bundles",
        sa.Column("space_id", ID, nullable=False),
        sa.Column("id", ID, nullable=False),
        sa.Column("trust_id", ID, nullable=False),
        sa.Column("delivery_id", ID, nullable=False),
        sa.Column("bundle_sha256", sa.Text(), nullable=False),
        sa.Column("delivery_document", sa.Text(), nullable=False),
        sa.Column("release_sha256", sa.Text(), nullable=False),
        sa.Column("release_document", sa.Text(), nullable=False),
        sa.Column("owner_space_id", ID, nullable=False),
        sa.Column("owner_name", sa.Text(), nullable=False),
        sa.Column("project_name", sa.Text(), nullable=False),
        sa.Column("remote_project_id", sa.Text(), nullable=False),
        sa.Column("release_version", sa.Text(), nullable=False),
        sa.Column("seq", NUMBER, nullable=False),
        sa.Column("size_bytes", NUMBER, nullable=False),
        sa.Column("received_at", MOMENT, nullable=False),
        sa.Column("expires_at", MOMENT, nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("task_id", ID, nullable=False),
        sa.Column("needs", DOCUMENT, nullable=False),
        sa.Column("bytes_received", NUMBER, nullable=False),
        sa.Column("lifecycle_id", ID, nullable=True),
        sa.Column("preview_sha256", sa.Text(), nullable=True),
        sa.Column("decided_at", MOMENT, nullable=True),
        sa.Column("decided_by", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("import_task_id", ID, nullable=True),
        sa.Column("release_row_id", ID, nullable=True),
        sa.Column("revision", NUMBER, nullable=False),
        sa.ForeignKeyConstraint(["space_id", "trust_id"], ["trusts.space_id", "trusts.id"], name="fk_inbox_bundles_space_id_trust_id"),
        sa.PrimaryKeyConstraint("space_id", "id", name="pk_inbox_bundles"),
    )
    op.create_index("ix_inbox_bundles_release_sha256", "inbox_bundles", ["space_id", "release_sha256"])
    op.create_index("ix_inbox_bundles_state", "inbox_bundles", ["space_id", "state", "id"])
    op.create_index("uq_inbox_bundles_bundle_sha256", "inbox_bundles", ["space_id", "bundle_sha256"], unique=True)
    op.create_index("uq_inbox_bundles_delivery_id", "inbox_bundles", ["space_id", "trust_id", "delivery_id"], unique=True)


def _create_answers() -> None:
    op.create_table(
        "answers",
        sa.Column("space_id", ID, nullable=False),
        sa.Column("id", ID, nullable=False),
        sa.Column("inbox_id", ID, nullable=False),
        sa.Column("variable_id", ID, nullable=False),
        sa.Column("environment_id", ID, nullable=False),
        sa.Column("tenant_id", ID, nullable=True),
        sa.Column("value", sa.Text(), nullable=True),
        sa.Column("sealed", sa.LargeBinary(), nullable=True),
        sa.Column("answered_by", sa.Text(), nullable=False),
        sa.Column("answered_at", MOMENT, nullable=False),
        sa.Column("revision", NUMBER, nullable=False),
        sa.ForeignKeyConstraint(
            ["space_id", "inbox_id"], ["inbox_bundles.space_id", "inbox_bundles.id"], name="fk_answers_space_id_inbox_id"
        ),
        sa.PrimaryKeyConstraint("space_id", "id", name="pk_answers"),
    )
    op.create_index("ix_answers_inbox_id", "answers", ["space_id", "inbox_id"])


def _create_receipts() -> None:
    op.create_table(
        "receipts",
        sa.Column("space_id", ID, nullable=False),
        sa.Column("id", ID, nullable=False),
        sa.Column("direction", sa.Text(), nullable=False),
        sa.Column("trust_id", ID, nullable=False),
        sa.Column("epoch", NUMBER, nullable=False),
        sa.Column("seq", NUMBER, nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("event_no", NUMBER, nullable=False),
        sa.Column("release_sha256", sa.Text(), nullable=False),
        sa.Column("bundle_sha256", sa.Text(), nullable=False),
        sa.Column("document_sha256", sa.Text(), nullable=False),
        sa.Column("happened_at", MOMENT, nullable=False),
        sa.Column("learned_at", MOMENT, nullable=False),
        sa.Column("deployment_id", ID, nullable=True),
        sa.Column("environment_name", sa.Text(), nullable=True),
        sa.Column("project_id", ID, nullable=True),
        sa.Column("promotion_id", ID, nullable=True),
        sa.Column("code", sa.Text(), nullable=True),
        sa.Column("lifecycle_name", sa.Text(), nullable=True),
        sa.Column("phases_done", NUMBER, nullable=True),
        sa.Column("phases_total", NUMBER, nullable=True),
        sa.Column("gap", sa.Boolean(), nullable=False),
        sa.Column("quarantine_code", sa.Text(), nullable=True),
        sa.Column("revision", NUMBER, nullable=False),
        sa.ForeignKeyConstraint(["space_id", "trust_id"], ["trusts.space_id", "trusts.id"], name="fk_receipts_space_id_trust_id"),
        sa.PrimaryKeyConstraint("space_id", "id", name="pk_receipts"),
    )
    op.create_index("ix_receipts_bundle_sha256", "receipts", ["space_id", "bundle_sha256"])
    op.create_index("ix_receipts_direction", "receipts", ["space_id", "direction", "id"])
    op.create_index("ix_receipts_promotion_id", "receipts", ["space_id", "promotion_id"])
    op.create_index("uq_receipts_seq", "receipts", ["space_id", "trust_id", "direction", "epoch", "seq"], unique=True)


def _create_remote_cells() -> None:
    op.create_table(
        "remote_cells",
        sa.Column("space_id", ID, nullable=False),
        sa.Column("id", ID, nullable=False),
        sa.Column("project_id", ID, nullable=False),
        sa.Column("trust_id", ID, nullable=False),
        sa.Column("environment_name", sa.Text(), nullable=False),
        sa.Column("release_version", sa.Text(), nullable=False),
        sa.Column("release_sha256", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("happened_at", MOMENT, nullable=False),
        sa.Column("learned_at", MOMENT, nullable=False),
        sa.Column("receipt_id", ID, nullable=False),
        sa.Column("last_success_version", sa.Text(), nullable=True),
        sa.Column("last_success_at", MOMENT, nullable=True),
        sa.Column("deployment_key", sa.Text(), nullable=True),
        sa.Column("event_no", NUMBER, nullable=False),
        sa.Column("revision", NUMBER, nullable=False),
        sa.ForeignKeyConstraint(
            ["space_id", "project_id"], ["projects.space_id", "projects.id"], name="fk_remote_cells_space_id_project_id"
        ),
        sa.ForeignKeyConstraint(["space_id", "trust_id"], ["trusts.space_id", "trusts.id"], name="fk_remote_cells_space_id_trust_id"),
        sa.PrimaryKeyConstraint("space_id", "id", name="pk_remote_cells"),
    )
    op.create_index("ix_remote_cells_project_id", "remote_cells", ["space_id", "project_id"])


def _create_carriers() -> None:
    op.create_table(
        "carriers",
        sa.Column("space_id", ID, nullable=False),
        sa.Column("id", ID, nullable=False),
        sa.Column("direction", sa.Text(), nullable=False),
        sa.Column("trust_id", ID, nullable=True),
        sa.Column("task_id", ID, nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=True),
        sa.Column("size_bytes", NUMBER, nullable=True),
        sa.Column("summary", DOCUMENT, nullable=False),
        sa.Column("revision", NUMBER, nullable=False),
        sa.ForeignKeyConstraint(["space_id", "trust_id"], ["trusts.space_id", "trusts.id"], name="fk_carriers_space_id_trust_id"),
        sa.PrimaryKeyConstraint("space_id", "id", name="pk_carriers"),
    )
    op.create_index("ix_carriers_direction", "carriers", ["space_id", "direction", "id"])
