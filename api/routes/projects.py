# SPDX-License-Identifier: Apache-2.0
"""Projects, their processes, their variables and templates."""

from typing import Any

from fastapi import APIRouter, Response

from api import queries
from api.deps import IfMatch, IfMatchOptional, InSpace, operation, tag
from api.schemas.base import Listing
from api.schemas.dashboard import ProjectViewShape
from api.schemas.projects import (
    ActionBody,
    ProcessSave,
    ProcessShape,
    ProjectChange,
    ProjectCreate,
    ProjectShape,
    ScopeBody,
    TemplateBody,
    VariableSet,
    VariableShape,
)
from waybill.app import projects, variables
from waybill.domain.access import Permission
from waybill.domain.projects import Action, ActionScopes, PackageUse, StepRef
from waybill.domain.variables import Scope, Template

router = APIRouter(prefix="/api/v1/spaces/{space}/projects")


@router.get("", tags=["projects"], response_model=Listing[ProjectShape], **operation("projects_list", Permission.SPACE_READ))
def projects_list(here: InSpace) -> Any:
    """All projects, remote ones too."""
    return queries.whole(projects.list_projects(here.ports, here.caller, space_id=here.space_id), ProjectShape.model_validate)


@router.post("", tags=["projects"], response_model=ProjectShape, **operation("projects_create", Permission.PROJECT_EDIT, status=201))
def projects_create(body: ProjectCreate, here: InSpace, response: Response) -> Any:
    """A new project with an empty process."""
    row = projects.create_project(
        here.ports, here.caller, space_id=here.space_id, name=body.name, lifecycle=body.lifecycle, group=body.group
    )
    tag(response, row.revision)
    response.headers["Location"] = here.url("projects", row.id)
    return row


@router.get("/{project}", tags=["projects"], response_model=ProjectShape, **operation("projects_get", Permission.SPACE_READ))
def projects_get(project: str, here: InSpace, response: Response) -> Any:
    """One project."""
    row = projects.get_project(here.ports, here.caller, space_id=here.space_id, project=project)
    tag(response, row.revision)
    return row


@router.patch("/{project}", tags=["projects"], response_model=ProjectShape, **operation("projects_change", Permission.PROJECT_EDIT))
def projects_change(project: str, body: ProjectChange, here: InSpace, if_match: IfMatch, response: Response) -> Any:
    """The project with what is given changed."""
    row = projects.change_project(
        here.ports, here.caller, space_id=here.space_id, project=project, if_revision=if_match, **body.model_dump(exclude_none=True)
    )
    tag(response, row.revision)
    return row


@router.get(
    "/{project}/dashboard",
    tags=["dashboard"],
    response_model=ProjectViewShape,
    **operation("projects_dashboard", Permission.SPACE_READ),
)
def projects_dashboard(project: str, here: InSpace) -> Any:
    """The newest releases of the project by environments."""
    return queries.project_view(here, project)


@router.get("/{project}/process", tags=["processes"], response_model=ProcessShape, **operation("process_get", Permission.SPACE_READ))
def process_get(project: str, here: InSpace, response: Response) -> Any:
    """The process as it is edited now."""
    row = projects.get_process(here.ports, here.caller, space_id=here.space_id, project=project)
    tag(response, row.revision)
    return row


@router.put("/{project}/process", tags=["processes"], response_model=ProcessShape, **operation("process_save", Permission.PROJECT_EDIT))
def process_save(project: str, body: ProcessSave, here: InSpace, if_match: IfMatch, response: Response) -> Any:
    """The whole process as given."""
    actions = tuple(action_of(one) for one in body.actions)
    row = projects.save_process(here.ports, here.caller, space_id=here.space_id, project=project, actions=actions, if_revision=if_match)
    tag(response, row.revision)
    return row


@router.get(
    "/{project}/variables", tags=["variables"], response_model=Listing[VariableShape], **operation("variables_list", Permission.SPACE_READ)
)
def variables_list(project: str, here: InSpace) -> Any:
    """Variables and templates; of a secret only that it is set."""
    return queries.whole(variables.list_variables(here.ports, here.caller, space_id=here.space_id, project=project), queries.variable)


@router.post(
    "/{project}/variables", tags=["variables"], response_model=VariableShape, **operation("variables_set", Permission.VARIABLE_EDIT)
)
def variables_set(project: str, body: VariableSet, here: InSpace, if_match: IfMatchOptional, response: Response) -> Any:
    """The variable of this name and scope, created; with If-Match replaced."""
    row = variables.set_variable(
        here.ports,
        here.caller,
        space_id=here.space_id,
        project=project,
        name=body.name,
        type=body.type,
        scope=scope_of(body.scope),
        value=body.value,
        template=template_of(body.template),
        if_revision=if_match,
    )
    tag(response, row.revision)
    return queries.variable(row)


@router.delete("/{project}/variables/{variable}", tags=["variables"], **operation("variables_delete", Permission.VARIABLE_EDIT, status=204))
def variables_delete(project: str, variable: str, here: InSpace, if_match: IfMatch) -> None:
    """The variable is gone; releases that froze it keep it."""
    variables.delete_variable(here.ports, here.caller, space_id=here.space_id, project=project, variable_id=variable, if_revision=if_match)


def action_of(body: ActionBody) -> Action:
    """The action of the domain."""
    scopes = ActionScopes(**{name: tuple(value) for name, value in body.scopes.model_dump().items()})
    simple = body.model_dump(exclude={"step", "scopes", "packages", "roles"})
    return Action(
        **simple,
        step=StepRef(**body.step.model_dump()),
        scopes=scopes,
        roles=tuple(body.roles),
        packages=tuple(PackageUse(**one.model_dump()) for one in body.packages),
    )


def scope_of(body: ScopeBody) -> Scope:
    """The scope of the domain."""
    return Scope(**{name: tuple(value) for name, value in body.model_dump().items()})


def template_of(body: TemplateBody | None) -> Template | None:
    """The template of the domain."""
    return None if body is None else Template(**{**body.model_dump(), "choices": tuple(body.choices)})
