# SPDX-License-Identifier: Apache-2.0
"""Deployments and the runs of their steps."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from waybill.domain.ids import JsonValue


class DeploymentState(StrEnum):
    """``waiting`` when a person must decide about an interrupted step."""

    QUEUED = "queued"
    RUNNING = "running"
    WAITING = "waiting"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class RunState(StrEnum):
    """Failed: the step said no. Errored: a technical fault, an interruption among them."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    ERRORED = "errored"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"


FINISHED_RUNS = frozenset({RunState.SUCCEEDED, RunState.FAILED, RunState.ERRORED, RunState.CANCELLED, RunState.SKIPPED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """One release deployed to one environment, perhaps for one tenant."""

    id: str
    space_id: str
    project_id: str
    release_row_id: str
    environment_id: str
    tenant_id: str | None
    state: DeploymentState
    task_id: str
    created_at: datetime
    created_by: str
    started_at: datetime | None = None
    finished_at: datetime | None = None
    code: str | None = None
    message: str | None = None
    event_no: int = 0
    revision: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRun:
    """One attempt of one action on one machine. A finished run is never run again; a further attempt is a row of its own.

    ``outputs`` holds what is not secret; secret outputs stay on the machine and are named only.
    """

    id: str
    space_id: str
    deployment_id: str
    action_id: str
    action_name: str
    position: int
    machine_id: str | None
    attempt: int
    state: RunState
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    code: str | None = None
    message: str | None = None
    outputs: dict[str, JsonValue] = field(default_factory=dict)
    idempotent: bool = False
    revision: int = 1
