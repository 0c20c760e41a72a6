# SPDX-License-Identifier: Apache-2.0
"""Deployments: may it start, start it, look at it, decide about an interrupted step, cancel."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from api import queries
from api.deps import Here, InSpace, Pages, link_next, operation, tag
from api.idempotency import OnceOnly
from api.schemas.base import Listing
from api.schemas.deployments import (
    DeploymentContent,
    DeploymentShape,
    DeploymentStart,
    DeploymentStarted,
    Readiness,
    StepVerdict,
)
from waybill.app import deploy
from waybill.domain.access import Permission

router = APIRouter(prefix="/api/v1/spaces/{space}/deployments", tags=["deployments"])

Filter = Annotated[str | None, Query(max_length=400, description="an id")]


@router.get("", response_model=Listing[DeploymentShape], **operation("deployments_list", Permission.SPACE_READ))
def deployments_list(
    here: InSpace,
    page: Pages,
    request: Request,
    response: Response,
    project: Filter = None,
    release: Filter = None,
    environment: Filter = None,
) -> Any:
    """Deployments, newest first."""
    rows = queries.deployment_list(here, page, project_id=project, release_row_id=release, environment_id=environment)
    link_next(request, response, rows.next_cursor)
    return rows


@router.post("", response_model=DeploymentStarted, **operation("deployments_start", Permission.DEPLOYMENT_START, status=202))
def deployments_start(body: DeploymentStart, here: InSpace, once: OnceOnly) -> Response:
    """The release on its way into an own environment."""
    return once(lambda: _started(here, body))


@router.post("/check", response_model=Readiness, **operation("deployments_check", Permission.SPACE_READ))
def deployments_check(body: DeploymentStart, here: InSpace) -> Any:
    """Whether it may start now, and everything that is missing. Starts nothing."""
    return queries.readiness(here, release=body.release, project=body.project, environment=body.environment, tenant=body.tenant)


@router.get("/{deployment}", response_model=DeploymentContent, **operation("deployments_get", Permission.SPACE_READ))
def deployments_get(deployment: str, here: InSpace, response: Response) -> Any:
    """One deployment and the runs of its steps."""
    content = queries.deployment_content(here, deployment)
    tag(response, content.deployment.revision)
    return content


@router.post(
    "/{deployment}/steps/{run}/decision",
    response_model=DeploymentShape,
    **operation("deployments_decide_step", Permission.DEPLOYMENT_START, status=202),
)
def deployments_decide_step(deployment: str, run: str, body: StepVerdict, here: InSpace, once: OnceOnly) -> Response:
    """A person's word on an interrupted step: run it again, or fail the deployment."""
    return once(lambda: _decided(here, deployment, run, body.verdict))


@router.post("/{deployment}/cancel", response_model=DeploymentShape, **operation("deployments_cancel", Permission.TASK_CANCEL, status=202))
def deployments_cancel(deployment: str, here: InSpace, once: OnceOnly) -> Response:
    """Cancellation is requested; the running step's processes are ended first."""
    return once(lambda: _cancelled(here, deployment))


def _started(here: Here, body: DeploymentStart) -> tuple[DeploymentStarted, str]:
    here.require(Permission.DEPLOYMENT_START)
    row = queries.release_row(here, body.release, body.project)
    started = deploy.start_deployment(
        here.ports, here.caller, space_id=here.space_id, release=row.id, environment=body.environment, tenant=body.tenant
    )
    return queries.deployment_started(here, started)


def _decided(here: Here, deployment: str, run: str, verdict: str) -> tuple[DeploymentShape, str]:
    row = deploy.decide_step(here.ports, here.caller, space_id=here.space_id, deployment=deployment, run_id=run, verdict=verdict)
    return queries.deployment_rows(here, [row])[0], here.url("tasks", row.task_id)


def _cancelled(here: Here, deployment: str) -> tuple[DeploymentShape, str]:
    here.require(Permission.TASK_CANCEL)
    row = deploy.cancel_deployment(here.ports, here.caller, space_id=here.space_id, deployment=deployment)
    return queries.deployment_rows(here, [row])[0], here.url("tasks", row.task_id)
