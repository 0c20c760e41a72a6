# SPDX-License-Identifier: Apache-2.0
"""Deployments and runs of steps as the API takes and shows them."""

from datetime import datetime
from typing import Literal

from api.schemas.base import Json, Reference, Request, Shape, example
from api.schemas.tasks import TaskShape
from waybill.domain.deployments import DeploymentState, RunState


class DeploymentStart(Request):
    """A release into an own environment, perhaps for one tenant. ``release``: row id, or a version together with ``project``."""

    model_config = example({"project": "storefront", "release": "1.0.0", "environment": "Test"})

    release: Reference
    environment: Reference
    tenant: Reference | None = None
    project: Reference | None = None


class DeploymentShape(Shape):
    """One release deployed to one environment."""

    id: str
    project_id: str
    project_name: str | None = None
    release_row_id: str
    release_version: str | None = None
    environment_id: str
    environment_name: str | None = None
    tenant_id: str | None
    state: DeploymentState
    task_id: str
    created_at: datetime
    created_by: str
    started_at: datetime | None
    finished_at: datetime | None
    code: str | None
    message: str | None
    revision: int


class StepRunShape(Shape):
    """One attempt of one action on one machine."""

    id: str
    action_id: str
    action_name: str
    position: int
    machine_id: str | None
    attempt: int
    state: RunState
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    code: str | None
    message: str | None
    outputs: dict[str, Json]
    idempotent: bool
    revision: int


class DeploymentStarted(Shape):
    """The deployment and the task that carries it out."""

    deployment: DeploymentShape
    task: TaskShape


class DeploymentContent(Shape):
    """A deployment with every run of its steps."""

    deployment: DeploymentShape
    runs: list[StepRunShape]


class BlockerShape(Shape):
    """One thing that keeps a deployment from starting; names only, never a value."""

    code: str
    subject: str
    message: str
    environment: str | None
    tenant: str | None


class Readiness(Shape):
    """Whether a deployment may start now, and what is missing."""

    ready: bool
    blockers: list[BlockerShape]


class StepVerdict(Request):
    """A person's word on an interrupted step."""

    model_config = example({"verdict": "retry"})

    verdict: Literal["retry", "fail"]
