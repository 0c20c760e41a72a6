# SPDX-License-Identifier: Apache-2.0
"""Spaces, their environments, tenants and machines."""

from typing import Any

from fastapi import APIRouter, Response

from api import queries
from api.deps import IfMatch, InSpace, Site, operation, tag
from api.schemas.base import Listing
from api.schemas.spaces import (
    EnvironmentChange,
    EnvironmentCreate,
    EnvironmentShape,
    MachineCreate,
    MachineCreated,
    MachineShape,
    SpaceCreate,
    SpaceShape,
    TenantCreate,
    TenantShape,
)
from waybill.app import admin
from waybill.domain.access import Permission

router = APIRouter(prefix="/api/v1/spaces")


@router.get("", tags=["spaces"], response_model=Listing[SpaceShape], **operation("spaces_list"))
def spaces_list(who: Site) -> Any:
    """The Spaces that the caller sees."""
    return queries.whole(admin.list_spaces(who.ports, who.caller), SpaceShape.model_validate)


@router.post("", tags=["spaces"], response_model=SpaceShape, **operation("spaces_create", Permission.SITE_ADMIN, status=201))
def spaces_create(body: SpaceCreate, who: Site, response: Response) -> Any:
    """A new Space with keys of its own."""
    row = admin.create_space(who.ports, who.caller, name=body.name, slug=body.slug)
    tag(response, row.revision)
    response.headers["Location"] = f"/api/v1/spaces/{row.id}"
    return row


@router.get("/{space}", tags=["spaces"], response_model=SpaceShape, **operation("spaces_get", Permission.SPACE_READ))
def spaces_get(here: InSpace, response: Response) -> Any:
    """One Space."""
    here.require(Permission.SPACE_READ)
    row = admin.get_space(here.ports, here.caller, space=here.space_id)
    tag(response, row.revision)
    return row


@router.get(
    "/{space}/environments",
    tags=["environments"],
    response_model=Listing[EnvironmentShape],
    **operation("environments_list", Permission.SPACE_READ),
)
def environments_list(here: InSpace) -> Any:
    """Own environments in their order, then those of Remote Spaces."""
    return queries.whole(admin.list_environments(here.ports, here.caller, space_id=here.space_id), EnvironmentShape.model_validate)


@router.post(
    "/{space}/environments",
    tags=["environments"],
    response_model=EnvironmentShape,
    **operation("environments_create", Permission.SPACE_EDIT, status=201),
)
def environments_create(body: EnvironmentCreate, here: InSpace, response: Response) -> Any:
    """A new own environment; with ``trust`` a placeholder for one of that Remote Space."""
    where: dict[str, Any] = {"space_id": here.space_id, "name": body.name}
    if body.trust is None:
        row = admin.create_environment(here.ports, here.caller, **where, sort_order=body.sort_order)
    else:
        row = admin.create_remote_environment(here.ports, here.caller, **where, trust=body.trust)
    tag(response, row.revision)
    return row


@router.patch(
    "/{space}/environments/{environment}",
    tags=["environments"],
    response_model=EnvironmentShape,
    **operation("environments_rename", Permission.SPACE_EDIT),
)
def environments_rename(environment: str, body: EnvironmentChange, here: InSpace, if_match: IfMatch, response: Response) -> Any:
    """An own environment under a new name; its id and slug stay."""
    row = admin.rename_environment(
        here.ports, here.caller, space_id=here.space_id, environment=environment, name=body.name, if_revision=if_match
    )
    tag(response, row.revision)
    return row


@router.get("/{space}/tenants", tags=["tenants"], response_model=Listing[TenantShape], **operation("tenants_list", Permission.SPACE_READ))
def tenants_list(here: InSpace) -> Any:
    """The tenants of this Space."""
    return queries.whole(admin.list_tenants(here.ports, here.caller, space_id=here.space_id), TenantShape.model_validate)


@router.post(
    "/{space}/tenants", tags=["tenants"], response_model=TenantShape, **operation("tenants_create", Permission.SPACE_EDIT, status=201)
)
def tenants_create(body: TenantCreate, here: InSpace, response: Response) -> Any:
    """A new tenant."""
    row = admin.create_tenant(here.ports, here.caller, space_id=here.space_id, name=body.name, tags=tuple(body.tags))
    tag(response, row.revision)
    return row


@router.get(
    "/{space}/machines", tags=["machines"], response_model=Listing[MachineShape], **operation("machines_list", Permission.SPACE_READ)
)
def machines_list(here: InSpace) -> Any:
    """The machines of this Space."""
    return queries.whole(admin.list_machines(here.ports, here.caller, space_id=here.space_id), MachineShape.model_validate)


@router.post(
    "/{space}/machines",
    tags=["machines"],
    response_model=MachineCreated,
    **operation("machines_register", Permission.MACHINE_EDIT, status=201),
)
def machines_register(body: MachineCreate, here: InSpace, response: Response) -> Any:
    """A machine that will run steps. Its token is in this answer and nowhere else."""
    machine, token = admin.register_machine(
        here.ports,
        here.caller,
        space_id=here.space_id,
        name=body.name,
        roles=tuple(body.roles),
        environments=tuple(body.environments),
    )
    tag(response, machine.revision)
    return {"machine": machine, "token": token}


@router.delete(
    "/{space}/machines/{machine}",
    tags=["machines"],
    response_model=MachineShape,
    **operation("machines_disable", Permission.MACHINE_EDIT),
)
def machines_disable(machine: str, here: InSpace, if_match: IfMatch, response: Response) -> Any:
    """The machine runs nothing any more, and its token is worthless; what it did stays on record."""
    row = admin.disable_machine(here.ports, here.caller, space_id=here.space_id, machine=machine, if_revision=if_match)
    tag(response, row.revision)
    return row
