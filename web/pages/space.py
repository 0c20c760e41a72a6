# SPDX-License-Identifier: Apache-2.0
"""Dashboard, project and release pages, and the two forms that start something from a release: promote and deploy."""

from typing import Annotated

from fastapi import APIRouter, Form, Request, Response

from api import queries
from api.deps import Paging
from waybill.app import access, admin, deploy, projects, promote, trusts
from waybill.domain.access import Permission
from waybill.domain.trusts import TrustState
from web.framing import frame
from web.rendering import render
from web.viewing import InView, PageRoute, goto

router = APIRouter(prefix="/spaces/{space}", route_class=PageRoute, include_in_schema=False)


@router.get("")
def dashboard(request: Request, here: InView) -> Response:
    """Projects by environments, remote ones included."""
    return render(request, "dashboard.html", title="Dashboard", view=queries.dashboard_view(here), **frame(here, "dashboard"))


@router.get("/projects/{project}")
def project(request: Request, here: InView, project: str) -> Response:
    """The newest releases of one project by environments."""
    row = projects.get_project(here.ports, here.caller, space_id=here.space_id, project=project)
    view = queries.project_view(here, row.id)
    return render(request, "project.html", title=view.name, project=row, view=view, **frame(here, "dashboard"))


@router.get("/releases/{release}")
def release(request: Request, here: InView, release: str) -> Response:
    """What is frozen in a release, where it went, and what may be done with it."""
    content = queries.release_content(here, release, None)
    remote = [
        row
        for row in trusts.list_trusts(here.ports, here.caller, space_id=here.space_id)
        if row.state == TrustState.ACTIVE and row.grants.send_releases
    ]
    own = [row for row in admin.list_environments(here.ports, here.caller, space_id=here.space_id) if not row.is_remote]
    page = Paging(limit=50, cursor=None)
    return render(
        request,
        "release.html",
        title=f"{content.release.project_name} {content.release.release_version}",
        view=content,
        trusts=remote,
        environments=own,
        names={row.id: row.name for row in admin.list_environments(here.ports, here.caller, space_id=here.space_id)},
        promotions=queries.promotion_list(here, page, project=None, release=content.release.id).items,
        deployments=queries.deployment_list(here, page, project_id=None, release_row_id=content.release.id, environment_id=None).items,
        may_promote=access.permits(here.caller, here.space_id, Permission.PROMOTION_START),
        may_deploy=access.permits(here.caller, here.space_id, Permission.DEPLOYMENT_START),
        **frame(here, "dashboard"),
    )


@router.post("/releases/{release}/promote")
def start_promotion(here: InView, release: str, trust: Annotated[str, Form(max_length=400)]) -> Response:
    """The release is on its way to a Remote Space; its task page shows how."""
    _, task = promote.start_promotion(here.ports, here.caller, space_id=here.space_id, release=release, trust=trust)
    return goto(f"/spaces/{here.space_id}/tasks/{task.id}")


@router.post("/releases/{release}/deploy")
def start_deployment(here: InView, release: str, environment: Annotated[str, Form(max_length=400)]) -> Response:
    """The release is on its way into an environment; its task page shows how."""
    _, task = deploy.start_deployment(
        here.ports, here.caller, space_id=here.space_id, release=release, environment=environment, tenant=None
    )
    return goto(f"/spaces/{here.space_id}/tasks/{task.id}")
