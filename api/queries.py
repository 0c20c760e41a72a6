# SPDX-License-Identifier: Apache-2.0
"""Reads as people see them: rows with the names of what they point to, in a constant number of queries a page.

The JSON routes and the pages both come here, so that they never disagree.
Every function asks a use case first, which decides what the caller may see; only the names are looked up here.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel

from api.deps import Here, Paging
from api.schemas.base import Listing
from api.schemas.dashboard import DashboardShape, ProjectViewShape
from api.schemas.deployments import BlockerShape, DeploymentContent, DeploymentShape, DeploymentStarted, Readiness, StepRunShape
from api.schemas.inbox import InboxShape, PreviewShape
from api.schemas.projects import VariableShape
from api.schemas.releases import MovedPackageShape, PromotionShape, PromotionStarted, ReleaseContentShape, ReleaseShape
from api.schemas.tasks import TaskShape
from api.schemas.trusts import CarrierShape, CarrierStarted
from waybill.app import dashboard, deploy, lookup, preview, promote, receive, releases, tasks
from waybill.app.moved_bytes import packages_of
from waybill.domain.bundles import InboxBundle
from waybill.domain.deployments import Deployment
from waybill.domain.projects import Project
from waybill.domain.promotions import Promotion
from waybill.domain.releases import Release
from waybill.domain.spaces import Environment
from waybill.domain.tasks import Carrier, Task
from waybill.domain.trusts import Trust
from waybill.domain.values import is_sealed
from waybill.domain.variables import Variable
from waybill.ports import Page, Ports, R

M = TypeVar("M", bound=BaseModel)


def listing(page: Page, shape: Callable[[Any], M]) -> Listing[M]:
    """One page of rows, each shaped."""
    return Listing(items=[shape(row) for row in page.items], next_cursor=page.next_cursor)


def whole(rows: Iterable[Any], shape: Callable[[Any], M]) -> Listing[M]:
    """A list that has one page only."""
    return Listing(items=[shape(row) for row in rows])


def _by_id(ports: Ports, space_id: str, kind: type[R], keys: Iterable[str]) -> Mapping[str, R]:
    wanted = sorted(set(keys))
    if not wanted:
        return {}
    with ports.ledger.read(space_id) as work:
        return {row.id: row for row in work.of(kind).among("id", wanted)}


# --- tasks ---------------------------------------------------------------------------------------------------------------------------


def task(here: Here, row: Task) -> TaskShape:
    """The task with links to its log, events and timeline."""
    shape = TaskShape.model_validate(row)
    own = here.url("tasks", row.id)
    shape.links = {"self": own, "log": f"{own}/log", "events": f"{own}/events", "timeline": f"{own}/timeline"}
    return shape


def task_list(here: Here, page: Paging, *, kind: str | None, state: str | None, subject_id: str | None) -> Listing[TaskShape]:
    """Tasks, newest first."""
    rows = tasks.list_tasks(
        here.ports, here.caller, space_id=here.space_id, limit=page.limit, cursor=page.cursor, kind=kind, state=state, subject_id=subject_id
    )
    return listing(rows, lambda row: task(here, row))


# --- dashboard -----------------------------------------------------------------------------------------------------------------------


def dashboard_view(here: Here, *, project_ids: tuple[str, ...] | None = None) -> DashboardShape:
    """Projects by environments."""
    return DashboardShape.model_validate(dashboard.dashboard(here.ports, here.caller, space_id=here.space_id, project_ids=project_ids))


def project_view(here: Here, project: str, *, limit: int = 20) -> ProjectViewShape:
    """The newest releases of one project by environments."""
    return ProjectViewShape.model_validate(
        dashboard.project_view(here.ports, here.caller, space_id=here.space_id, project=project, limit=limit)
    )


# --- variables -----------------------------------------------------------------------------------------------------------------------


def variable(row: Variable) -> VariableShape:
    """The variable as people may see it: of a secret only that it is set."""
    is_secret = is_sealed(row.type)
    return VariableShape.model_validate(
        {
            **{name: getattr(row, name) for name in ("id", "name", "type", "scope", "template", "origin", "revision")},
            "value": None if is_secret else row.value,
            "is_secret": is_secret,
            "is_set": row.value is not None or row.sealed is not None,
        },
        from_attributes=True,
    )


# --- releases ------------------------------------------------------------------------------------------------------------------------


def release_rows(here: Here, rows: Sequence[Release]) -> list[ReleaseShape]:
    """Releases with the names of their projects."""
    projects = _by_id(here.ports, here.space_id, Project, (row.project_id for row in rows))
    return [_release(row, projects) for row in rows]


def _release(row: Release, projects: Mapping[str, Project]) -> ReleaseShape:
    shape = ReleaseShape.model_validate(row)
    shape.project_name = _project_name(projects, row.project_id)
    return shape


def release_list(here: Here, page: Paging, *, project: str | None) -> Listing[ReleaseShape]:
    """Releases, newest first."""
    rows = releases.list_releases(here.ports, here.caller, space_id=here.space_id, project=project, limit=page.limit, cursor=page.cursor)
    return Listing(items=release_rows(here, rows.items), next_cursor=rows.next_cursor)


def release_row(here: Here, release: str, project: str | None) -> Release:
    """The row of a release by id, or by version within ``project``."""
    return releases.get_release(here.ports, here.caller, space_id=here.space_id, release=release, project=project)


def release_content(here: Here, release: str, project: str | None) -> ReleaseContentShape:
    """What is frozen in a release."""
    row = release_row(here, release, project)
    view = releases.release_view(here.ports, here.caller, space_id=here.space_id, release=row.id)
    shape = ReleaseContentShape.model_validate(view)
    shape.release = release_rows(here, [row])[0]
    return shape


# --- promotions ----------------------------------------------------------------------------------------------------------------------


def promotion_rows(here: Here, rows: Sequence[Promotion]) -> list[PromotionShape]:
    """Promotions with the names of what they connect."""
    projects = _by_id(here.ports, here.space_id, Project, (row.project_id for row in rows))
    trusts = _by_id(here.ports, here.space_id, Trust, (row.trust_id for row in rows))
    frozen = _by_id(here.ports, here.space_id, Release, (row.release_row_id for row in rows))
    shapes = []
    for row in rows:
        shape = PromotionShape.model_validate(row)
        shape.project_name = _project_name(projects, row.project_id)
        shape.trust_name = trusts[row.trust_id].name if row.trust_id in trusts else None
        shape.release_version = frozen[row.release_row_id].release_version if row.release_row_id in frozen else None
        shapes.append(shape)
    return shapes


def promotion(here: Here, row: Promotion) -> PromotionShape:
    """One promotion, with what each of its packages cost."""
    shape = promotion_rows(here, [row])[0]
    task = _by_id(here.ports, here.space_id, Task, [row.task_id])[row.task_id]
    shape.packages = [MovedPackageShape.model_validate({"sha256": key, **entry}) for key, entry in packages_of(task).items()]
    return shape


def promotion_list(here: Here, page: Paging, *, project: str | None, release: str | None) -> Listing[PromotionShape]:
    """Promotions, newest first."""
    rows = promote.list_promotions(
        here.ports, here.caller, space_id=here.space_id, project=project, release=release, limit=page.limit, cursor=page.cursor
    )
    return Listing(items=promotion_rows(here, rows.items), next_cursor=rows.next_cursor)


def promotion_started(here: Here, started: tuple[Promotion, Task]) -> tuple[PromotionStarted, str]:
    """The answer to the start of a promotion, and where its task is."""
    body = PromotionStarted(promotion=promotion_rows(here, [started[0]])[0], task=task(here, started[1]))
    return body, here.url("tasks", started[1].id)


# --- inbox ---------------------------------------------------------------------------------------------------------------------------


def inbox_rows(here: Here, rows: Sequence[InboxBundle]) -> list[InboxShape]:
    """Received bundles with the name of the trust that they came under."""
    trusts = _by_id(here.ports, here.space_id, Trust, (row.trust_id for row in rows))
    shapes = []
    for row in rows:
        shape = InboxShape.model_validate(row)
        shape.trust_name = trusts[row.trust_id].name if row.trust_id in trusts else None
        shapes.append(shape)
    return shapes


def inbox_list(here: Here, page: Paging, *, state: str | None) -> Listing[InboxShape]:
    """Received bundles, newest first."""
    rows = receive.list_inbox(here.ports, here.caller, space_id=here.space_id, limit=page.limit, cursor=page.cursor, state=state)
    return Listing(items=inbox_rows(here, rows.items), next_cursor=rows.next_cursor)


def preview_of(here: Here, inbox: str) -> PreviewShape:
    """What an import would do."""
    return PreviewShape.model_validate(preview.preview(here.ports, here.caller, space_id=here.space_id, inbox=inbox))


# --- deployments ---------------------------------------------------------------------------------------------------------------------


def deployment_rows(here: Here, rows: Sequence[Deployment]) -> list[DeploymentShape]:
    """Deployments with the names of what they connect."""
    projects = _by_id(here.ports, here.space_id, Project, (row.project_id for row in rows))
    environments = _by_id(here.ports, here.space_id, Environment, (row.environment_id for row in rows))
    frozen = _by_id(here.ports, here.space_id, Release, (row.release_row_id for row in rows))
    shapes = []
    for row in rows:
        shape = DeploymentShape.model_validate(row)
        shape.project_name = _project_name(projects, row.project_id)
        shape.environment_name = environments[row.environment_id].name if row.environment_id in environments else None
        shape.release_version = frozen[row.release_row_id].release_version if row.release_row_id in frozen else None
        shapes.append(shape)
    return shapes


def deployment_list(
    here: Here, page: Paging, *, project_id: str | None, release_row_id: str | None, environment_id: str | None
) -> Listing[DeploymentShape]:
    """Deployments, newest first."""
    rows = deploy.list_deployments(
        here.ports,
        here.caller,
        space_id=here.space_id,
        limit=page.limit,
        cursor=page.cursor,
        project_id=project_id,
        release_row_id=release_row_id,
        environment_id=environment_id,
    )
    return Listing(items=deployment_rows(here, rows.items), next_cursor=rows.next_cursor)


def deployment_content(here: Here, deployment: str) -> DeploymentContent:
    """A deployment and the runs of its steps."""
    row = deploy.get_deployment(here.ports, here.caller, space_id=here.space_id, deployment=deployment)
    runs = deploy.list_runs(here.ports, here.caller, space_id=here.space_id, deployment=row.id)
    return DeploymentContent(deployment=deployment_rows(here, [row])[0], runs=[StepRunShape.model_validate(run) for run in runs])


def deployment_started(here: Here, started: tuple[Deployment, Task]) -> tuple[DeploymentStarted, str]:
    """The answer to the start of a deployment, and where its task is."""
    body = DeploymentStarted(deployment=deployment_rows(here, [started[0]])[0], task=task(here, started[1]))
    return body, here.url("tasks", started[1].id)


def readiness(here: Here, *, release: str, project: str | None, environment: str, tenant: str | None) -> Readiness:
    """Whether a deployment may start now, and what is missing."""
    row = release_row(here, release, project)
    blockers = deploy.check_ready(here.ports, here.caller, space_id=here.space_id, release=row.id, environment=environment, tenant=tenant)
    return Readiness(ready=not blockers, blockers=[BlockerShape.model_validate(one) for one in blockers])


# --- carriers ------------------------------------------------------------------------------------------------------------------------


def carrier_started(here: Here, started: tuple[Carrier, Task]) -> tuple[CarrierStarted, str]:
    """The answer to the start of an export or import, and where its task is."""
    body = CarrierStarted(carrier=CarrierShape.model_validate(started[0]), task=task(here, started[1]))
    return body, here.url("tasks", started[1].id)


def task_started(here: Here, row: Task) -> tuple[TaskShape, str]:
    """The answer to the start of work that has no other subject to show."""
    return task(here, row), here.url("tasks", row.id)


def _project_name(projects: Mapping[str, Project], project_id: str) -> str | None:
    return lookup.shown_project(projects[project_id]) if project_id in projects else None
