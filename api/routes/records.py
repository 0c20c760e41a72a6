# SPDX-License-Identifier: Apache-2.0
"""What happened: receipts, carriers, the audit log, and the dashboard that sums it up."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response

from api import queries
from api.deps import InSpace, Pages, link_next, operation, tag
from api.idempotency import OnceOnly
from api.routes.trusts import ENVELOPE_TYPE
from api.schemas.base import Listing
from api.schemas.dashboard import DashboardShape
from api.schemas.trusts import (
    AuditShape,
    AuditVerified,
    CarrierExport,
    CarrierImport,
    CarrierShape,
    CarrierStarted,
    DownloadShape,
    ReceiptShape,
)
from waybill.app import audit, carrier, receipts
from waybill.domain.access import Permission

router = APIRouter(prefix="/api/v1/spaces/{space}")

Filter = Annotated[str | None, Query(max_length=400, description="an id")]
DOWNLOAD_SECONDS = 3600


@router.get("/dashboard", tags=["dashboard"], response_model=DashboardShape, **operation("dashboard_get", Permission.SPACE_READ))
def dashboard_get(here: InSpace, project: Annotated[list[str] | None, Query(max_length=1000)] = None) -> Response:
    """Every project, or those named by id, in every environment, own and remote."""
    view = queries.dashboard_view(here, project_ids=tuple(project) if project else None)
    # Thousands of cells: written as JSON in one go, because the framework would first make a dictionary of each.
    return Response(view.model_dump_json(), media_type="application/json")


@router.get("/receipts", tags=["receipts"], response_model=Listing[ReceiptShape], **operation("receipts_list", Permission.SPACE_READ))
def receipts_list(
    here: InSpace,
    page: Pages,
    request: Request,
    response: Response,
    direction: Literal["in", "out"] | None = None,
    trust: Filter = None,
    deployment: Filter = None,
    promotion: Filter = None,
    release_sha256: Filter = None,
) -> Any:
    """Receipts, newest first, quarantined ones among them."""
    rows = receipts.list_receipts(
        here.ports,
        here.caller,
        space_id=here.space_id,
        limit=page.limit,
        cursor=page.cursor,
        direction=direction,
        trust_id=trust,
        deployment_id=deployment,
        promotion_id=promotion,
        release_sha256=release_sha256,
    )
    link_next(request, response, rows.next_cursor)
    return queries.listing(rows, ReceiptShape.model_validate)


@router.get("/receipts/{receipt}", tags=["receipts"], response_model=ReceiptShape, **operation("receipts_get", Permission.SPACE_READ))
def receipts_get(receipt: str, here: InSpace) -> Any:
    """One receipt."""
    return receipts.get_receipt(here.ports, here.caller, space_id=here.space_id, receipt=receipt)[0]


@router.get(
    "/receipts/{receipt}/document", tags=["receipts"], response_class=Response, **operation("receipts_export", Permission.SPACE_READ)
)
def receipts_export(receipt: str, here: InSpace) -> Response:
    """The receipt exactly as it was signed."""
    row, envelope = receipts.get_receipt(here.ports, here.caller, space_id=here.space_id, receipt=receipt)
    headers = {"Content-Disposition": f'attachment; filename="{row.id}.waybill.json"'}
    return Response(envelope, media_type=ENVELOPE_TYPE, headers=headers)


@router.get("/carriers", tags=["carriers"], response_model=Listing[CarrierShape], **operation("carriers_list", Permission.SPACE_READ))
def carriers_list(here: InSpace, page: Pages, request: Request, response: Response) -> Any:
    """Carrier files made and brought, newest first."""
    rows = carrier.list_carriers(here.ports, here.caller, space_id=here.space_id, limit=page.limit, cursor=page.cursor)
    link_next(request, response, rows.next_cursor)
    return queries.listing(rows, CarrierShape.model_validate)


@router.post(
    "/carriers/exports",
    tags=["carriers"],
    response_model=CarrierStarted,
    **operation("carriers_export", Permission.CARRIER_MOVE, status=202),
)
def carriers_export(body: CarrierExport, here: InSpace, once: OnceOnly) -> Response:
    """Everything that waits for a trust, into one file that a person takes along."""
    return once(
        lambda: queries.carrier_started(
            here, carrier.start_export(here.ports, here.caller, space_id=here.space_id, trust=body.trust, repeat=body.repeat)
        )
    )


@router.post(
    "/carriers/imports",
    tags=["carriers"],
    response_model=CarrierStarted,
    **operation("carriers_import", Permission.CARRIER_MOVE, status=202),
)
def carriers_import(body: CarrierImport, here: InSpace, once: OnceOnly) -> Response:
    """A carrier file that was uploaded (purpose ``carrier``) is verified and taken in."""
    return once(
        lambda: queries.carrier_started(
            here, carrier.start_import(here.ports, here.caller, space_id=here.space_id, upload_id=body.upload_id)
        )
    )


@router.get("/carriers/{carrier_id}", tags=["carriers"], response_model=CarrierShape, **operation("carriers_get", Permission.SPACE_READ))
def carriers_get(carrier_id: str, here: InSpace, response: Response) -> Any:
    """One carrier file."""
    row = carrier.get_carrier(here.ports, here.caller, space_id=here.space_id, carrier=carrier_id)
    tag(response, row.revision)
    return row


@router.get(
    "/carriers/{carrier_id}/download",
    tags=["carriers"],
    response_model=DownloadShape,
    **operation("carriers_download", Permission.CARRIER_MOVE),
)
def carriers_download(carrier_id: str, here: InSpace) -> Any:
    """A URL that reads the finished file from the object store."""
    url = carrier.download_url(here.ports, here.caller, space_id=here.space_id, carrier=carrier_id, seconds=DOWNLOAD_SECONDS)
    return DownloadShape(url=url, seconds=DOWNLOAD_SECONDS)


@router.get("/audit", tags=["audit"], response_model=Listing[AuditShape], **operation("audit_list", Permission.AUDIT_READ))
def audit_list(here: InSpace, page: Pages, request: Request, response: Response) -> Any:
    """The append-only log of this Space, newest first."""
    rows = audit.list_audit(here.ports, here.caller, space_id=here.space_id, limit=page.limit, cursor=page.cursor)
    link_next(request, response, rows.next_cursor)
    return queries.listing(rows, AuditShape.model_validate)


@router.get("/audit/verification", tags=["audit"], response_model=AuditVerified, **operation("audit_verify", Permission.AUDIT_READ))
def audit_verify(here: InSpace) -> Any:
    """Every entry checked against the one before it."""
    return AuditVerified(entries=audit.verify_audit(here.ports, here.caller, space_id=here.space_id))
