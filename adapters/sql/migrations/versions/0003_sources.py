# SPDX-License-Identifier: Apache-2.0
"""What is released."""

from typing import Final

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

ID: Final = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
NUMBER: Final = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT: Final = sa.DateTime(timezone=True)
DOCUMENT: Final = sa.JSON()


def upgrade() -> None:
    """The tables are there, parents first."""
    _create_lifecycles()
    _create_projects()
    _create_processes()
    _create_variables()
    _create_packages()
    _create_step_packages()
    _create_uploads()
    _create_releases()
    _create_snapshot_values()
    _create_documents()


def downgrade() -> None:
    """The tables and their rows are gone, children first."""
    for table in (
        "documents",
        "snapshot_values",
        "releases",
        "uploads",
        "step_packages",
        "packages",
        "variables",
        "processes",
        "projects",
        "lifecycles",
    ):
        op.drop_table(table)


def _create_lifecycles() -> None:
    op.create_table(
        "lifecycles",
        sa.Column("space_id", ID, nullable=False),
        sa.Column("id", ID, nullable=False),
        sa.Column("slug", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("phases", DOCUMENT, nullable=False),
        sa.Column("revision", NUMBER, nullable=False),
        sa.PrimaryKeyConstraint("space_id", "id", name="pk_lifecycles"),
    )
    op.create_index("uq_lifecycles_slug", "lifecycles", ["space_id", "slug"], unique=True)


def _create_projects() -> None:
    op.create_table(
        "projects",
        sa.Column("space_id", ID, nullable=False),
        sa.Column("id", ID, nullable=False),
        sa.Column("slug", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("group", sa.Text(), nullable=False),
        sa.Column("lifecycle_id", ID, nullable=True),
        sa.Column("owner_space_id", ID, nullable=True),
        sa.Column("owner_name", sa.Text(), nullable=True),
        sa.Column("remote_project_id", sa.Text(), nullable=True),
        sa.Column("trust_id", ID, nullable=True),
        sa.Column("created_at", MOMENT, nullable=True),
        sa.Column("revision", NUMBER, nullable=False),
        sa.ForeignKeyConstraint(
            ["space_id", "lifecycle_id"], ["lifecycles.space_id", "lifecycles.id"], name="fk_projects_space_id_lifecycle_id"
        ),
        sa.ForeignKeyConstraint(["space_id", "trust_id"], ["trusts.space_id", "trusts.id"], name="fk_projects_space_id_trust_id"),
        sa.PrimaryKeyConstraint("space_id", "id", name="pk_projects"),
    )
    op.create_index("ix_projects_lifecycle_id", "projects", ["space_id", "lifecycle_id"])
    op.create_index("uq_projects_remote", "projects", ["space_id", "owner_space_id", "remote_project_id"], unique=True)
    op.create_index("uq_projects_slug", "projects", ["space_id", "slug"], unique=True)


def _create_processes() -> None:
    op.create_table(
        "processes",
        sa.Column("space_id", ID, nullable=False),
        sa.Column("id", ID, nullable=False),
        sa.Column("actions", DOCUMENT, nullable=False),
        sa.Column("revision", NUMBER, nullable=False),
        sa.ForeignKeyConstraint(["space_id", "id"], ["projects.space_id", "projects.id"], name="fk_processes_space_id_id"),
        sa.PrimaryKeyConstraint("space_id", "id", name="pk_processes"),
    )


def _create_variables() -> None:
    op.create_table(
        "variables",
        sa.Column("space_id", ID, nullable=False),
        sa.Column("id", ID, nullable=False),
        sa.Column("project_id", ID, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("scope", DOCUMENT, nullable=False),
        sa.Column("value", sa.Text(), nullable=True),
        sa.Column("sealed", sa.LargeBinary(), nullable=True),
        sa.Column("template", DOCUMENT, nullable=True),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("revision", NUMBER, nullable=False),
        sa.ForeignKeyConstraint(["space_id", "project_id"], ["projects.space_id", "projects.id"], name="fk_variables_space_id_project_id"),
        sa.PrimaryKeyConstraint("space_id", "id", name="pk_variables"),
    )
    op.create_index("ix_variables_project_id", "variables", ["space_id", "project_id", "name"])


def _create_packages() -> None:
    op.create_table(
        "packages",
        sa.Column("space_id", ID, nullable=False),
        sa.Column("id", ID, nullable=False),
        sa.Column("package_id", sa.Text(), nullable=False),
        sa.Column("package_version", sa.Text(), nullable=False),
        sa.Column("size_bytes", NUMBER, nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("media_type", sa.Text(), nullable=False),
        sa.Column("filename", sa.Text(), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("trust_id", ID, nullable=True),
        sa.Column("revision", NUMBER, nullable=False),
        sa.PrimaryKeyConstraint("space_id", "id", name="pk_packages"),
    )
    op.create_index("ix_packages_sha256", "packages", ["space_id", "sha256"])
    op.create_index("uq_packages_version", "packages", ["space_id", "package_id", "package_version"], unique=True)


def _create_step_packages() -> None:
    op.create_table(
        "step_packages",
        sa.Column("space_id", ID, nullable=False),
        sa.Column("id", ID, nullable=False),
        sa.Column("package_id", sa.Text(), nullable=False),
        sa.Column("package_version", sa.Text(), nullable=False),
        sa.Column("size_bytes", NUMBER, nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("manifest", DOCUMENT, nullable=False),
        sa.Column("inputs_schema", DOCUMENT, nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("trust_id", ID, nullable=True),
        sa.Column("revision", NUMBER, nullable=False),
        sa.PrimaryKeyConstraint("space_id", "id", name="pk_step_packages"),
    )
    op.create_index("ix_step_packages_sha256", "step_packages", ["space_id", "sha256"])
    op.create_index("uq_step_packages_version", "step_packages", ["space_id", "package_id", "package_version"], unique=True)


def _create_uploads() -> None:
    op.create_table(
        "uploads",
        sa.Column("space_id", ID, nullable=False),
        sa.Column("id", ID, nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("size_bytes", NUMBER, nullable=False),
        sa.Column("part_size_bytes", NUMBER, nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("multipart_id", sa.Text(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("trust_id", ID, nullable=True),
        sa.Column("completed_at", MOMENT, nullable=True),
        sa.Column("package_id", sa.Text(), nullable=False),
        sa.Column("package_version", sa.Text(), nullable=False),
        sa.Column("filename", sa.Text(), nullable=False),
        sa.Column("media_type", sa.Text(), nullable=False),
        sa.Column("revision", NUMBER, nullable=False),
        sa.PrimaryKeyConstraint("space_id", "id", name="pk_uploads"),
    )
    op.create_index("ix_uploads_sha256", "uploads", ["space_id", "sha256"])


def _create_releases() -> None:
    op.create_table(
        "releases",
        sa.Column("space_id", ID, nullable=False),
        sa.Column("id", ID, nullable=False),
        sa.Column("project_id", ID, nullable=False),
        sa.Column("release_id", ID, nullable=False),
        sa.Column("release_version", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("notes", sa.Text(), nullable=False),
        sa.Column("frozen_at", MOMENT, nullable=False),
        sa.Column("release_sha256", sa.Text(), nullable=False),
        sa.Column("document_sha256", sa.Text(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("delivery_sha256", sa.Text(), nullable=True),
        sa.Column("trust_id", ID, nullable=True),
        sa.Column("environment_map", DOCUMENT, nullable=False),
        sa.Column("blocked_reason", sa.Text(), nullable=True),
        sa.Column("revision", NUMBER, nullable=False),
        sa.ForeignKeyConstraint(["space_id", "project_id"], ["projects.space_id", "projects.id"], name="fk_releases_space_id_project_id"),
        sa.PrimaryKeyConstraint("space_id", "id", name="pk_releases"),
    )
    op.create_index("ix_releases_release_sha256", "releases", ["space_id", "release_sha256"])
    op.create_index("uq_releases_version", "releases", ["space_id", "project_id", "release_version"], unique=True)


def _create_snapshot_values() -> None:
    op.create_table(
        "snapshot_values",
        sa.Column("space_id", ID, nullable=False),
        sa.Column("id", ID, nullable=False),
        sa.Column("release_row_id", ID, nullable=False),
        sa.Column("variable_id", ID, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("scope", DOCUMENT, nullable=False),
        sa.Column("value", sa.Text(), nullable=True),
        sa.Column("sealed", sa.LargeBinary(), nullable=True),
        sa.Column("template", DOCUMENT, nullable=True),
        sa.Column("trust_id", ID, nullable=True),
        sa.Column("revision", NUMBER, nullable=False),
        sa.ForeignKeyConstraint(
            ["space_id", "release_row_id"], ["releases.space_id", "releases.id"], name="fk_snapshot_values_space_id_release_row_id"
        ),
        sa.PrimaryKeyConstraint("space_id", "id", name="pk_snapshot_values"),
    )
    op.create_index("ix_snapshot_values_release_row_id", "snapshot_values", ["space_id", "release_row_id"])


def _create_documents() -> None:
    op.create_table(
        "documents",
        sa.Column("space_id", ID, nullable=False),
        sa.Column("id", ID, nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("payload_sha256", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("revision", NUMBER, nullable=False),
        sa.PrimaryKeyConstraint("space_id", "id", name="pk_documents"),
    )
    op.create_index("ix_documents_payload_sha256", "documents", ["space_id", "payload_sha256"])
    op.create_index("uq_documents_sha256", "documents", ["space_id", "sha256"], unique=True)
