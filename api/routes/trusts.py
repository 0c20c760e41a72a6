# SPDX-License-Identifier: Apache-2.0
"""Trusts with Remote Spaces, and this Space's own identity."""

from typing import Any

from fastapi import APIRouter, Response

from api import queries
from api.deps import IfMatch, InSpace, operation, tag
from api.schemas.base import Listing
from api.schemas.trusts import (
    GrantsBody,
    IdentityShape,
    IdentityUpdate,
    TrustChange,
    TrustConfirm,
    TrustRegister,
    TrustShape,
    identity_bytes,
)
from waybill.app import identity, trusts
from waybill.domain.access import Permission
from waybill.domain.trusts import Grants

router = APIRouter(prefix="/api/v1/spaces/{space}")
ENVELOPE_TYPE = "application/vnd.waybill.envelope+json"


@router.get("/trusts", tags=["trusts"], response_model=Listing[TrustShape], **operation("trusts_list", Permission.SPACE_READ))
def trusts_list(here: InSpace) -> Any:
    """All trusts of this Space, retired ones too."""
    return queries.whole(trusts.list_trusts(here.ports, here.caller, space_id=here.space_id), TrustShape.model_validate)


@router.post("/trusts", tags=["trusts"], response_model=TrustShape, **operation("trusts_register", Permission.TRUST_EDIT, status=201))
def trusts_register(body: TrustRegister, here: InSpace, response: Response) -> Any:
    """A Remote Space from its identity file; pending until somebody confirms the fingerprint."""
    here.require(Permission.TRUST_EDIT)
    row = trusts.register_trust(
        here.ports,
        here.caller,
        space_id=here.space_id,
        identity=identity_bytes(body.identity),
        name=body.name,
        road=body.road,
        grants=_grants(body.grants),
    )
    tag(response, row.revision)
    response.headers["Location"] = here.url("trusts", row.id)
    return row


@router.get("/trusts/{trust}", tags=["trusts"], response_model=TrustShape, **operation("trusts_get", Permission.SPACE_READ))
def trusts_get(trust: str, here: InSpace, response: Response) -> Any:
    """One trust."""
    row = trusts.get_trust(here.ports, here.caller, space_id=here.space_id, trust=trust)
    tag(response, row.revision)
    return row


@router.put(
    "/trusts/{trust}/confirmation", tags=["trusts"], response_model=TrustShape, **operation("trusts_confirm", Permission.TRUST_EDIT)
)
def trusts_confirm(trust: str, body: TrustConfirm, here: InSpace, if_match: IfMatch, response: Response) -> Any:
    """The fingerprint was compared with the other side by voice: the trust is active."""
    row = trusts.confirm_trust(
        here.ports, here.caller, space_id=here.space_id, trust=trust, fingerprint=body.fingerprint, if_revision=if_match
    )
    tag(response, row.revision)
    return row


@router.patch("/trusts/{trust}", tags=["trusts"], response_model=TrustShape, **operation("trusts_change", Permission.TRUST_EDIT))
def trusts_change(trust: str, body: TrustChange, here: InSpace, if_match: IfMatch, response: Response) -> Any:
    """The trust with another road or other grants."""
    grants = None if body.grants is None else _grants(body.grants)
    row = trusts.change_trust(
        here.ports, here.caller, space_id=here.space_id, trust=trust, if_revision=if_match, road=body.road, grants=grants
    )
    tag(response, row.revision)
    return row


@router.post(
    "/trusts/{trust}/identity", tags=["trusts"], response_model=TrustShape, **operation("trusts_update_identity", Permission.TRUST_EDIT)
)
def trusts_update_identity(trust: str, body: IdentityUpdate, here: InSpace, response: Response) -> Any:
    """The peer's next identity version, signed by the one before."""
    here.require(Permission.TRUST_EDIT)
    row = trusts.update_identity(here.ports, here.caller, space_id=here.space_id, trust=trust, identity=identity_bytes(body.identity))
    tag(response, row.revision)
    return row


@router.delete("/trusts/{trust}", tags=["trusts"], response_model=TrustShape, **operation("trusts_retire", Permission.TRUST_EDIT))
def trusts_retire(trust: str, here: InSpace, if_match: IfMatch, response: Response) -> Any:
    """The trust is ended for ever; what came under it stays on record."""
    row = trusts.retire_trust(here.ports, here.caller, space_id=here.space_id, trust=trust, if_revision=if_match)
    tag(response, row.revision)
    return row


@router.get("/identity", tags=["identity"], response_model=IdentityShape, **operation("identity_get", Permission.SPACE_READ))
def identity_get(here: InSpace) -> Any:
    """The fingerprint and version of this Space's identity, for comparing by voice."""
    return identity.view_identity(here.ports, here.caller, space_id=here.space_id)


@router.get("/identity/document", tags=["identity"], response_class=Response, **operation("identity_export", Permission.SPACE_READ))
def identity_export(here: InSpace) -> Response:
    """The signed identity document, to be brought to the other side; it holds no secret."""
    envelope = identity.export_identity(here.ports, here.caller, space_id=here.space_id)
    headers = {"Content-Disposition": 'attachment; filename="identity.waybill.json"'}
    return Response(envelope, media_type=ENVELOPE_TYPE, headers=headers)


def _grants(body: GrantsBody) -> Grants:
    return Grants(**{**body.model_dump(), "projects": tuple(body.projects)})
