# SPDX-License-Identifier: Apache-2.0
"""What runs: tasks, logs, deployments, step runs."""

from typing import Final

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

ID: Final = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
NUMBER: Final = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT: Final = sa.DateTime(timezone=True)
DOCUMENT: Final = sa.JSON()
NO_MACHINE: Final = sa.text("machine_id IS NULL")


def upgrade() -> None:
    """The tables are there, parents first."""
    _create_tasks()
    _create_log_lines()
    _create_deployments()
    _create_step_runs()


def downgrade() -> None:
    """The tables and their rows are gone, children first."""
    for table in ("step_runs", "deployments", "log_lines", "tasks"):
        op.drop_table(table)


def _create_tasks() -> None:
    op.create_table(
        "tasks",
        sa.Column("space_id", ID, nullable=False),
        sa.Column("id", ID, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("details", sa.Text(), nullable=False),
        sa.Column("workflow_id", sa.Text(), nullable=False),
        sa.Column("story", sa.Text(), nullable=False),
        sa.Column("story_input", DOCUMENT, nullable=False),
        sa.Column("subject_id", ID, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("started_at", MOMENT, nullable=True),
        sa.Column("finished_at", MOMENT, nullable=True),
        sa.Column("progress_done", NUMBER, nullable=False),
        sa.Column("progress_total", NUMBER, nullable=False),
        sa.Column("code", sa.Text(), nullable=True),
        sa.Column("message", sa.Text(), nullable=True),
        sa.Column("result", DOCUMENT, nullable=False),
        sa.Column("timeline", DOCUMENT, nullable=False),
        sa.Column("revision", NUMBER, nullable=False),
        sa.PrimaryKeyConstraint("space_id", "id", name="pk_tasks"),
    )
    op.create_index("ix_tasks_kind", "tasks", ["space_id", "kind", "id"])
    op.create_index("ix_tasks_state", "tasks", ["space_id", "state", "id"])
    op.create_index("ix_tasks_subject_id", "tasks", ["space_id", "subject_id"])
    op.create_index("ix_tasks_workflow_id", "tasks", ["space_id", "workflow_id"])


def _create_log_lines() -> None:
    op.create_table(
        "log_lines",
        sa.Column("space_id", ID, nullable=False),
        sa.Column("task_id", ID, nullable=False),
        sa.Column("seq", NUMBER, nullable=False, autoincrement=False),
        sa.Column("level", sa.Text(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("occurred_at", MOMENT, nullable=False),
        sa.Column("observed_at", MOMENT, nullable=False),
        sa.Column("run_id", ID, nullable=True),
        sa.ForeignKeyConstraint(["space_id", "task_id"], ["tasks.space_id", "tasks.id"], name="fk_log_lines_space_id_task_id"),
        sa.PrimaryKeyConstraint("space_id", "task_id", "seq", name="pk_log_lines"),
    )


def _create_deployments() -> None:
    op.create_table(
        "deployments",
        sa.Column("space_id", ID, nullable=False),
        sa.Column("id", ID, nullable=False),
        sa.Column("project_id", ID, nullable=False),
        sa.Column("release_row_id", ID, nullable=False),
        sa.Column("environment_id", ID, nullable=False),
        sa.Column("tenant_id", ID, nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("task_id", ID, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("started_at", MOMENT, nullable=True),
        sa.Column("finished_at", MOMENT, nullable=True),
        sa.Column("code", sa.Text(), nullable=True),
        sa.Column("message", sa.Text(), nullable=True),
        sa.Column("event_no", NUMBER, nullable=False),
        sa.Column("revision", NUMBER, nullable=False),
        sa.ForeignKeyConstraint(
            ["space_id", "environment_id"], ["environments.space_id", "environments.id"], name="fk_deployments_space_id_environment_id"
        ),
        sa.ForeignKeyConstraint(
            ["space_id", "project_id"], ["projects.space_id", "projects.id"], name="fk_deployments_space_id_project_id"
        ),
        sa.ForeignKeyConstraint(
            ["space_id", "release_row_id"], ["releases.space_id", "releases.id"], name="fk_deployments_space_id_release_row_id"
        ),
        sa.ForeignKeyConstraint(["space_id", "tenant_id"], ["tenants.space_id", "tenants.id"], name="fk_deployments_space_id_tenant_id"),
        sa.PrimaryKeyConstraint("space_id", "id", name="pk_deployments"),
    )
    op.create_index("ix_deployments_environment_id", "deployments", ["space_id", "environment_id", "id"])
    op.create_index("ix_deployments_project_id", "deployments", ["space_id", "project_id", "environment_id", "id"])
    op.create_index("ix_deployments_release_row_id", "deployments", ["space_id", "release_row_id"])
    op.create_index("ix_deployments_state", "deployments", ["space_id", "state", "id"])


def _create_step_runs() -> None:
    op.create_table(
        "step_runs",
        sa.Column("space_id", ID, nullable=False),
        sa.Column("id", ID, nullable=False),
        sa.Column("deployment_id", ID, nullable=False),
        sa.Column("action_id", ID, nullable=False),
        sa.Column("action_name", sa.Text(), nullable=False),
        sa.Column("position", NUMBER, nullable=False),
        sa.Column("machine_id", ID, nullable=True),
        sa.Column("attempt", NUMBER, nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("started_at", MOMENT, nullable=True),
        sa.Column("finished_at", MOMENT, nullable=True),
        sa.Column("code", sa.Text(), nullable=True),
        sa.Column("message", sa.Text(), nullable=True),
        sa.Column("outputs", DOCUMENT, nullable=False),
        sa.Column("idempotent", sa.Boolean(), nullable=False),
        sa.Column("revision", NUMBER, nullable=False),
        sa.ForeignKeyConstraint(
            ["space_id", "deployment_id"], ["deployments.space_id", "deployments.id"], name="fk_step_runs_space_id_deployment_id"
        ),
        sa.ForeignKeyConstraint(["space_id", "machine_id"], ["machines.space_id", "machines.id"], name="fk_step_runs_space_id_machine_id"),
        sa.PrimaryKeyConstraint("space_id", "id", name="pk_step_runs"),
    )
    op.create_index("ix_step_runs_machine_id", "step_runs", ["space_id", "machine_id", "state"])
    op.create_index("uq_step_runs_attempt", "step_runs", ["space_id", "deployment_id", "action_id", "machine_id", "attempt"], unique=True)
    op.create_index(
        "uq_step_runs_attempt_no_machine",
        "step_runs",
        ["space_id", "deployment_id", "action_id", "attempt"],
        unique=True,
        sqlite_where=NO_MACHINE,
        postgresql_where=NO_MACHINE,
    )
