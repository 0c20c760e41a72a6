# SPDX-License-Identifier: Apache-2.0
"""Lifecycles."""

from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, Response

from api import queries
from api.deps import IfMatch, InSpace, operation, tag
from api.schemas.base import Listing
from api.schemas.spaces import LifecycleSave, LifecycleShape, PhaseBody
from waybill.app import lifecycles
from waybill.domain.access import Permission
from waybill.domain.lifecycles import Phase

router = APIRouter(prefix="/api/v1/spaces/{space}/lifecycles", tags=["lifecycles"])


@router.get("", response_model=Listing[LifecycleShape], **operation("lifecycles_list", Permission.SPACE_READ))
def lifecycles_list(here: InSpace) -> Any:
    """All lifecycles of this Space."""
    return queries.whole(lifecycles.list_lifecycles(here.ports, here.caller, space_id=here.space_id), LifecycleShape.model_validate)


@router.post("", response_model=LifecycleShape, **operation("lifecycles_create", Permission.SPACE_EDIT, status=201))
def lifecycles_create(body: LifecycleSave, here: InSpace, response: Response) -> Any:
    """A new lifecycle."""
    row = lifecycles.save_lifecycle(here.ports, here.caller, space_id=here.space_id, name=body.name, phases=_phases(body.phases))
    tag(response, row.revision)
    return row


@router.get("/{lifecycle}", response_model=LifecycleShape, **operation("lifecycles_get", Permission.SPACE_READ))
def lifecycles_get(lifecycle: str, here: InSpace, response: Response) -> Any:
    """One lifecycle."""
    row = lifecycles.get_lifecycle(here.ports, here.caller, space_id=here.space_id, lifecycle=lifecycle)
    tag(response, row.revision)
    return row


@router.put("/{lifecycle}", response_model=LifecycleShape, **operation("lifecycles_replace", Permission.SPACE_EDIT))
def lifecycles_replace(lifecycle: str, body: LifecycleSave, here: InSpace, if_match: IfMatch, response: Response) -> Any:
    """The lifecycle as given."""
    row = lifecycles.save_lifecycle(
        here.ports,
        here.caller,
        space_id=here.space_id,
        name=body.name,
        phases=_phases(body.phases),
        lifecycle=lifecycle,
        if_revision=if_match,
    )
    tag(response, row.revision)
    return row


@router.delete("/{lifecycle}", **operation("lifecycles_delete", Permission.SPACE_EDIT, status=204))
def lifecycles_delete(lifecycle: str, here: InSpace, if_match: IfMatch) -> None:
    """The lifecycle is gone, unless a project uses it."""
    lifecycles.delete_lifecycle(here.ports, here.caller, space_id=here.space_id, lifecycle=lifecycle, if_revision=if_match)


def _phases(bodies: Sequence[PhaseBody]) -> tuple[Phase, ...]:
    return tuple(Phase(**{**body.model_dump(), "members": tuple(body.members)}) for body in bodies)
