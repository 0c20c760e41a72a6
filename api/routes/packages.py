# SPDX-License-Identifier: Apache-2.0
"""Packages and step packages. Bytes never pass through here: an upload gets URLs of the object store."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from api import queries
from api.deps import InSpace, Pages, link_next, operation
from api.idempotency import OnceOnly
from api.schemas.base import Listing
from api.schemas.packages import PackageShape, StepPackageShape, UploadAnswer, UploadBegin
from api.schemas.tasks import TaskShape
from waybill.app import packages
from waybill.domain.access import Permission

router = APIRouter(prefix="/api/v1/spaces/{space}", tags=["packages"])

Coordinate = Annotated[str, Query(max_length=400)]


@router.get("/packages", response_model=Listing[PackageShape], **operation("packages_list", Permission.SPACE_READ))
def packages_list(
    here: InSpace, page: Pages, request: Request, response: Response, package_id: Annotated[str | None, Query(max_length=400)] = None
) -> Any:
    """Packages, newest first."""
    rows = packages.list_packages(
        here.ports, here.caller, space_id=here.space_id, package_id=package_id, limit=page.limit, cursor=page.cursor
    )
    link_next(request, response, rows.next_cursor)
    return queries.listing(rows, PackageShape.model_validate)


@router.get("/packages/one", response_model=PackageShape, **operation("packages_get", Permission.SPACE_READ))
def packages_get(here: InSpace, package_id: Coordinate, version: Coordinate) -> Any:
    """One package by id and version; both in the query, because a package id may hold a slash."""
    return packages.get_package(here.ports, here.caller, space_id=here.space_id, package_id=package_id, version=version)


@router.get("/step-packages", response_model=Listing[StepPackageShape], **operation("step_packages_list", Permission.SPACE_READ))
def step_packages_list(here: InSpace) -> Any:
    """All registered step packages."""
    return queries.whole(packages.list_step_packages(here.ports, here.caller, space_id=here.space_id), StepPackageShape.model_validate)


@router.post("/uploads", response_model=UploadAnswer, **operation("uploads_begin", Permission.PACKAGE_PUSH))
def uploads_begin(body: UploadBegin, here: InSpace) -> Any:
    """Permission to upload exactly these bytes. A step package needs ``step.install``, a carrier ``carrier.move``. Repeat it to go on."""
    return packages.begin_upload(here.ports, here.caller, space_id=here.space_id, **body.model_dump())


@router.post("/uploads/{upload}/parts", response_model=UploadAnswer, **operation("uploads_renew"))
def uploads_renew(upload: str, here: InSpace) -> Any:
    """Fresh URLs for the parts that the store has not confirmed. Needs the right that beginning it needed."""
    return packages.renew_upload(here.ports, here.caller, space_id=here.space_id, upload_id=upload)


@router.post("/uploads/{upload}/complete", response_model=TaskShape, **operation("uploads_complete", status=202))
def uploads_complete(upload: str, here: InSpace, once: OnceOnly) -> Response:
    """A task that joins the parts, reads them back and hashes them; only then the package is here. Needs the right that beginning it needed."""
    return once(
        lambda: queries.task_started(here, packages.complete_upload(here.ports, here.caller, space_id=here.space_id, upload_id=upload))
    )
